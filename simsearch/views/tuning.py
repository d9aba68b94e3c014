"""Choosing nprobe and the number of re-ranked rows so that the measured recall is met with confidence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from simsearch.views.base import Ids

NPROBES = (8, 16, 32, 64, 128, 256)
RERANKED = (50, 80, 120, 180, 260, 400)
# A re-ranked row costs about as much as 50 scanned codes: 2.4 ms for 120 rows, .5 ms for 6,000 codes.
ROW_COST = 50.0


@dataclass(frozen=True, slots=True)
class Setting:
    """How a view is searched: lists probed, candidates re-ranked, and recall@10 measured with them."""

    nprobe: int
    reranked: int
    recall: float


def recall_at_10(truth: Sequence[Ids], candidates: Sequence[Ids], reranked: int) -> tuple[float, float]:
    """Mean recall@10 and its standard error when the first `reranked` candidates are ranked exactly.

    Exact re-ranking returns every true neighbour that is among the candidates, so recall is their share.
    """
    shares = np.array(
        [np.isin(t, c[:reranked]).mean() if len(t) else 1.0 for t, c in zip(truth, candidates, strict=True)]
    )
    error = shares.std(ddof=1) / np.sqrt(len(shares)) if len(shares) > 1 else 0.0
    return float(shares.mean()), float(error)


def tune(
    search: Callable[[int, int], list[Ids]], truth: Sequence[Ids], *, lists: int, rows: int, wanted: float
) -> Setting:
    """The cheapest setting whose lower 95 % bound of recall@10 reaches `wanted`, else the best one.

    `search(nprobe, k)` gives the candidates of the held-out queries whose true neighbours are `truth`.
    One search at the largest k gives every smaller number of re-ranked rows.
    """
    best: tuple[float, Setting] | None = None
    fallback = Setting(0, 0, -1.0)
    for nprobe in (*[n for n in NPROBES if n < lists], lists):
        found = search(nprobe, RERANKED[-1])
        for reranked in RERANKED:
            recall, error = recall_at_10(truth, found, reranked)
            setting = Setting(nprobe, reranked, recall)
            if recall > fallback.recall:
                fallback = setting
            cost = nprobe * rows / lists + ROW_COST * reranked
            if recall - 1.645 * error >= wanted and (best is None or cost < best[0]):
                best = cost, setting
    return best[1] if best else fallback
