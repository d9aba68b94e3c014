"""PDQ hashes of a picture in its eight forms (turned and mirrored), and how far two lie apart.

PDQ is Meta's perceptual hash of 256 bits for whole pictures:
https://github.com/facebook/ThreatExchange/blob/main/hashing/hashing.pdf
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simsearch.errors import ExtraMissing

FORMS, BYTES = 8, 32

FEATURELESS = 50
"""PDQ's own bound: below this quality (0..100) a hash says too little of a picture to go by."""

_BITS = np.array([bin(value).count("1") for value in range(256)], dtype=np.uint8)


@dataclass(frozen=True, slots=True)
class HashTable:
    """The hashes of many pictures: forms uint8 (n, 8, 32), quality uint8 (n,), whether known at all (n,)."""

    forms: NDArray[np.uint8]
    quality: NDArray[np.uint8]
    known: NDArray[np.bool_]

    @classmethod
    def empty(cls, count: int) -> HashTable:
        """Room for `count` pictures, of which nothing is known."""
        return cls(
            np.zeros((count, FORMS, BYTES), np.uint8), np.zeros(count, np.uint8), np.zeros(count, np.bool_)
        )

    def __getitem__(self, places: slice) -> HashTable:
        """The hashes of some of the pictures."""
        return HashTable(self.forms[places], self.quality[places], self.known[places])

    def put(self, place: int, forms: NDArray[np.uint8], quality: int) -> None:
        """Fill in one picture."""
        self.forms[place], self.quality[place], self.known[place] = forms, quality, True


@functools.cache
def _pdqhash() -> Any:
    try:
        import pdqhash
    except ImportError as exc:
        raise ExtraMissing(
            "Near duplicates are looked up by PDQ hashes, and pdqhash is not installed. "
            "Install it with: pip install pdqhash"
        ) from exc
    return pdqhash


def pdq(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], int]:
    """Hashes uint8 (8, 32) of an upright uint8 (H, W, 3) picture in its eight forms, and their quality."""
    hashes, quality = _pdqhash().compute_dihedral(np.ascontiguousarray(pixels))
    return np.packbits(np.asarray(hashes, dtype=np.uint8), axis=1), int(quality)


def distance(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> int:
    """The smallest Hamming distance, in bits of 256, of the first form of `one` to any form of `other`."""
    return int(_BITS[one[0] ^ other].sum(axis=1, dtype=np.int64).min())
