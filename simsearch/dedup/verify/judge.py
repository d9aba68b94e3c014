"""A pair of pictures -> the probability that one is a copy of the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simsearch.dedup.verify.align import numbers
from simsearch.dedup.verify.classifier import Classifier
from simsearch.dedup.verify.forms import whole_frame
from simsearch.dedup.verify.match import Placed, matches, place
from simsearch.dedup.verify.prepare import Prepared


@dataclass(frozen=True, slots=True)
class Judgement:
    """What was found of two pictures.

    Attributes:
        score: the probability that one is a copy of the other.
        inliers: the most points of both that agree on a place, which tells one scene from another.
        placed: how the first lies on the second where `score` is highest; None where it cannot be laid on it.
    """

    score: float
    inliers: int
    placed: Placed | None


def alignments(one: Prepared, other: Prepared) -> list[tuple[Placed, NDArray[np.float64]]]:
    """Every way `one` may lie on `other`, with its ten numbers: by points, by mirrored points, whole."""
    found = []
    places, others = one.features.places, other.features.places
    for points, width in ((other.points, None), (other.mirror, other.size[0])):
        rows, columns = matches(one.points, points)
        found.append(place(places[rows], others[columns], one.size, mirror_width=width))
    found.append(whole_frame(one, other))
    measured = ((placed, numbers(one, other, placed)) for placed in found if placed is not None)
    return [(placed, values) for placed, values in measured if values is not None]


def judge(one: Prepared, other: Prepared, classifier: Classifier) -> Judgement:
    """The likeliest of all alignments; score 0.0 where the two cannot be laid on each other."""
    best = Judgement(0.0, 0, None)
    for placed, values in alignments(one, other):
        score = classifier.probability(values)
        inliers = max(best.inliers, placed.inliers)
        best = (
            Judgement(score, inliers, placed)
            if score > best.score
            else Judgement(best.score, inliers, best.placed)
        )
    return best
