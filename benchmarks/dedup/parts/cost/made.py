"""What candidates are searched among: real hashes and points of crops of photos, and more made from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simsearch.dedup.features.describe import Features, describe
from simsearch.dedup.features.hashes import BYTES, FORMS, HashTable, pdq
from simsearch.framing import Fitting
from simsearch.media.decode import decode

Bytes = NDArray[np.uint8]

HASHED, REAL_HASHES, REAL_POINTS = 256, 10_000, 500
LEAST, MOST = 0.35, 0.95
"""Sides of a crop as shares of the photo's."""

FEWEST_FLIPPED, MOST_FLIPPED = 0.1, 0.35
BLOCK = 4096
HASHES, POINTS = "hashes.npy", "points.npy"


def make(folder: Path, photos: Sequence[Path]) -> None:
    """Write hashes uint8 (n, 8, 32) of crops of the photos, and SIFT descriptors uint8 (m, 128) of some."""
    folder.mkdir(parents=True, exist_ok=True)
    chance = np.random.default_rng(0)
    each = max(1, REAL_HASHES // len(photos))
    hashes = [pdq(_crop(_pixels(photo, HASHED), chance))[0] for photo in photos for _ in range(each)]
    np.save(folder / HASHES, np.array(hashes))
    step = max(1, len(photos) // REAL_POINTS)
    points = [describe(_pixels(photo, 512)).descriptors for photo in photos[::step]]
    np.save(folder / POINTS, np.concatenate(points))


def hash_table(folder: Path, count: int) -> HashTable:
    """The hashes of so many pictures: the real ones, then real ones with 10 to 35 % of their bits flipped.

    So each has neighbours as other pictures of its kind would be; those of unlike photos lie 128 bits apart.
    """
    real, table, chance = np.load(folder / HASHES), HashTable.empty(count), np.random.default_rng(1)
    table.quality[:], table.known[:] = 100, True
    for start in range(0, count, BLOCK):
        places = np.arange(start, min(start + BLOCK, count))
        rates = chance.uniform(FEWEST_FLIPPED, MOST_FLIPPED, (len(places), 1))
        flipped = np.packbits(chance.random((len(places), 8 * BYTES)) < rates, axis=1)
        flipped[places < len(real)] = 0
        table.forms[places] = real[places % len(real)] ^ flipped[:, None]
    return table


def points_of(folder: Path, points: int) -> Callable[[int], Features]:
    """Gives the features of the picture at a place: real descriptors, each of any photo, and nothing else."""
    real = np.load(folder / POINTS)
    empty = np.zeros((FORMS, BYTES), np.uint8), np.zeros((points, 2), np.float32), np.zeros((1, 1), np.uint8)

    def kept(place: int) -> Features:
        chosen = real[np.random.default_rng(place).integers(len(real), size=points)]
        return Features(empty[0], 100, empty[1], chosen, empty[2])

    return kept


def _pixels(photo: Path, longest: int) -> Bytes:
    return decode(photo.read_bytes(), Fitting(longest), name=photo.name.encode())[1]


def _crop(pixels: Bytes, chance: np.random.Generator) -> Bytes:
    height, width = (round(side * chance.uniform(LEAST, MOST)) for side in pixels.shape[:2])
    top, left = chance.integers(pixels.shape[0] - height + 1), chance.integers(pixels.shape[1] - width + 1)
    return np.ascontiguousarray(pixels[top : top + height, left : left + width])
