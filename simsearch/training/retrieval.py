"""How well pictures of one class find each other: average precision of each, leave-one-out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simsearch.views.figures import figures_of

_QUERIES = 512


def average_precisions(vectors: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """The average precision of every picture whose class has another one, in their order.

    Each asks all others; scores are cosines in float64, rounded to float32, and equal ones count together,
    as in `simsearch eval`.

    Args:
        vectors: float32 (n, dim), of length 1.
        labels: int64 (n,), the class of each.
    """
    found = []
    exact = vectors.astype(np.float64)
    for start in range(0, len(vectors), _QUERIES):
        scores = np.clip(exact[start : start + _QUERIES] @ exact.T, -1.0, 1.0).astype(np.float32)
        for row, own in zip(scores, range(start, len(vectors)), strict=False):
            right = np.flatnonzero(labels == labels[own])
            right = right[right != own]
            if len(right):
                found.append(figures_of(row, own, right, 1).average_precision)
    return np.array(found)
