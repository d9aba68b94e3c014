"""Variety among the best: each answer is to be like the query and unlike the answers before it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simsearch.views.base import Vectors

AMONG = 500
"""So many of the best are put in this order; what comes after them stays in its own."""

BALANCE = 0.7
"""What likeness to the query counts where nothing else is said; variety counts the rest."""

_DECIMALS = 7


def by_relevance_and_variety(
    scores: NDArray[np.float64], vectors: Vectors, balance: float, count: int
) -> list[int]:
    """The places of `count` of n candidates by maximal marginal relevance, as it picks them.

    Each pick has the highest balance * score - (1 - balance) * (its highest cosine with those picked before),
    the first of equals. Carbonell and Goldstein, 1998: https://doi.org/10.1145/290941.291025

    Args:
        scores: (n,) cosines with the query, best first.
        vectors: float32 (n, dim), unit length.
        balance: 1 is the order of the scores, 0 the greatest variety.
    """
    rows = vectors.astype(np.float64)
    closest = np.full(len(rows), -np.inf)
    left = np.ones(len(rows), dtype=bool)
    picked: list[int] = []
    for _ in range(min(count, len(rows))):
        values = balance * scores
        if picked:
            closest = np.maximum(closest, rows @ rows[picked[-1]])
            values = values - (1 - balance) * closest
        # Equal vectors give products that differ in their last bits; they are to be equals.
        best = int(np.argmax(np.where(left, np.round(values, _DECIMALS), -np.inf)))
        left[best] = False
        picked.append(best)
    return picked
