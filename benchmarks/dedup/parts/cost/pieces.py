"""What one picture and one pair cost, in CPU milliseconds of one thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from benchmarks.dedup.data import COPIES, UNEDITED, Task
from benchmarks.dedup.ours import Sides
from benchmarks.dedup.quality import EXTREME
from simsearch.dedup.candidates.pairs import Side, within
from simsearch.dedup.features.collect import LONGEST
from simsearch.dedup.features.describe import describe
from simsearch.dedup.verify.classifier import shipped
from simsearch.dedup.verify.judge import judge
from simsearch.dedup.verify.prepare import Prepared, prepare
from simsearch.framing import Fitting
from simsearch.media.decode import decode

PICTURES, PAIRS = 200, 1000

T = TypeVar("T")
Pieces = dict[str, tuple[int, float]]
"""By what was measured: how many of it, and the mean."""


def of_pictures(photos: Sequence[Path]) -> Pieces:
    """Decoding as for a comparison, and the features of what was decoded; an even sample."""
    files = [photo.read_bytes() for photo in _even(photos, PICTURES)]
    decoded, decoding = _each(files, lambda data: decode(data, Fitting(LONGEST))[1])
    features, describing = _each(decoded, describe)
    _, preparing = _each(features, prepare)
    count = len(files)
    return {
        "decoding": (count, decoding),
        "features": (count, describing),
        "features, with decoding": (count, decoding + describing),
        "made ready to be compared": (count, preparing),
    }


def of_pairs(task: Task, found: Sides) -> Pieces:
    """The judge alone: of different photos that are candidates of each other, and of edited copies."""
    classifier, pieces = shipped(), {}
    for name, pairs in (
        ("a pair of different photos", _different(task, found)),
        ("a photo and its edited copy", _copies(task, found)),
    ):
        ready = [(_prepared(one, at), _prepared(other, there)) for (one, at), (other, there) in pairs]
        _, mean = _each(ready, lambda pair: judge(*pair, classifier))
        pieces[name] = len(ready), mean
    return pieces


Place = tuple[Side, int]


def _different(task: Task, found: Sides) -> list[tuple[Place, Place]]:
    base = found.base
    stems = [{task.originals[n].stem for n in numbers} for numbers in found.numbers[0]]
    known = [{f"{one}", f"{other}"} for one, other in COPIES]
    # A picture of another source may be a part of one, which is a copy.
    photo = [all(stem.isdecimal() for stem in own) for own in stems]
    pairs = [
        (one, other)
        for one, other in within(base)
        if photo[one] and photo[other] and not any(both <= stems[one] | stems[other] for both in known)
    ]
    return [((base, one), (base, other)) for one, other in _even(pairs, PAIRS)]


def _copies(task: Task, found: Sides) -> list[tuple[Place, Place]]:
    place = {n: where for where, numbers in enumerate(found.numbers[0]) for n in numbers}
    pairs = []
    for where, numbers in enumerate(found.numbers[1]):
        query = task.asked[numbers[0]]
        known = found.base.hashes.known[place[query.original]] and found.asked.hashes.known[where]
        if query.edit != UNEDITED and query.kind != EXTREME and known:
            pairs.append(((found.base, place[query.original]), (found.asked, where)))
    return _even(pairs, PAIRS)


def _prepared(side: Side, place: int) -> Prepared:
    features = side.kept(place)
    if features is None:
        raise RuntimeError(f"the picture {side.collection.pictures[place].paths[0]} cannot be read")
    return prepare(features)


def _even(items: Sequence[T], most: int) -> list[T]:
    """At most so many of them, spread evenly."""
    step = max(1.0, len(items) / most)
    return [items[int(number * step)] for number in range(min(len(items), most))]


R = TypeVar("R")


def _each(items: Iterable[T], work: Callable[[T], R]) -> tuple[list[R], float]:
    """The results, and the mean CPU milliseconds of one; the first ran once before, which loads libraries."""
    known = list(items)
    if not known:
        return [], 0.0
    work(known[0])
    started = time.process_time()
    results = [work(item) for item in known]
    return results, (time.process_time() - started) * 1e3 / len(known)
