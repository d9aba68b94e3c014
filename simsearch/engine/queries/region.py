"""A region of a picture, to be looked at as if it were a whole one."""

from __future__ import annotations

import math
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from simsearch.errors import PhotoUnreadable, QueryInvalid, RegionOutside
from simsearch.framing import Framing
from simsearch.media.decode import DecodeLimits, open_upright
from simsearch.media.files import FileUnreadable
from simsearch.media.formats import too_large
from simsearch.media.sources.held import read_file
from simsearch.paths import label

_PIXEL = 1e-6
"""No picture has a side of more than a million pixels, so that a smaller part of it is still one pixel."""


@dataclass(frozen=True, slots=True)
class Box:
    """A region of an upright picture: left and top edge, width and height.

    Numbers of at most 1, all four, are fractions of the picture's width and height; else they are whole
    pixels. What lies outside of the picture is cut off. Raises QueryInvalid for what is no region.
    """

    x: float
    y: float
    width: float
    height: float

    def __post_init__(self) -> None:
        sides = (self.x, self.y, self.width, self.height)
        if not all(math.isfinite(side) and side >= 0 for side in sides) or not self.width * self.height:
            raise QueryInvalid(
                f"{self} is no region: give left and top edge (from 0), width and height (above 0)."
            )
        if not self.is_fraction and not all(float(side).is_integer() for side in sides):
            raise QueryInvalid(f"{self} is no region: give whole pixels, or fractions of at most 1.")

    def __str__(self) -> str:
        return f"{self.x:g},{self.y:g},{self.width:g},{self.height:g}"

    @classmethod
    def parse(cls, text: str) -> Box:
        """The box of "x,y,width,height". Raises QueryInvalid."""
        try:
            x, y, width, height = (float(part) for part in text.split(","))
        except ValueError as exc:
            raise QueryInvalid(f"{text!r} is no region: give x,y,width,height.") from exc
        return cls(x, y, width, height)

    @property
    def is_fraction(self) -> bool:
        """Whether the numbers are fractions and not pixels."""
        return max(self.x, self.y, self.width, self.height) <= 1

    def edges(self, size: tuple[int, int], full: tuple[int, int]) -> tuple[int, int, int, int]:
        """Left, top, right and bottom edge in pixels, at least one apart.

        `size` is the width and height of the picture as decoded, `full` as it is. Raises RegionOutside.
        """
        scale = (1, 1) if self.is_fraction else full
        left, right = _along(self.x / scale[0], self.width / scale[0], size[0])
        top, bottom = _along(self.y / scale[1], self.height / scale[1], size[1])
        if left >= size[0] or top >= size[1]:
            raise RegionOutside(f"it has no region {self}: it is {full[0]} x {full[1]} pixels")
        return left, top, right, bottom


def region_of_file(
    source: bytes | Path, box: Box, framing: Framing, limits: DecodeLimits
) -> NDArray[np.uint8]:
    """A region of a picture, given by a `Path` or by its bytes: upright uint8 (H, W, 3).

    A JPEG comes reduced as far as the region itself keeps what `framing` wants of a whole picture. Raises
    PhotoUnreadable, and RegionOutside, with the path and the reason.
    """
    named = label(source) if isinstance(source, Path) else "The picture"
    # Pixels are told of the full size, which is not known before the picture is open.
    smaller = max(min(box.width, box.height), _PIXEL)
    keep = math.ceil(framing.keep / smaller) if box.is_fraction else 0
    try:
        if isinstance(source, Path):
            data, _ = read_file(os.fsencode(source), limits.max_bytes)
            name = os.path.basename(os.fsencode(source))
        else:
            data, name = source, b""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            facts, image = open_upright(data, limits, keep=keep, name=name)
            region = image.crop(box.edges(image.size, (facts.width, facts.height)))
            # Not as an image, whose EXIF would have it turned once more.
            return np.asarray(region, dtype=np.uint8)
    except MemoryError as exc:
        raise PhotoUnreadable(f"{named} {too_large(limits.max_pixels)}.") from exc
    except FileUnreadable as exc:
        raise PhotoUnreadable(f"{named} {exc}. Check the path and its permissions.") from exc
    except PhotoUnreadable as exc:
        raise PhotoUnreadable(f"{named} is no picture that can be used: {exc}.") from exc
    except RegionOutside as exc:
        raise RegionOutside(f"{named} cannot be searched by: {exc}.") from exc


def region_of_array(picture: Any, box: Box) -> Any:
    """A region of an upright uint8 (H, W, 3) array or of a PIL image, which is turned as its EXIF says."""
    if isinstance(picture, Image.Image):
        try:
            upright = ImageOps.exif_transpose(picture)
            return upright.crop(box.edges(upright.size, upright.size))
        except (OSError, SyntaxError, ValueError) as exc:
            raise PhotoUnreadable(f"The picture cannot be decoded: {exc}.") from exc
    if not isinstance(picture, np.ndarray) or picture.ndim != 3:
        raise QueryInvalid(f"A {type(picture).__name__} is no picture (height, width, 3) that has a region.")
    size = (picture.shape[1], picture.shape[0])
    left, top, right, bottom = box.edges(size, size)
    return picture[top:bottom, left:right]


def _along(start: float, length: float, size: int) -> tuple[int, int]:
    first, last = round(start * size), round(min(1.0, start + length) * size)
    if start < 1:
        first = min(first, size - 1)
    return first, max(first + 1, last)
