"""Two pictures and how one lies on the other -> ten numbers that tell a copy from another shot."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from simsearch.dedup.features import vision
from simsearch.dedup.features.vision import Floats, Matrix
from simsearch.dedup.verify.match import Placed
from simsearch.dedup.verify.prepare import SIGMA, Prepared

NAMES = (
    "log1p_inliers",
    "inlier_share",
    "correlation",
    "structure_mean",
    "structure_median",
    "structure_share",
    "fine_correlation",
    "containment_most",
    "containment_least",
    "log_compared",
)
LEAST, TEXTURED, NOISE, ALIKE, FINE, BLOCK = 150, 5.0, 9.0, 0.6, 2.0, 12


def numbers(one: Prepared, other: Prepared, placed: Placed) -> NDArray[np.float64] | None:
    """The ten numbers of `NAMES` for `one` laid on `other`, float64 (10,); None where too little is compared.

    They are taken in the frame of the one that shows the scene more coarsely. Structure is the third term of
    SSIM (Wang et al., IEEE Transactions on Image Processing 2004), which light and contrast leave alone.
    """
    scale = _scale_at(placed.matrix, one.size)
    if scale <= 1:
        source, target, matrix = one, other, placed.matrix
    else:
        source, target, matrix, scale = other, one, _inverse(placed.matrix), 1 / scale
    laid, mask = _laid(source, matrix, scale, target.size)
    both = mask * target.mask
    if both.sum() < LEAST:
        return None
    structure, weight = _structure(laid, target.grey, both)
    textured = weight > TEXTURED
    if textured.sum() < LEAST:
        return None
    values = structure[textured]
    alike = (structure > ALIKE) & textured
    known = _explained(target.texture, alike)
    covered = _laid_back(target.mask, matrix, source)
    share = float((source.texture * covered).sum() / max(float(source.texture.sum()), 1e-6))
    within = float((weight * alike).sum() / max(float((weight * textured).sum()), 1e-6))
    contained = share * within
    return np.array(
        [
            math.log1p(placed.inliers),
            placed.share,
            _correlation(laid, target.grey, both),
            float(values.mean()),
            float(np.median(values)),
            float((values > ALIKE).mean()),
            _fine(laid, target.grey, both),
            max(known, contained),
            min(known, contained),
            math.log(float(textured.sum())),
        ]
    )


def _scale_at(matrix: Matrix, size: tuple[int, int]) -> float:
    """How many pixels of the other picture a pixel in the middle of this one is."""
    middle = np.array([size[0] / 2, size[1] / 2, 1.0])
    depth = float(matrix[2] @ middle)
    jacobian = (matrix[:2, :2] - np.outer(matrix[:2] @ middle / depth, matrix[2, :2])) / depth
    return float(math.sqrt(abs(np.linalg.det(jacobian))))


def _laid(source: Prepared, matrix: Matrix, scale: float, size: tuple[int, int]) -> tuple[Floats, Floats]:
    """The source and its mask as they lie in the target's frame of `size`."""
    grey, mask, step = source.grey, source.mask, matrix
    if scale < 0.8:
        # Averaged first: a warp alone would pick single pixels out of those that become one.
        width, height = max(4, round(source.size[0] * scale)), max(4, round(source.size[1] * scale))
        grey, mask = vision.resize(grey, (width, height)), vision.resize(mask, (width, height))
        step = matrix @ resized((width, height), source.size)
    laid = vision.warp(grey, step, size)
    inside = vision.warp(mask, step, size)
    return laid, (inside > 0.95).astype(np.float32)


def resized(size: tuple[int, int], whole: tuple[int, int]) -> Matrix:
    """The matrix from pixels of a picture resized to `size` to those of the `whole` one, centre to centre."""
    x, y = whole[0] / size[0], whole[1] / size[1]
    return np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1]])


def _laid_back(mask: Floats, matrix: Matrix, source: Prepared) -> Floats:
    """Which pixels of the source the target shows."""
    return vision.warp(mask, _inverse(matrix), source.size)


def _inverse(matrix: Matrix) -> Matrix:
    return np.asarray(np.linalg.inv(matrix), dtype=np.float64)


def _structure(one: Floats, other: Floats, both: Floats) -> tuple[Floats, Floats]:
    """Local correlation of two aligned pictures, and the larger of their local deviations (0 outside)."""
    weight: Floats = np.maximum(vision.blur(both, SIGMA), 1e-3)

    def mean(values: Floats) -> Floats:
        return vision.blur(values * both, SIGMA) / weight

    first, second = mean(one), mean(other)
    first_variance = np.maximum(mean(one * one) - first * first, 0)
    second_variance = np.maximum(mean(other * other) - second * second, 0)
    shared = mean(one * other) - first * second
    structure = (shared + NOISE) / (np.sqrt(first_variance * second_variance) + NOISE)
    deviation = np.sqrt(np.maximum(first_variance, second_variance)) * both
    return structure.astype(np.float32), deviation.astype(np.float32)


def _explained(texture: Floats, alike: NDArray[np.bool_]) -> float:
    """The share of a picture's texture that lies where the other looks the same."""
    return float(texture[alike].sum() / max(float(texture.sum()), 1e-6))


def _correlation(one: Floats, other: Floats, both: Floats) -> float:
    """Normalised cross-correlation inside the mask."""
    inside = both > 0
    return _cosine(one[inside], other[inside])


def _fine(one: Floats, other: Floats, both: Floats) -> float:
    """The median, over blocks of 12 x 12 pixels, of the correlation of what a blur takes away; else 0."""
    fine = [(picture - vision.blur(picture, FINE)) * both for picture in (one, other)]
    rows, columns = both.shape[0] // BLOCK, both.shape[1] // BLOCK
    if not rows or not columns:
        return 0.0

    def blocks(picture: Floats) -> Floats:
        cut = picture[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK)
        return cut.transpose(0, 2, 1, 3).reshape(rows * columns, BLOCK * BLOCK)

    whole = blocks(both).mean(axis=1) > 0.9
    first, second = blocks(fine[0])[whole], blocks(fine[1])[whole]
    first_energy, second_energy = (first * first).sum(axis=1), (second * second).sum(axis=1)
    # Blocks with nothing in them say nothing.
    busy = np.maximum(first_energy, second_energy) > BLOCK * BLOCK * 4
    if not busy.any():
        return 0.0
    products = (first[busy] * second[busy]).sum(axis=1)
    lengths = np.sqrt(np.maximum(first_energy[busy] * second_energy[busy], 1e-6))
    return float(np.median(products / np.maximum(lengths, BLOCK * BLOCK)))


def _cosine(one: Floats, other: Floats) -> float:
    first, second = one - one.mean(), other - other.mean()
    lengths = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(first @ second) / lengths if lengths > 1e-6 else 0.0
