"""OpenCV, and nothing else of it than this: points, homographies, warps and filters.

See https://docs.opencv.org/5.x/ for the functions behind these.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simsearch.errors import ExtraMissing, SimsearchError

Grey = NDArray[np.uint8]
Floats = NDArray[np.float32]
Matrix = NDArray[np.float64]

POINTS = 400
CONTRAST = 0.015
REACH = 3.0
"""A match is an inlier within so many pixels."""


@functools.cache
def _cv2() -> Any:
    try:
        import cv2
    except ImportError as exc:
        raise ExtraMissing(
            "Near duplicates are verified with OpenCV, which is not installed. "
            "Install it with: pip install opencv-python-headless"
        ) from exc
    # Pairs are spread over threads; a second layer of threads below would only make them wait.
    cv2.setNumThreads(1)
    return cv2


def sift(grey: Grey) -> tuple[Floats, NDArray[np.uint8]]:
    """Up to 400 SIFT points, strongest first: places float32 (n, 2) as x, y, and descriptors uint8 (n, 128).

    Lowe, "Distinctive Image Features from Scale-Invariant Keypoints", IJCV 2004.
    """
    cv2 = _cv2()
    try:
        found, descriptors = cv2.SIFT_create(POINTS, 3, CONTRAST).detectAndCompute(grey, None)
    except cv2.error as exc:
        raise SimsearchError(f"OpenCV found no points in a picture: {exc}") from exc
    if not found:
        return np.zeros((0, 2), np.float32), np.zeros((0, 128), np.uint8)
    # Strongest first, and always in one order, whatever the library's sort made of ties.
    facts = np.array([(point.angle, point.size, *point.pt, -point.response) for point in found])
    order = np.lexsort((descriptors.sum(axis=1), *facts.T))[:POINTS]
    places = np.array([found[at].pt for at in order], dtype=np.float32)
    return places, np.clip(descriptors[order], 0, 255).astype(np.uint8)


def homography(source: Floats, target: Floats) -> tuple[Matrix | None, NDArray[np.bool_]]:
    """The homography that takes most of `source` (n, 2) to `target`, and which of them; None where none does.

    MAGSAC++ (Barath et al., CVPR 2020) through OpenCV's USAC, with a fixed seed.
    """
    cv2 = _cv2()
    try:
        matrix, inliers = cv2.findHomography(
            source, target, cv2.USAC_MAGSAC, REACH, None, maxIters=1000, confidence=0.999
        )
    except cv2.error:
        matrix, inliers = None, None
    if matrix is None or inliers is None or not np.isfinite(matrix).all():
        return None, np.zeros(len(source), dtype=bool)
    return np.asarray(matrix, dtype=np.float64), inliers.ravel().astype(bool)


def warp(picture: Floats, matrix: Matrix, size: tuple[int, int]) -> Floats:
    """`picture` taken through `matrix` into (width, height) `size`; zero where it does not reach."""
    cv2 = _cv2()
    warped: Floats = cv2.warpPerspective(picture, matrix, size, flags=cv2.INTER_LINEAR)
    return warped


def products(one: Floats, other: Floats) -> Floats:
    """The dot product of each row of `one` (n, d) with each of `other` (m, d), float32 (n, m).

    On one thread: NumPy's own would wait for each other where many pairs are worked on side by side.
    """
    cv2 = _cv2()
    dots: Floats = cv2.gemm(one, other, 1.0, None, 0.0, flags=cv2.GEMM_2_T)
    return dots


def blur(picture: Floats, sigma: float) -> Floats:
    """Gaussian blur; beyond the edge lies its mirror image."""
    blurred: Floats = _cv2().GaussianBlur(picture, (0, 0), sigma)
    return blurred


def resize(picture: Any, size: tuple[int, int]) -> Any:
    """`picture` at (width, height) `size`: areas averaged on the way down, bicubic on the way up."""
    cv2 = _cv2()
    smaller = size[0] < picture.shape[1]
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)


def grow(mask: NDArray[np.uint8], by: int) -> NDArray[np.uint8]:
    """`mask` with every true pixel grown to a square of `by` pixels each way."""
    grown: NDArray[np.uint8] = _cv2().dilate(mask, np.ones((2 * by + 1, 2 * by + 1), np.uint8))
    return grown


def span(grey: Grey) -> NDArray[np.uint8]:
    """Largest less smallest value of the 3 x 3 pixels around each."""
    cv2, around = _cv2(), np.ones((3, 3), np.uint8)
    spread: NDArray[np.uint8] = cv2.subtract(cv2.dilate(grey, around), cv2.erode(grey, around))
    return spread


def regions(mask: NDArray[np.uint8]) -> tuple[int, NDArray[np.int32], NDArray[np.int32]]:
    """Connected true pixels: how many labels, the label of each pixel (0: false), pixels by label."""
    count, labels, facts, _ = _cv2().connectedComponentsWithStats(mask, connectivity=4)
    return int(count), labels, facts[:, 4]
