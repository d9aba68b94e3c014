"""Candidate pairs of a task with their ten numbers, as the classifier sees them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.dedup.data import Task
from benchmarks.dedup.ours import Sides
from simsearch.dedup.candidates.pairs import between
from simsearch.dedup.features.ahead import spread
from simsearch.dedup.features.describe import Features
from simsearch.dedup.verify.judge import alignments
from simsearch.dedup.verify.prepare import Prepared, prepare
from simsearch.models.runners import available_threads


@dataclass(frozen=True, slots=True)
class Compared:
    """A pair of a task: places of the query and of the original, the truth, the numbers of each alignment."""

    query: int
    original: int
    truth: bool
    numbers: tuple[NDArray[np.float64], ...]


def compared(task: Task, found: Sides) -> list[Compared]:
    """Every pair that the stages before the classifier give, and those that they should have given."""
    base, asked = found.base, found.asked
    wanted: dict[int, list[int]] = {}
    for query_place, original_place in between(base, asked):
        for query in found.numbers[1][query_place]:
            wanted.setdefault(query, []).extend(found.numbers[0][original_place])
    places = {number: place for place, numbers in enumerate(found.numbers[0]) for number in numbers}
    originals = {number: _prepared(base.kept(place)) for number, place in places.items()}

    def worked_out(place: int) -> list[Compared]:
        ready = _prepared(asked.kept(place))
        return [pair for query in found.numbers[1][place] for pair in one(query, ready)]

    def one(query: int, ready: Prepared) -> Iterator[Compared]:
        told = task.asked[query]
        own = [told.original] if told.truth(told.original) else []
        for original in dict.fromkeys([*wanted.get(query, []), *own]):
            truth = told.truth(original)
            if truth is not None:
                numbers = tuple(values for _, values in alignments(originals[original], ready))
                yield Compared(query, original, truth, numbers)

    bundles = spread(worked_out, range(len(found.numbers[1])), available_threads())
    return [pair for bundle in bundles for pair in bundle]


def files(task: Task) -> tuple[Sequence[Path], Sequence[Path]]:
    """The originals, and the files that are asked with."""
    return task.originals, [query.path for query in task.asked]


def _prepared(features: Features | None) -> Prepared:
    if features is None:
        raise ValueError("a picture of the task cannot be read")
    return prepare(features)
