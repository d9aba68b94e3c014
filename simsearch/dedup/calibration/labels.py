"""Pairs that a person was asked about, and those that it would teach most to ask about next."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from simsearch.dedup.records import Pair, Picture
from simsearch.storage.answers import Label as Said

Judge = Callable[[Sequence[tuple[int, int]]], Iterable[Pair]]
"""Judges pairs of pictures by their ids, the lower one first."""

LEAST, MOST = 1e-4, 1 - 1e-5
"""Scores outside of these are certain enough."""


@dataclass(frozen=True, slots=True)
class Label:
    """The score of two pictures, by id, of which a person said whether they are one."""

    pair: tuple[int, int]
    score: float
    same: bool


def labelled(said: Iterable[Said], pictures: Sequence[Picture], judge: Judge) -> tuple[Label, ...]:
    """The labels of pairs of these pictures with their scores, in the order of the labels.

    The pairs are judged for it: they need not be such that anything else would compare.
    """
    ids = {picture.sha256: picture.id for picture in pictures}
    there = [label for label in said if label.first in ids and label.second in ids]
    pairs = [_in_order(ids[label.first], ids[label.second]) for label in there]
    scores = {(pair.first, pair.second): pair.score for pair in judge(pairs)}
    return tuple(
        Label(pair, scores[pair], label.same)
        for label, pair in zip(there, pairs, strict=True)
        if pair in scores
    )


def to_ask(
    judged: Iterable[Pair], pictures: Sequence[Picture], said: Iterable[Said], near: float, wanted: int
) -> list[Pair]:
    """At most `wanted` pairs of which an answer would teach most: scores next to `near`, no picture twice.

    That is uncertainty sampling (Lewis and Gale, SIGIR 1994), by the distance of log odds. Pairs that were
    answered, and those that are certain, are left out.
    """
    known = {_ordered(label.first, label.second) for label in said}
    open_pairs = [pair for pair in judged if LEAST < pair.score < MOST and _key(pictures, pair) not in known]
    open_pairs.sort(key=lambda pair: (abs(_odds(pair.score) - _odds(near)), pair.first, pair.second))
    chosen: list[Pair] = []
    used: set[int] = set()
    for pair in open_pairs:
        if len(chosen) == wanted:
            break
        if used.isdisjoint((pair.first, pair.second)):
            chosen.append(pair)
            used |= {pair.first, pair.second}
    return chosen


def _odds(score: float) -> float:
    held = min(max(score, 1e-9), 1 - 1e-9)
    return math.log(held / (1 - held))


def _key(pictures: Sequence[Picture], pair: Pair) -> tuple[bytes, bytes]:
    return _ordered(pictures[pair.first].sha256, pictures[pair.second].sha256)


def _ordered(one: bytes, other: bytes) -> tuple[bytes, bytes]:
    return (one, other) if one < other else (other, one)


def _in_order(one: int, other: int) -> tuple[int, int]:
    return (one, other) if one < other else (other, one)
