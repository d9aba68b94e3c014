"""How well pairs of queries and originals are ranked: micro-AP, recall at a precision, their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.dedup.data import Query

DRAWS, LEVEL = 1000, 0.95

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Answers:
    """What a method found: indices of queries and originals, and scores, larger ones surer; equal lengths."""

    queries: Ints
    originals: Ints
    scores: Floats


@dataclass(frozen=True, slots=True)
class Judged:
    """Answers that count, by falling score, and whether each is right; the queries they are answers to."""

    answers: Answers
    right: NDArray[np.bool_]
    asked: tuple[Query, ...]

    @property
    def own(self) -> Ints:
        """For each query the original it was made of, or -1 where nothing is to be found."""
        return np.asarray([query.original if query.truth(query.original) else -1 for query in self.asked])


@dataclass(frozen=True, slots=True)
class Curve:
    """Precision and recall where the answers end at a score, for each different score, falling."""

    thresholds: Floats
    precision: Floats
    recall: Floats


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures of a method; `spread` holds the 95 % interval of each of the first three."""

    micro_ap: float
    recall_99: float
    recall_999: float
    recall_first: float
    threshold_99: float
    spread: tuple[tuple[float, float], ...]


def judge(asked: Sequence[Query], answers: Answers) -> Judged:
    """Leave out the answers that do not count, see Query.truth, and sort the others."""
    pairs = zip(answers.queries.tolist(), answers.originals.tolist(), strict=True)
    truths = [asked[query].truth(original) for query, original in pairs]
    kept = np.asarray([n for n, truth in enumerate(truths) if truth is not None], dtype=np.int64)
    order = kept[np.argsort(-answers.scores[kept], kind="stable")]
    right = np.asarray([truths[n] for n in order], dtype=np.bool_)
    chosen = Answers(answers.queries[order], answers.originals[order], answers.scores[order])
    return Judged(chosen, right, tuple(asked))


def curve(judged: Judged, weights: Floats | None = None) -> Curve:
    """Precision and recall over all answers together; answers of equal scores are taken together.

    Args:
        judged: the answers, sorted.
        weights: how often each query counts, once each where there are none.
    """
    often = np.ones(len(judged.asked)) if weights is None else weights
    positives = float(often[judged.own >= 0].sum())
    weight = often[judged.answers.queries]
    scores = judged.answers.scores
    ends = np.flatnonzero(np.diff(scores, append=-np.inf))
    found = np.cumsum(weight * judged.right)[ends]
    shown = np.cumsum(weight)[ends]
    some = shown > 0
    return Curve(scores[ends][some], found[some] / shown[some], found[some] / max(positives, 1.0))


def micro_ap(curve: Curve) -> float:
    """Micro-average precision, the measure of the Image Similarity Challenge (arXiv:2106.09672, section 4).

    Precision summed over the steps of recall. What was never found adds nothing.
    """
    return float(np.sum(np.diff(curve.recall, prepend=0.0) * curve.precision))


def recall_at(curve: Curve, precision: float) -> tuple[float, float]:
    """The largest recall where the precision is no less, and its threshold; 0 and infinity for none."""
    fit = np.flatnonzero(curve.precision >= precision)
    if not len(fit):
        return 0.0, float("inf")
    return float(curve.recall[fit[-1]]), float(curve.thresholds[fit[-1]])


def recall_first(judged: Judged) -> float:
    """The share of the queries that have an original whose best answer is this one, first of equals."""
    own = judged.own
    _, places = np.unique(judged.answers.queries, return_index=True)
    best = np.full(len(own), -1, dtype=np.int64)
    best[judged.answers.queries[places]] = judged.answers.originals[places]
    return float(np.mean(best[own >= 0] == own[own >= 0]))


def recall_by_edit(judged: Judged, threshold: float) -> dict[str, float]:
    """For each edit, in the order of the queries, the share whose original is found from a threshold on."""
    found = judged.answers.queries[judged.right & (judged.answers.scores >= threshold)]
    hit = np.isin(np.arange(len(judged.asked)), found)
    edits: dict[str, list[bool]] = {}
    for query, own, was_hit in zip(judged.asked, judged.own, hit, strict=True):
        if own >= 0:
            edits.setdefault(query.edit, []).append(bool(was_hit))
    return {edit: float(np.mean(hits)) for edit, hits in edits.items()}


def summary(judged: Judged, draws: int = DRAWS) -> Summary:
    """All figures of a method, with intervals by drawing originals again and again with replacement.

    An original counts with all its queries, edited or not. Those that were edited are drawn among
    themselves, so that each draw has as many edited queries.
    """
    whole = curve(judged)
    rows = np.asarray([_three(curve(judged, weights)) for weights in _draws(judged, draws)])
    rest = 100 * (1 - LEVEL) / 2
    ends = np.percentile(rows, (rest, 100 - rest), axis=0).T if len(rows) else np.empty((0, 2))
    return Summary(
        *_three(whole),
        recall_first(judged),
        recall_at(whole, 0.99)[1],
        tuple((float(low), float(high)) for low, high in ends),
    )


def _three(curve: Curve) -> tuple[float, float, float]:
    return micro_ap(curve), recall_at(curve, 0.99)[0], recall_at(curve, 0.999)[0]


def _draws(judged: Judged, draws: int) -> list[Floats]:
    """How often each query counts in each of some draws of originals."""
    of_query = np.asarray([query.original for query in judged.asked])
    originals = np.unique(of_query)
    edited = np.isin(originals, of_query[judged.own >= 0])
    chance = np.random.default_rng(0)
    drawn = []
    for _ in range(draws):
        often = np.zeros(int(originals.max()) + 1)
        for stratum in (originals[edited], originals[~edited]):
            if len(stratum):
                np.add.at(often, chance.choice(stratum, len(stratum)), 1)
        drawn.append(often[of_query])
    return drawn
