"""What the order of answers is worth where it is known which are right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simsearch.views.base import Ids

DRAWS = 2000

Scores = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Figures:
    """What the answers to one query are worth.

    `together` is the number of right pictures, `within_3` how many of them are expected among the best 3.
    """

    average_precision: float
    precision_at_1: float
    precision_at_k: float
    recall_at_k: float
    within_3: float
    together: int


def figures_of(scores: Scores, own: int, right: Ids, k: int) -> Figures:
    """The figures of one query from its scores with all pictures.

    Average precision is the mean, over the right pictures, of the precision among all that score at least
    as much: that of scikit-learn's `average_precision_score`, ties included. Of pictures with equal scores
    around the k-th place each order is as likely, and precision and recall are their means over all orders.
    With fewer than k other pictures P@k is among those there are.

    Args:
        scores: float32 (n,); overwritten at `own`.
        own: the place of the query, which is no answer.
        right: places of the right answers, at least one.
        k: how many answers P@k and recall@k look at.
    """
    scores[own] = -np.inf
    ranked, good = np.sort(scores), np.sort(scores[right])
    above = len(ranked) - np.searchsorted(ranked, good, "right")
    reached = len(ranked) - np.searchsorted(ranked, good, "left")
    hits = len(good) - np.searchsorted(good, good, "left")

    def within(best: int) -> float:
        return float(np.clip((best - above) / (reached - above), 0.0, 1.0).sum())

    others = len(scores) - 1
    return Figures(
        float((hits / reached).mean()),
        within(1),
        within(k) / min(k, others),
        within(k) / len(right),
        within(3),
        len(right),
    )


def interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """95 % interval of the mean (percentile bootstrap); the same at every call."""
    chance = np.random.default_rng(0)
    count = len(values)
    means = [values[chance.integers(0, count, count)].mean() for _ in range(DRAWS)]
    low, high = np.percentile(means, [2.5, 97.5]).tolist()
    return low, high
