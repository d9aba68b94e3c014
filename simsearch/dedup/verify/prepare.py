"""Features -> what each comparison of a picture uses again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simsearch.dedup.features import vision
from simsearch.dedup.features.describe import Features
from simsearch.dedup.features.vision import Floats
from simsearch.dedup.verify.match import mirrored, rooted

FLAT, AREA, MARGIN = 6, 0.01, 3
"""A frame: pixels that span so little, joined up to the edge, over that much of the picture; and around."""

SIGMA = 2.5
TINY = 32


@dataclass(frozen=True, slots=True)
class Prepared:
    """A picture ready to be compared.

    Attributes:
        features: what it came from.
        points: RootSIFT rows, float32 (n, 128).
        grey: float32 (h, w), 0..255.
        mask: float32 (h, w), 1.0 where the picture is, 0.0 on uniform borders and fill.
        texture: standard deviation around each pixel, float32 (h, w), 0 outside the mask.
        thumb: float32 (32, 32), whole picture squeezed, mean 0 and length 1; zeros where it is flat.
    """

    features: Features
    points: Floats
    grey: Floats
    mask: Floats
    texture: Floats
    thumb: Floats

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the small grey version."""
        return self.grey.shape[1], self.grey.shape[0]

    @property
    def mirror(self) -> Floats:
        """The rows that the same points have in the mirror image."""
        return mirrored(self.points)


def prepare(features: Features) -> Prepared:
    """What comparisons need of a picture."""
    grey = features.grey.astype(np.float32)
    mask = _content(features.grey)
    texture = np.sqrt(_local_variance(grey, mask)) * mask
    thumb = vision.resize(grey, (TINY, TINY))
    thumb -= thumb.mean()
    length = float(np.linalg.norm(thumb))
    thumb = thumb / length if length > TINY else np.zeros_like(thumb)
    return Prepared(features, rooted(features.descriptors), grey, mask, texture, thumb)


def _local_variance(picture: Floats, mask: Floats) -> Floats:
    """Variance around each pixel, of pixels inside the mask alone."""
    weight: Floats = np.maximum(vision.blur(mask, SIGMA), 1e-3)
    mean: Floats = vision.blur(picture * mask, SIGMA) / weight
    square: Floats = vision.blur(picture * picture * mask, SIGMA) / weight
    return np.maximum(square - mean * mean, 0)


def _content(grey: NDArray[np.uint8]) -> Floats:
    """1.0 where the picture is. A frame shared by two pictures is no likeness of theirs."""
    flat = (vision.span(grey) <= FLAT).astype(np.uint8)
    count, labels, areas = vision.regions(flat)
    edge = np.zeros(count, dtype=bool)
    for line in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        edge[line] = True
    edge[0] = False
    frame = edge & (areas >= AREA * grey.size)
    if not frame.any():
        return np.ones(grey.shape, np.float32)
    outside = vision.grow(frame[labels].astype(np.uint8), MARGIN)
    return (1 - outside).astype(np.float32)
