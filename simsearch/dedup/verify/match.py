"""Points of two pictures -> how one lies on the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simsearch.dedup.features import vision
from simsearch.dedup.features.vision import Floats, Matrix

RATIO = 0.85
FEWEST = 5
"""A homography has eight unknowns: four matches always fit one."""

CELL = 6.0
LARGEST, STRETCH = 8.0, 3.0

# A descriptor is 4 x 4 histograms of 8 directions: in the mirror rows are swapped and angles run backwards.
_MIRRORED = np.array(
    [
        ((3 - row) * 4 + column) * 8 + (-angle) % 8
        for row in range(4)
        for column in range(4)
        for angle in range(8)
    ]
)


@dataclass(frozen=True, slots=True)
class Placed:
    """Where one picture lies on another: the homography in pixels of the small grey versions.

    `inliers` counts matches that agree, at distinct places; `share` is that of all matches that agree.
    """

    matrix: Matrix
    mirrored: bool
    inliers: int
    share: float


def rooted(descriptors: NDArray[np.uint8]) -> Floats:
    """RootSIFT, float32 (n, 128), unit rows (Arandjelović and Zisserman, CVPR 2012)."""
    values = descriptors.astype(np.float32)
    values /= np.maximum(values.sum(axis=1, keepdims=True), 1e-6)
    return np.sqrt(values, out=values)


def mirrored(descriptors: Floats) -> Floats:
    """The descriptors that the same points have in the mirror image, but for rounding."""
    return descriptors[:, _MIRRORED]


def matches(one: Floats, other: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows of `one` and of `other` that belong together: Lowe's ratio test, each row at most once."""
    if len(one) < FEWEST or len(other) < FEWEST:
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    likeness = vision.products(one, other)
    rows = np.arange(len(one))
    best = likeness.argmax(axis=1)
    first = likeness[rows, best]
    likeness[rows, best] = -1
    second = likeness.max(axis=1)
    # Of unit vectors the squared distance is twice 1 less the product.
    clear = np.flatnonzero(1 - first < RATIO**2 * (1 - second))
    order = clear[np.argsort(-first[clear], kind="stable")]
    _, kept = np.unique(best[order], return_index=True)
    chosen = order[np.sort(kept)]
    return chosen, best[chosen]


def place(
    source: Floats, target: Floats, size: tuple[int, int], *, mirror_width: int | None = None
) -> Placed | None:
    """Where a picture of (width, height) `size` lies, by points of it and the matched ones of the other.

    `mirror_width` is the other's width where its points were matched as mirrored. None where too few agree or
    where no photo is bent like that.
    """
    if len(source) < FEWEST:
        return None
    aim = target
    if mirror_width is not None:
        # MAGSAC++ refuses reflections, as no camera makes them.
        aim = np.column_stack([mirror_width - 1 - target[:, 0], target[:, 1]]).astype(np.float32)
    matrix, agree = vision.homography(source * SCALE, aim * SCALE)
    if matrix is None:
        return None
    small = np.diag([1 / SCALE, 1 / SCALE, 1.0]) @ matrix @ np.diag([SCALE, SCALE, 1.0])
    inliers = min(_distinct(source[agree]), _distinct(aim[agree]))
    if inliers < FEWEST or not plausible(small, size):
        return None
    if mirror_width is not None:
        small = np.array([[-1.0, 0, mirror_width - 1], [0, 1, 0], [0, 0, 1]]) @ small
    return Placed(small, mirror_width is not None, inliers, float(agree.mean()))


SCALE = np.float32(2.0)
"""Matches agree within three pixels of a version so many times as large as the small one."""


def plausible(matrix: Matrix, size: tuple[int, int]) -> bool:
    """Whether an edit may have done that: no fold, at most eightfold scale, at most threefold squeeze."""
    width, height = size
    corners = np.array(
        [[0, 0, 1], [width, 0, 1], [width, height, 1], [0, height, 1], [width / 2, height / 2, 1]],
        dtype=np.float64,
    )
    depths = corners @ matrix[2]
    if not (depths > 0.2 * depths.max()).all() or depths.max() <= 0:
        return False
    for corner, depth in zip(corners, depths, strict=True):
        jacobian = (matrix[:2, :2] - np.outer(matrix[:2] @ corner / depth, matrix[2, :2])) / depth
        large, small = np.linalg.svd(jacobian, compute_uv=False)
        if not (small >= 1 / LARGEST and large <= LARGEST and large <= STRETCH * small):
            return False
    return True


def _distinct(places: Floats) -> int:
    return len(np.unique(np.floor(places * SCALE / CELL).astype(np.int64), axis=0))
