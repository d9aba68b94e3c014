"""How well pictures of one class find each other: average precision of each, leave-one-out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

DRAWS = 2000
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
            row[own] = -np.inf
            right = labels == labels[own]
            right[own] = False
            if right.any():
                found.append(_average_precision(row, right))
    return np.array(found)


def _average_precision(scores: NDArray[np.float32], right: NDArray[np.bool_]) -> float:
    ranked, good = np.sort(scores), np.sort(scores[right])
    reached = len(ranked) - np.searchsorted(ranked, good, "left")
    hits = len(good) - np.searchsorted(good, good, "left")
    return float((hits / reached).mean())


def interval(differences: NDArray[np.float64]) -> tuple[float, float]:
    """The 95 % interval of the mean: percentile bootstrap, always the same draws."""
    chance = np.random.default_rng(0)
    means = [chance.choice(differences, len(differences)).mean() for _ in range(DRAWS)]
    low, high = np.percentile(means, (2.5, 97.5))
    return float(low), float(high)
