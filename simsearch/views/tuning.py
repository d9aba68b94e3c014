"""Choosing how hard a view searches, so that the measured recall is met with confidence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from simsearch.views.base import Blocks, Ids, Owners, Vectors
from simsearch.views.exact import ExactView
from simsearch.views.training import held_out

HELD_OUT = 500
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

    Of several that are best it is the one that searches hardest. So it is for 1.0: a sample without a miss
    does not show that there are none.

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
            if recall >= fallback.recall:
                fallback = setting
            cost = effort.cost + reranked
            if wanted < 1.0 and recall - BOUND * error >= wanted and (best is None or cost < best[0]):
                best = cost, setting
    return best[1] if best else fallback


Candidates = Callable[[Vectors, int, int], list[Ids]]
"""(queries, k, nprobe) -> candidate ids of each query, best first."""


@dataclass(frozen=True, slots=True)
class Trial:
    """Held-out rows as queries, by which a view is tuned and measured: their ids, themselves, and the true
    ten nearest others of each."""

    own: Ids
    queries: Vectors
    truth: Sequence[Ids]

    @classmethod
    def of(cls, blocks: Blocks, total: int, owners: Owners | None) -> Trial:
        """500 rows of a collection; of pictures with several rows, the truth is the best row of each."""
        own, queries = held_out(blocks, total, HELD_OUT)
        if owners is None:
            return cls(own, queries, without(ExactView(blocks).search(queries, 11), own, 10))
        nearest = ExactView(blocks).search(queries, 11 * owners.each)
        truth = [owners.best(ids, row, 10) for ids, row in zip(nearest, own.tolist(), strict=True)]
        return cls(own, queries, truth)

    def tuned(self, candidates: Candidates, efforts: Sequence[Effort], wanted: float) -> Setting:
        """See `tune`."""
        return tune(lambda nprobe, k: self._found(candidates, nprobe, k), self.truth, efforts, wanted)

    def measured(self, candidates: Candidates, nprobe: int, reranked: int) -> Setting:
        """A setting with its recall."""
        found = self._found(candidates, nprobe, reranked)
        return Setting(nprobe, reranked, recall_at_10(self.truth, found, reranked)[0])

    def _found(self, candidates: Candidates, nprobe: int, k: int) -> list[Ids]:
        return without(candidates(self.queries, k + 1, nprobe), self.own, k)


def without(found: Sequence[Ids], own: Ids, k: int) -> list[Ids]:
    """The first `k` ids of each query but its own."""
    return [ids[ids != mine][:k] for ids, mine in zip(found, own, strict=True)]
