"""What the tests of finding copies share: real photos as pixels, the ways to turn one, small indexes."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from conftest import age
from numpy.typing import NDArray
from PIL import Image

from simsearch import index_folder
from simsearch.dedup.features.describe import describe
from simsearch.dedup.records import DuplicateReport, Picture
from simsearch.dedup.verify.prepare import Prepared, prepare
from simsearch.engine.indexing import IndexingConfig
from simsearch.models.choice import ModelChoice

LITE0 = ModelChoice(model="efficientnet_lite0")
Turn = Image.Transpose
FORMS: tuple[Turn | None, ...] = (None, *Turn)
"""A picture as it is and turned or mirrored in the seven other ways."""


def loaded(path: Path, longest: int = 512) -> Image.Image:
    """A picture in RGB, its longer side at most so many pixels."""
    with Image.open(path) as image:
        found = image.convert("RGB")
    found.thumbnail((longest, longest), Image.Resampling.BOX)
    return found


def pixels(image: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(image, dtype=np.uint8)


def turned(image: Image.Image, form: Turn | None) -> Image.Image:
    return image if form is None else image.transpose(form)


def prepared(image: Image.Image) -> Prepared:
    return prepare(describe(pixels(image)))


def as_picture(number: int, path: Path) -> Picture:
    """A file as the search for copies knows it."""
    with Image.open(path) as image:
        size, kind = image.size, image.format or ""
    return Picture(number, hashlib.sha256(path.read_bytes()).digest(), (str(path),), *size, kind, None)


def indexed(folder: Path, index: Path, *, aged: bool = True) -> Path:
    """An index of a folder, with a network that is always at hand; its files made to look older, or left."""
    if aged:
        age(folder)
    index_folder(folder, index, IndexingConfig(choice=LITE0))
    return index


def names(report: DuplicateReport, *, below: Path) -> set[frozenset[str]]:
    """The groups of a report by paths relative to a folder."""
    return {
        frozenset(str(Path(photo.path).relative_to(below)) for photo in group.photos)
        for group in report.groups
    }
