"""Scores of pairs that are known to be copies or not -> the score from which on pairs are called so."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TENTH = 10
"""So many times fewer false pairs are aimed at than are allowed: the rest of a collection holds other bursts,
which costs precision that more samples do not bring back."""

SHOWN = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)


@dataclass(frozen=True, slots=True)
class Point:
    """From a score on, which share of pairs is true, and which share of the true ones is found."""

    score: float
    precision: float
    recall: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """Where copies begin.

    Attributes:
        near: scores from here on are copies, at the precision aimed at, ten times as strict as asked.
        probable: scores from here on are probably copies, at the precision asked for.
        precision: the share of copies among the pairs from `near` on, on the samples.
        recall: the share of the copies of the samples that `near` finds.
        curve: the same for other scores, ascending.
        originals, edited: pictures that were edited, and the copies made of them.
        different: pairs of different pictures that the copies were held against.
        labels: pairs of which a person said what they are.
    """

    near: float
    probable: float
    precision: float
    recall: float
    curve: tuple[Point, ...]
    originals: int
    edited: int
    different: int
    labels: int


def cut_at(
    scores: NDArray[np.float64], truth: NDArray[np.bool_], weights: NDArray[np.float64], aim: float
) -> Point:
    """The lowest score from which on at least `aim` of the pairs, by weight, are true.

    Where even the surest pairs are not, the score is above all of them and the recall 0.
    """
    order = np.argsort(-scores, kind="stable")
    right = np.cumsum((weights * truth)[order])
    precision = right / np.cumsum(weights[order])
    # Pairs of one score are taken together: only the last of them is a place to cut.
    last = np.append(np.diff(scores[order]) != 0, True)
    good = np.flatnonzero((precision >= aim) & last)
    whole = float((weights * truth).sum())
    if not len(good) or not whole:
        return Point(1.0, 1.0, 0.0)
    at = good[-1]
    return Point(float(scores[order][at]), float(precision[at]), float(right[at] / whole))


def point_at(
    scores: NDArray[np.float64], truth: NDArray[np.bool_], weights: NDArray[np.float64], score: float
) -> Point:
    """Precision and recall, by weight, of calling copies what scores `score` or more.

    Where no pair does, nothing is called so falsely: the precision is 1.
    """
    chosen = weights * (scores >= score)
    right, all_in_all, whole = (float(w.sum()) for w in (chosen * truth, chosen, weights * truth))
    return Point(score, right / all_in_all if all_in_all else 1.0, right / whole if whole else 0.0)


def curve_of(
    scores: NDArray[np.float64], truth: NDArray[np.bool_], weights: NDArray[np.float64]
) -> tuple[Point, ...]:
    """Precision and recall at some scores."""
    return tuple(point_at(scores, truth, weights, score) for score in SHOWN)
