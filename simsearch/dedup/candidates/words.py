"""Pictures that share rare visual words: finds a part, a frame or a collage, where whole vectors do not.

Sivic and Zisserman, "Video Google: a text retrieval approach to object matching in videos", ICCV 2003: points
are put into the nearest of some thousand clusters, the words, and a word counts the more the rarer it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import faiss
import numpy as np
from numpy.typing import NDArray

from simsearch.dedup.features.describe import Features
from simsearch.dedup.features.vision import Floats
from simsearch.dedup.verify.match import mirrored, rooted

WORDS, LARGE, WORDS_OF_MANY = 4096, 50_000, 8192
POINTS, FEWEST, POSTINGS = 200, 64, 10_000_000
"""The strongest points of a picture, fewer in a collection so large that the lists would outgrow memory."""

TRAINED_ON, ROUNDS, SEED = 100_000, 3, 1

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

    @property
    def nothing(self) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
        """The words of a picture without points."""
        return np.zeros(0, np.uint16), np.zeros(0, np.uint16)

    def words(self, descriptors: NDArray[np.uint8]) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
        """The distinct words of a picture as it is and in the mirror, ascending."""
        straight = rooted(descriptors[: self.points])
        return self._nearest(straight), self._nearest(mirrored(straight))

    def _nearest(self, points: Floats) -> NDArray[np.uint16]:
        if not len(points):
            return np.zeros(0, np.uint16)
        _, found = self.index.search(np.ascontiguousarray(points), 1)
        return np.unique(found.ravel()).astype(np.uint16)


def learned(count: int, kept: Kept) -> Vocabulary | None:
    """A vocabulary for a collection of `count`, from points of an even sample; None with too few."""
    points = int(np.clip(POSTINGS // max(count, 1), FEWEST, POINTS))
    step = max(1, count * points // TRAINED_ON)
    sample = [features.descriptors[:points] for place in range(0, count, step) if (features := kept(place))]
    rows = rooted(np.concatenate(sample)) if sample else np.zeros((0, 128), np.float32)
    words = min(WORDS if count <= LARGE else WORDS_OF_MANY, len(rows) // 8)
    if words < 1:
        return None
    clusters = faiss.Kmeans(128, words, niter=ROUNDS, seed=SEED, min_points_per_centroid=1)
    clusters.train(rows)
    return Vocabulary(clusters.index, points)


class SharedWords:
    """Which pictures of a collection hold which words; `pictures` gives the words of each, place by place."""

    def __init__(self, pictures: Iterator[NDArray[np.uint16]], words: int) -> None:
        lengths: list[int] = []
        chunks: list[NDArray[np.uint16]] = []
        for found in pictures:
            lengths.append(len(found))
            chunks.append(found)
        all_words = np.concatenate(chunks) if chunks else np.zeros(0, np.uint16)
        self._count = len(lengths)
        owners = np.repeat(np.arange(self._count, dtype=np.int32), lengths)
        order = np.argsort(all_words, kind="stable")
        self._owners = owners[order]
        held = np.bincount(all_words, minlength=words)
        self._starts = np.concatenate([[0], np.cumsum(held)])
        self._weights = np.square(np.log(np.maximum(self._count, 1) / np.maximum(held, 1))).astype(np.float32)

    def nearest(self, words: NDArray[np.uint16], k: int) -> list[tuple[int, float]]:
        """The places of the `k` pictures that share most with one of these words, and the weight of that."""
        pieces = [self._owners[self._starts[word] : self._starts[word + 1]] for word in words]
        if not pieces:
            return []
        weights = np.repeat(self._weights[words], [len(piece) for piece in pieces])
        scores = np.bincount(np.concatenate(pieces), weights=weights, minlength=self._count)
        best = np.argpartition(-scores, min(k, self._count - 1))[: min(k, self._count)]
        best = best[np.lexsort((best, -scores[best]))]
        return [(int(place), float(scores[place])) for place in best if scores[place] > 0]
