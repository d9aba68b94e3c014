"""An example or a hit of a search -> its pixels as the network gets them, and where they are from."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from simsearch.engine.queries.region import Box, region_of_file
from simsearch.errors import PhotoUnreadable
from simsearch.framing import frame
from simsearch.http.decoding import DECODERS
from simsearch.media.decode import DecodeLimits
from simsearch.models.attention.geometry import Area, looked_at
from simsearch.records import Decoded
from simsearch.report.names import visible
from simsearch.ui.http.uploads import upload
from simsearch.ui.pages.search.wanted import Example
from simsearch.ui.shared import Library


@dataclass(frozen=True, slots=True, eq=False)
class Framed:
    """uint8 pixels (crop, crop, 3), what of the upright picture they show, and its width and height."""

    pixels: NDArray[np.uint8]
    area: Area
    size: tuple[int, int]


def framed(lib: Library, example: Example) -> Framed:
    """An example as a search looks at it, as a whole or by its region.

    Raises PhotoUnreadable, NotIndexed.
    """
    framing = lib.index.spec.framing
    if example.indexed is None:
        held = upload(example.upload or "")
        if held is None:
            raise PhotoUnreadable("The picture that was given is not held any more. Give it again.")
        size = (held.width, held.height)
        if example.box is not None:
            return _region(lib, held.preview, example.box, size)
        pixels = held.framed
        if pixels.shape[:2] != (framing.crop, framing.crop):
            # It was sent to another index.
            pixels = frame(Image.fromarray(pixels), framing)
        return Framed(pixels, looked_at(size, framing), size)
    paths = lib.index.paths_of(example.indexed)
    for path in paths:
        outcome = DECODERS.read(os.fsencode(path), framing, _limits(lib))
        if isinstance(outcome, Decoded):
            size = (outcome.facts.width, outcome.facts.height)
            if example.box is not None:
                return _region(lib, Path(path), example.box, size)
            return Framed(outcome.pixels, looked_at(size, framing), size)
    raise PhotoUnreadable(f"{visible(paths[0])} cannot be read now (an unmounted disk?).")


def _region(
    lib: Library, source: bytes | Path, box: tuple[float, float, float, float], size: tuple[int, int]
) -> Framed:
    framing = lib.index.spec.framing
    region = region_of_file(source, Box(*box), framing, _limits(lib))
    left, top, right, bottom = Box(*box).edges(size, size)
    within = looked_at((right - left, bottom - top), framing)
    area = Area(left + within.x, top + within.y, within.width, within.height)
    return Framed(frame(Image.fromarray(region), framing), area, size)


def _limits(lib: Library) -> DecodeLimits:
    return DecodeLimits(max_pixels=lib.index.max_pixels)
