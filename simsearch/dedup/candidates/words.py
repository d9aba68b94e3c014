"""Pictures that share rare visual words: finds a part, a frame or a collage, where whole vectors do not.

Sivic and Zisserman, "Video Google: a text retrieval approach to object matching in videos", ICCV 2003: each
point is given the nearest of many words, and a word counts the more the rarer it is. The words here are
points drawn from the collection, which found as many copies as the centres of clusters do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import faiss
import numpy as np
from numpy.typing import NDArray

from simsearch.dedup.features.describe import Features
from simsearch.dedup.verify.match import mirrored, rooted
from simsearch.views.exact import one_thread

POINTS, FEWEST, POSTINGS = 200, 64, 10_000_000
"""The strongest points of a picture, fewer in a collection so large that the lists would outgrow memory."""

MOST, SHARE, SEED = 65_536, 8, 1
"""Words, at most, and no more than an eighth of the points that they are drawn from."""

LINKS, BUILT_BY, FOUND_BY = 16, 40, 16
"""Of the graph that finds the nearest word: Malkov and Yashunin, IEEE TPAMI 2020, M and both ef."""

LOOKED_AT = 100_000
"""Entries of the lists that are looked at for a picture, those of its rarest words first."""

CHUNK = 50_000

Words = NDArray[np.uint16]
Kept = Callable[[int], Features | None]
"""Gives what is kept of the picture at a place; None where it was not read."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The words: unit descriptors float32 (w, 128) in a FAISS index, and points looked at of a picture."""

    index: faiss.Index
    points: int

    @property
    def size(self) -> int:
        """How many words there are."""
        return int(self.index.ntotal)

    def words(self, descriptors: NDArray[np.uint8], *, mirror: bool = False) -> Words:
        """The distinct words of a picture, or of its mirror image, ascending."""
        points = rooted(descriptors[: self.points])
        if not len(points):
            return np.zeros(0, np.uint16)
        _, found = self.index.search(np.ascontiguousarray(mirrored(points) if mirror else points), 1)
        return np.unique(found.ravel()).astype(np.uint16)


def drawn(count: int, kept: Kept) -> Vocabulary | None:
    """A vocabulary for a collection of `count`, from points of an even sample; None with too few."""
    points = int(np.clip(POSTINGS // max(count, 1), FEWEST, POINTS))
    step = max(1, count * points // (MOST * SHARE))
    sample = [features.descriptors[:points] for place in range(0, count, step) if (features := kept(place))]
    rows = np.concatenate(sample) if sample else np.zeros((0, 128), np.uint8)
    words = min(MOST, len(rows) // SHARE)
    if words < 1:
        return None
    chosen = np.random.default_rng(SEED).choice(len(rows), words, replace=False)
    index = faiss.IndexHNSWFlat(128, LINKS)
    index.hnsw.efConstruction, index.hnsw.efSearch = BUILT_BY, FOUND_BY
    # On one thread, since the graph depends on the order in which its points come.
    with one_thread():
        index.add(rooted(rows[chosen]))
    return Vocabulary(index, points)


class SharedWords:
    """Which pictures of a collection hold which words; `pictures` gives the words of each, place by place.

    Memory is two bytes for each of `points` words of `count` pictures, and four for each that there is.
    """

    def __init__(self, pictures: Iterable[Words], count: int, vocabulary: Vocabulary) -> None:
        self._count = count
        self._words = np.zeros((count, vocabulary.points), np.uint16)
        self._lengths = np.zeros(count, np.int64)
        for place, words in enumerate(pictures):
            self._words[place, : len(words)], self._lengths[place] = words, len(words)
        held = np.zeros(vocabulary.size, np.int64)
        for _, words in self._chunks():
            held += np.bincount(words, minlength=len(held))
        self._starts = np.concatenate([[0], np.cumsum(held)])
        self._owners = self._listed()
        self._weights = np.square(np.log(max(count, 1) / np.maximum(held, 1))).astype(np.float32)

    def of(self, place: int) -> Words:
        """The words of a picture of the collection."""
        return self._words[place, : self._lengths[place]]

    def nearest(self, words: Words, k: int) -> list[tuple[int, float]]:
        """The places of the `k` pictures that share most with one of these words, and the weight of that."""
        lengths = self._starts[words.astype(np.int64) + 1] - self._starts[words]
        order = np.argsort(lengths, kind="stable")
        # A first word is looked at however common it is.
        order = order[: max(1, int(np.searchsorted(np.cumsum(lengths[order]), LOOKED_AT, side="right")))]
        pieces = [self._owners[self._starts[word] : self._starts[word + 1]] for word in words[order].tolist()]
        if not pieces:
            return []
        weights = np.repeat(self._weights[words[order]], lengths[order])
        places, which = np.unique(np.concatenate(pieces), return_inverse=True)
        scores = np.bincount(which, weights=weights, minlength=len(places))
        best = np.lexsort((places, -scores))[:k]
        return [(int(places[at]), float(scores[at])) for at in best if scores[at] > 0]

    def _chunks(self) -> Iterable[tuple[NDArray[np.int32], Words]]:
        """Places and words of some pictures at a time, one entry for each word."""
        for start in range(0, self._count, CHUNK):
            lengths = self._lengths[start : start + CHUNK]
            there = np.arange(self._words.shape[1]) < lengths[:, None]
            places = np.repeat(np.arange(start, start + len(lengths), dtype=np.int32), lengths)
            yield places, self._words[start : start + CHUNK][there]

    def _listed(self) -> NDArray[np.int32]:
        """The places that hold each word, word after word, each list ascending."""
        owners = np.empty(int(self._starts[-1]), np.int32)
        free = self._starts[:-1].copy()
        for places, words in self._chunks():
            order = np.argsort(words, kind="stable")
            inside, first, counts = np.unique(words[order], return_index=True, return_counts=True)
            rank = np.arange(len(order)) - np.repeat(first, counts)
            owners[np.repeat(free[inside], counts) + rank] = places[order]
            free[inside] += counts
        return owners
