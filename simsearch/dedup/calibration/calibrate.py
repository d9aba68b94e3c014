"""Edits some of a collection's own pictures, scores the copies, and says where copies begin here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from heapq import nlargest

import numpy as np

from simsearch.dedup.calibration.curve import TENTH, Calibration, curve_of, cut_at, point_at
from simsearch.dedup.calibration.edits import EDITS, Pixels, edited
from simsearch.dedup.calibration.labels import Label
from simsearch.dedup.features.ahead import spread
from simsearch.dedup.features.collect import Collector, read_picture
from simsearch.dedup.features.describe import describe
from simsearch.dedup.records import Pair, Picture
from simsearch.dedup.verify.classifier import Classifier
from simsearch.dedup.verify.judge import judge
from simsearch.dedup.verify.prepare import Prepared, prepare
from simsearch.errors import SimsearchError
from simsearch.framing import Fitting
from simsearch.media.decode import DecodeLimits
from simsearch.media.pool import DecodePool
from simsearch.models.runners import available_threads
from simsearch.records import Decoded

FEWEST, MOST = 10, 40
LONGEST = 1024
HELD_AGAINST = 8
"""Of so many of a picture's neighbours each of its copies is told apart."""

SUSPECT = 0.25
SAID = 20.0
"""What a person says of one pair weighs as much as so many pairs that were made."""


Scored = tuple[float, bool, float]
"""A pair: its score, whether it is a copy, and its weight."""


@dataclass(frozen=True, slots=True)
class CalibrationOptions:
    """What people said of pairs, the share of copies wanted among those called so, most pixels to decode."""

    labels: tuple[Label, ...]
    precision: float
    max_pixels: int
    workers: int | None = None


@dataclass(frozen=True, slots=True)
class _Sample:
    """A picture to edit, and neighbours that are other pictures, each with its score towards that one."""

    picture: Picture
    others: tuple[tuple[Picture, float], ...]


def calibrate(
    pictures: Sequence[Picture],
    judged: Sequence[Pair],
    tools: tuple[Collector, Classifier],
    options: CalibrationOptions,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Calibration:
    """Where copies begin, told by 10 to 40 pictures of the collection, spread evenly, with 22 edits each.

    A true pair is a copy with its picture; a false one a copy, or the picture itself, with a neighbour that
    it was compared with. Pictures that have a copy in the collection, by their score or by what a person
    said, are not edited and not held against. What people said counts beside the pairs that are made.

    Args:
        judged: pairs of the collection with their scores.
        tools: the features of the pictures, and the classifier.
        options: what is wanted, and what people said.

    Raises SimsearchError where fewer than 10 pictures can be read and have a neighbour that is no copy.
    """
    collector, classifier = tools
    samples = _chosen(pictures, judged, classifier, options.labels)
    scores: list[Scored] = []
    used = 0
    threads = options.workers or available_threads()
    with DecodePool(threads, Fitting(LONGEST), limits=DecodeLimits(max_pixels=options.max_pixels)) as pool:

        def scored(sample: _Sample) -> list[Scored] | None:
            return _scored(sample, pool, collector, classifier)

        for number, found in enumerate(spread(scored, samples, threads), start=1):
            if found is not None:
                used += 1
                scores += found
            progress(number, len(samples))
    if used < FEWEST:
        raise SimsearchError(
            f"A threshold of its own needs {FEWEST} pictures without a copy; {used} could be used here. "
            "Leave --threshold out, or name a number from 0 to 1."
        )
    return _calibration(scores, used, classifier, options)


def _calibration(
    made: Sequence[Scored], used: int, classifier: Classifier, options: CalibrationOptions
) -> Calibration:
    """The points on all pairs; what the classifier doubts is no copy, below half of that nothing probably."""
    labels, floor = options.labels, classifier.probable
    pairs = [*made, *((label.score, label.same, SAID) for label in labels)]
    values, truth, weights = (np.array(column) for column in zip(*pairs, strict=True))
    truth = truth.astype(bool)
    # What the samples did not meet, other pictures will: at the floor the classifier itself doubts.
    cut = cut_at(values, truth, weights, 1 - (1 - options.precision) / TENTH)
    # Where no score will do, the one that simsearch comes with is as good as any.
    near = max(cut.score, floor) if cut.recall else classifier.threshold
    probable = max(cut_at(values, truth, weights, options.precision).score, classifier.doubtful)
    told = point_at(values, truth, weights, near)
    edits = sum(copy for _, copy, _ in made)
    return Calibration(
        near,
        min(probable, near),
        told.precision,
        told.recall,
        curve_of(values, truth, weights),
        used,
        edits,
        len(made) - edits,
        len(labels),
    )


def _chosen(
    pictures: Sequence[Picture], judged: Sequence[Pair], classifier: Classifier, labels: Sequence[Label]
) -> list[_Sample]:
    said = {label.pair for label in labels if label.same}
    neighbours: dict[int, list[tuple[float, int]]] = {}
    copied: set[int] = set()
    for pair in judged:
        # Not even where a person called the two different: one slip would weigh as much as all their edits.
        if pair.score >= classifier.probable or (pair.first, pair.second) in said:
            copied |= {pair.first, pair.second}
        neighbours.setdefault(pair.first, []).append((pair.score, pair.second))
        neighbours.setdefault(pair.second, []).append((pair.score, pair.first))
    apart = {
        number: [(score, other) for score, other in near if other not in copied]
        for number, near in sorted(neighbours.items())
        if number not in copied
    }
    free = [number for number, near in apart.items() if near]
    step = max(1.0, len(free) / MOST)
    chosen = (free[int(place * step)] for place in range(min(len(free), MOST)))
    # The likeliest are those that are hardest to tell apart.
    return [
        _Sample(
            pictures[number],
            tuple((pictures[other], score) for score, other in nlargest(HELD_AGAINST, apart[number])),
        )
        for number in chosen
    ]


def _scored(
    sample: _Sample, pool: DecodePool, collector: Collector, classifier: Classifier
) -> list[Scored] | None:
    """The pairs of a sample, each of weight 1; None where it cannot be read."""
    decoded, own = read_picture(pool, sample.picture), collector.features(sample.picture)
    if not isinstance(decoded, Decoded) or own is None:
        return None
    original = prepare(own)
    kept = ((collector.features(other), score) for other, score in sample.others)
    others = [(prepare(features), [score]) for features, score in kept if features is not None]
    found: list[Scored] = []
    for name in EDITS:
        copy = _copy(decoded.pixels, name, sample.picture)
        found.append((judge(original, copy, classifier).score, True, 1.0))
        for other, scores in others:
            scores.append(judge(other, copy, classifier).score)
    for _, scores in others:
        # Many edits of a picture look like copies of another one only where that is a copy nobody noticed.
        if sum(score >= classifier.probable for score in scores) < SUSPECT * len(scores):
            found += [(score, False, 1.0) for score in scores]
    return found


def _copy(pixels: Pixels, name: str, picture: Picture) -> Prepared:
    return prepare(describe(edited(pixels, name, picture.sha256.hex())))
