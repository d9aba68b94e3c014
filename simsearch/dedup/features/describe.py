"""Pixels -> features: what is kept of a picture to compare it with others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simsearch.dedup.features import vision
from simsearch.dedup.features.hashes import pdq

HASHED, SIDE, SMALL = 256, 320, 192
STEPS = 256
"""A pixel has so many places, that features which were kept be those that were found."""

WEIGHTS = np.array([0.299, 0.587, 0.114], dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Features:
    """What is kept of a picture.

    Attributes:
        hashes: PDQ of the eight forms, uint8 (8, 32).
        quality: of those hashes, 0..100.
        places: SIFT points, float32 (n, 2): x, y in pixels of the small grey version.
        descriptors: uint8 (n, 128).
        grey: uint8 (h, w), the longer side 192 pixels.
    """

    hashes: NDArray[np.uint8]
    quality: int
    places: NDArray[np.float32]
    descriptors: NDArray[np.uint8]
    grey: NDArray[np.uint8]


def describe(pixels: NDArray[np.uint8]) -> Features:
    """The features of an upright uint8 (H, W, 3) picture, whatever its size."""
    hashes, quality = pdq(_hashed(pixels))
    grey = np.clip(np.rint(pixels @ WEIGHTS), 0, 255).astype(np.uint8)
    height, width = grey.shape
    frame = vision.resize(grey, _fit(width, height, SIDE))
    small = vision.resize(frame, _fit(width, height, SMALL))
    places, descriptors = vision.sift(frame)
    scale = np.array([small.shape[1] / frame.shape[1], small.shape[0] / frame.shape[0]], dtype=np.float32)
    steps = np.clip(np.rint(((places + 0.5) * scale - 0.5) * STEPS), 0, SMALL * STEPS)
    return Features(hashes, quality, (steps / STEPS).astype(np.float32), descriptors, small)


def _hashed(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What is hashed: PDQ itself averages down to 64 x 64, for which more pixels only take time."""
    height, width, _ = pixels.shape
    if max(width, height) <= HASHED:
        return pixels
    smaller: NDArray[np.uint8] = vision.resize(pixels, _fit(width, height, HASHED))
    return smaller


def _fit(width: int, height: int, side: int) -> tuple[int, int]:
    longer = max(width, height)
    return max(8, round(width * side / longer)), max(8, round(height * side / longer))
