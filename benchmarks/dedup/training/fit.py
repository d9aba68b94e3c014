"""Ten numbers of many pairs -> the coefficients and the two thresholds of the classifier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.dedup.data import Task
from benchmarks.dedup.training.pairs import Compared
from simsearch.dedup.stages.judging import SAME_SCENE
from simsearch.dedup.verify.classifier import Classifier, expanded

Floats = NDArray[np.float64]

HARD = 5.0
"""A pair of different shots of one scene weighs so much more than others: there are few of them."""

STRENGTHS = (0.1, 0.3, 1.0, 3.0, 10.0)
EXTREME = "extreme"
NEAR, PROBABLE = 0.999, 0.99


@dataclass(frozen=True, slots=True)
class Samples:
    """What is fitted: numbers (n, 10), truth and weight (n,), and the group of the query and the original."""

    numbers: Floats
    truth: NDArray[np.bool_]
    weights: Floats
    groups: NDArray[np.int64]

    def where(self, keep: NDArray[np.bool_]) -> Samples:
        """Some of them."""
        return Samples(self.numbers[keep], self.truth[keep], self.weights[keep], self.groups[keep])


def samples_of(pairs: Sequence[Compared], task: Task, groups: Sequence[int]) -> Samples:
    """One alignment of a true pair, the one that explains most; every alignment of a false one.

    The extreme edits are left out. `groups` is by original; no group is trained on and judged at once.
    """
    rows: list[Floats] = []
    told: list[tuple[bool, float, tuple[int, int]]] = []
    for pair in pairs:
        query = task.asked[pair.query]
        if query.kind == EXTREME or not pair.numbers:
            continue
        sides = groups[query.original], groups[pair.original]
        if pair.truth:
            rows.append(max(pair.numbers, key=lambda values: float(values[3] * values[7])))
            told.append((True, 1.0, sides))
        else:
            for values in pair.numbers:
                rows.append(values)
                told.append((False, HARD if values[0] > np.log1p(SAME_SCENE) else 1.0, sides))
    truth, weights, both = zip(*told, strict=True)
    return Samples(np.array(rows), np.array(truth), np.array(weights), np.array(both))


def fitted(samples: Samples, strength: float) -> Classifier:
    """The quadratic logistic regression of the samples, without thresholds yet."""
    from sklearn.linear_model import LogisticRegression

    mean, deviation = samples.numbers.mean(axis=0), samples.numbers.std(axis=0)
    model = LogisticRegression(C=strength, max_iter=5000)
    model.fit(expanded((samples.numbers - mean) / deviation), samples.truth, sample_weight=samples.weights)
    return Classifier("", mean, deviation, model.coef_[0], float(model.intercept_[0]), 1.0, 1.0)


def trained(pairs: Sequence[Compared], task: Task, groups: Sequence[int]) -> tuple[Classifier, float]:
    """The classifier, and the strength that was chosen.

    The strength and both thresholds come of cross-validation over the groups: what a pair scores is told by a
    model that saw neither its query's nor its original's group.
    """
    samples = samples_of(pairs, task, groups)
    truth = np.array([pair.truth for pair in pairs])
    usual = np.array([task.asked[pair.query].kind != EXTREME for pair in pairs])
    best: tuple[float, float, Floats] | None = None
    for strength in STRENGTHS:
        scores = _cross_validated(pairs, task, groups, samples, strength)
        reached, _ = _recall_at(scores[usual], truth[usual], NEAR)
        if best is None or reached > best[0]:
            best = reached, strength, scores
    if best is None:
        raise ValueError("no strength to choose from")
    _, strength, scores = best
    cuts = [_recall_at(scores[usual], truth[usual], precision)[1] for precision in (NEAR, PROBABLE)]
    return replace(fitted(samples, strength), threshold=cuts[0], probable=cuts[1]), strength


def _cross_validated(
    pairs: Sequence[Compared], task: Task, groups: Sequence[int], samples: Samples, strength: float
) -> Floats:
    scores = np.zeros(len(pairs))
    own = np.array([groups[task.asked[pair.query].original] for pair in pairs])
    for group in sorted(set(own.tolist())):
        model = fitted(samples.where((samples.groups != group).all(axis=1)), strength)
        for place in np.flatnonzero(own == group).tolist():
            scores[place] = max((model.probability(values) for values in pairs[place].numbers), default=0.0)
    return scores


def _recall_at(scores: Floats, truth: NDArray[np.bool_], precision: float) -> tuple[float, float]:
    """The largest recall at a precision, and the score from which on it is had."""
    order = np.argsort(-scores, kind="stable")
    right = np.cumsum(truth[order])
    good = np.flatnonzero(right / np.arange(1, len(order) + 1) >= precision)
    if not len(good):
        return 0.0, 1.0
    return float(right[good[-1]] / max(int(truth.sum()), 1)), float(scores[order][good[-1]])
