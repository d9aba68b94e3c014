"""The photos of the study: classes to choose by, other classes and copies of other photos to judge by."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.samples import originals
from simsearch.framing import Framing, frame

PER_CLASS = 100
CROPS = 4


@dataclass(frozen=True, slots=True)
class Pictures:
    """Framed pictures, uint8 (n, crop, crop, 3), and what each belongs to."""

    name: str
    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def every(self, step: int) -> NDArray[np.uint8]:
        """The pixels of every so-manieth picture."""
        return self.pixels[step // 2 :: step]


def of_classes(name: str, folder: Path, classes: range, framing: Framing) -> Pictures:
    """Photos called by a number whose hundreds are their class, as in Corel-1000."""
    paths = sorted((path for path in folder.glob("*.jpg")), key=lambda path: int(path.stem))
    chosen = [path for path in paths if int(path.stem) // PER_CLASS in classes]
    labels = [int(path.stem) // PER_CLASS for path in chosen]
    return _framed(name, (_load(path) for path in chosen), labels, framing)


def of_copies(name: str, large: Sequence[Path], framing: Framing) -> Pictures:
    """Each sample photo and each of `large` with crops, half its size, and compressed hard; a label each."""
    pictures: list[Image.Image] = []
    labels: list[int] = []
    for label, path in enumerate([*originals(), *large]):
        copies = list(_copies(_load(path), random.Random(path.name)))
        pictures += copies
        labels += [label] * len(copies)
    return _framed(name, iter(pictures), labels, framing)


def _framed(name: str, pictures: Iterator[Image.Image], labels: list[int], framing: Framing) -> Pictures:
    return Pictures(name, np.stack([frame(picture, framing) for picture in pictures]), np.asarray(labels))


def _copies(picture: Image.Image, chance: random.Random) -> Iterator[Image.Image]:
    picture.thumbnail((1200, 1200))
    yield picture
    yield picture.resize((picture.width // 2, picture.height // 2), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=chance.randint(15, 40))
    with Image.open(stream) as squeezed:
        yield squeezed.convert("RGB")
    for _ in range(CROPS):
        share = chance.uniform(0.3, 0.7) ** 0.5
        width, height = round(picture.width * share), round(picture.height * share)
        left, top = chance.randint(0, picture.width - width), chance.randint(0, picture.height - height)
        yield picture.crop((left, top, left + width, top + height))


def _load(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")
