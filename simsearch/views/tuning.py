"""Choosing how hard a view searches, so that the measured recall is met with confidence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from simsearch.views.base import Ids

RERANKED = (20, 30, 40, 50, 60, 80, 100, 120, 150, 180, 220, 260, 320, 400)
BOUND = 1.645
"""Standard errors from the mean to the lower end of a one-sided 95 % interval."""


@dataclass(frozen=True, slots=True)
class Setting:
    """How a view is searched: lists probed (for HNSW the length of its candidate list, efSearch), candidates
    re-ranked, and recall@10 measured with them."""

    nprobe: int
    reranked: int
    recall: float


@dataclass(frozen=True, slots=True)
class Effort:
    """One step of the search for a setting: lists probed, the most candidates it gives, and its cost.

    `cost` is in rows re-ranked.
    """

    nprobe: int
    most: int
    cost: float


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
    search: Callable[[int, int], list[Ids]], truth: Sequence[Ids], efforts: Sequence[Effort], wanted: float
) -> Setting:
    """The cheapest setting whose lower 95 % bound of recall@10 reaches `wanted`, else the best one.

    `search(nprobe, k)` gives the candidates of the held-out queries whose true neighbours are `truth`.
    One search at the largest k gives every smaller number of re-ranked rows. An effort that costs more
    than the best setting so far is not tried.
    """
    best: tuple[float, Setting] | None = None
    fallback = Setting(0, 0, -1.0)
    for effort in efforts:
        if best is not None and effort.cost + RERANKED[0] >= best[0]:
            continue
        found = search(effort.nprobe, effort.most)
        for reranked in [r for r in RERANKED if r <= effort.most]:
            recall, error = recall_at_10(truth, found, reranked)
            setting = Setting(effort.nprobe, reranked, recall)
            if recall > fallback.recall:
                fallback = setting
            cost = effort.cost + reranked
            if recall - BOUND * error >= wanted and (best is None or cost < best[0]):
                best = cost, setting
    return best[1] if best else fallback
