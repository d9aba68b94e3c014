"""Vectors, hashes and words -> the pairs of pictures that are compared; never all with all."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simsearch.dedup.candidates.collection import Collection
from simsearch.dedup.candidates.hashing import NearestHashes
from simsearch.dedup.candidates.nearest import NearestPictures, neighbours_for
from simsearch.dedup.candidates.words import Kept, SharedWords, Vocabulary, Words, drawn
from simsearch.dedup.features.ahead import spread
from simsearch.dedup.features.hashes import HashTable, distance
from simsearch.dedup.records import Picture
from simsearch.models.runners import available_threads
from simsearch.views.exact import one_thread

HASHED, WORDED = 2, 8
"""Pictures looked at that are nearest by PDQ, which finds what is turned or mirrored, and by shared words."""

NONE = -1
SAME_LOOK, SAME_HASH = 0.9, 8
"""Whitened cosine from which on, bits of PDQ up to which two pictures of one size may have equal pixels."""

FEW = 100
"""Of so few pictures whitened cosines say nothing: of two, they are opposites."""


@dataclass(frozen=True, slots=True)
class Side:
    """A collection with what was read of its pictures; `kept` gives their features by place."""

    collection: Collection
    hashes: HashTable
    kept: Kept


class PairTable:
    """Pairs of places, each once and those of one place together; read as often as wanted.

    Memory is four bytes a neighbour. `table` holds the neighbours of each asked place, int32 (n, k), -1 for
    none; `itself` says that the asked are the others, so that a pair may be named from both sides.
    """

    def __init__(
        self, table: NDArray[np.int32], known: tuple[NDArray[np.bool_], ...], *, itself: bool
    ) -> None:
        self._table, self._itself = table, itself
        self._asked, self._others = known[0], known[-1]

    def __iter__(self) -> Iterator[tuple[int, int]]:
        for place in np.flatnonzero(self._asked).tolist():
            for other in dict.fromkeys(self._table[place].tolist()):
                # A pair that both sides name comes with the lower one.
                late = self._itself and place > other and place in self._table[other]
                if other >= 0 and self._others[other] and not late:
                    yield place, other

    @functools.cached_property
    def count(self) -> int:
        """How many pairs there are."""
        return sum(1 for _ in self)


def within(side: Side) -> PairTable:
    """The pairs of places of a collection that are worth a comparison.

    The nearest by whitened vectors, by PDQ over eight forms and by shared words; a picture that was not read
    is in no pair.
    """
    if len(side.collection) < 2:
        return PairTable(np.zeros((len(side.collection), 0), np.int32), (side.hashes.known,), itself=True)
    return PairTable(_table(side, side, itself=True), (side.hashes.known,), itself=True)


def between(base: Side, asked: Side) -> PairTable:
    """The pairs (place in `asked`, place in `base`) of two collections."""
    known = (asked.hashes.known, base.hashes.known)
    if not len(base.collection) or not len(asked.collection):
        return PairTable(np.zeros((len(asked.collection), 0), np.int32), known, itself=False)
    return PairTable(_table(base, asked, itself=False), known, itself=False)


def of_one_look(collection: Collection) -> Iterator[tuple[int, int]]:
    """The pairs (lower place, higher one) that may have equal pixels: of one size, with nearly one vector."""
    chosen: set[tuple[int, int]] = set()
    for place, other in of_one_look_between(collection, collection):
        pair = (min(place, other), max(place, other))
        if other != place and pair not in chosen:
            chosen.add(pair)
            yield pair


def of_one_look_between(base: Collection, asked: Collection) -> Iterator[tuple[int, int]]:
    """The same of two collections: pairs (place in `asked`, place in `base`)."""
    count = len(base)
    nearest, least = NearestPictures(base.rows, count), SAME_LOOK if count > FEW else -np.inf
    blocks = nearest.search(asked.rows, len(asked), neighbours_for(count) + 1)
    rows = (row for block in blocks for row in zip(*block, strict=True))
    for place, (found, scores) in enumerate(rows):
        for other in found[(scores >= least) & (found >= 0)].tolist():
            if _of_one_size(asked.pictures[place], base.pictures[other]):
                yield place, other


def of_one_hash(
    pairs: Iterable[tuple[int, int]], pictures: Sequence[Picture], hashes: HashTable
) -> Iterator[tuple[int, int]]:
    """Those of the `pairs` of places that may have equal pixels: of one size, with nearly one PDQ hash."""
    for one, other in pairs:
        forms = hashes.forms[one][:1], hashes.forms[other][:1]
        if _of_one_size(pictures[one], pictures[other]) and distance(*forms) <= SAME_HASH:
            yield one, other


def _of_one_size(one: Picture, other: Picture) -> bool:
    return (one.width, one.height) == (other.width, other.height)


def _table(base: Side, asked: Side, *, itself: bool) -> NDArray[np.int32]:
    # One after the other: each search frees what it held before the next begins.
    hashed = NearestHashes(base.hashes).nearest(asked.hashes, HASHED, itself=itself)
    worded = _by_words(base, asked, itself=itself)
    looked = _by_vectors(base, asked, neighbours_for(len(base.collection)), itself=itself)
    return np.concatenate([hashed, worded, looked], axis=1)


def _by_vectors(base: Side, asked: Side, k: int, *, itself: bool) -> NDArray[np.int32]:
    table = np.full((len(asked.collection), k), NONE, dtype=np.int32)
    nearest = NearestPictures(base.collection.rows, len(base.collection))
    blocks = nearest.search(asked.collection.rows, len(table), k + itself)
    for place, found in enumerate(row for block, _ in blocks for row in block):
        others = found[found != place][:k] if itself else found
        table[place, : len(others)] = others
    return table


def _by_words(base: Side, asked: Side, *, itself: bool) -> NDArray[np.int32]:
    table = np.full((len(asked.collection), WORDED), NONE, dtype=np.int32)
    count = len(base.collection)
    # Where whole vectors name most of a collection anyway, there is no need for words.
    vocabulary = drawn(count, base.kept) if count > 2 * neighbours_for(count) else None
    if vocabulary is None:
        return table
    threads = available_threads()
    # Each thread's searches are small: more threads below them would only wait for each other.
    with one_thread():
        straight = spread(lambda place: _words(vocabulary, base, place), range(count), threads)
        shared = SharedWords(straight, count, vocabulary)

        def nearest(place: int) -> list[int]:
            own = shared.of(place) if itself else _words(vocabulary, asked, place)
            ranked = [
                (-score, other)
                for words in (own, _words(vocabulary, asked, place, mirror=True))
                for other, score in shared.nearest(words, WORDED + itself)
            ]
            others = dict.fromkeys(other for _, other in sorted(ranked) if not (itself and other == place))
            return list(others)[:WORDED]

        for place, others in enumerate(spread(nearest, range(len(table)), threads)):
            table[place, : len(others)] = others
    return table


def _words(vocabulary: Vocabulary, side: Side, place: int, *, mirror: bool = False) -> Words:
    features = side.kept(place) if side.hashes.known[place] else None
    return (
        np.zeros(0, np.uint16) if features is None else vocabulary.words(features.descriptors, mirror=mirror)
    )
