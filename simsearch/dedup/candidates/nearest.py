"""The nearest pictures by half-whitened vectors, through FAISS: exactly, or by lists in large collections."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import faiss
import numpy as np
from numpy.typing import NDArray

from simsearch.dedup.candidates.collection import Rows
from simsearch.dedup.candidates.whiten import SAMPLE, Vectors, Whitening, fit
from simsearch.views.training import even_places

EXACT_UP_TO = 10_000
BLOCK = 2048
LISTED_LENGTH = 384
"""Numbers a vector in a large collection, a byte each: a million take 400 MB."""

PROBED = 24
FEWEST, MOST, TENFOLD, FEW = 10, 30, 5, 40


def neighbours_for(count: int) -> int:
    """How many neighbours are looked at in a collection of `count`: 10, and 5 more for each tenfold of 2,000.

    In a larger collection more pictures that only look alike come before a strongly edited copy. Of up to 40
    pictures all are looked at.
    """
    if count <= FEW:
        return FEW
    return int(np.clip(FEWEST + TENFOLD * np.log10(max(count, 1) / 2000), FEWEST, MOST))


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Places of some pictures, int64 (n,), and of their nearest, int64 (n, k), best first, with cosines."""

    asked: NDArray[np.int64]
    found: NDArray[np.int64]
    scores: NDArray[np.float32]


class NearestPictures:
    """A collection of `count` pictures made ready to be searched by whitened vectors; `rows` reads them.

    Memory is bounded: up to 10,000 pictures whole rows, beyond a byte for each of 384 numbers.
    """

    def __init__(self, rows: Rows, count: int) -> None:
        self._count = count
        sample = rows(even_places(count, SAMPLE))
        large = count > EXACT_UP_TO
        self.whitening: Whitening = fit(sample, LISTED_LENGTH) if large else fit(sample)
        length = self.whitening.directions.shape[1]
        self._index = self._listed(sample, length) if large else faiss.IndexFlatIP(length)
        for _, block in _blocks(rows, count):
            self._index.add(self.whitening(block))

    def _listed(self, sample: Vectors, length: int) -> faiss.Index:
        lists = 1 << round(np.log2(2 * np.sqrt(self._count)))
        quantizer = faiss.IndexFlatIP(length)
        index = faiss.IndexIVFScalarQuantizer(
            quantizer, length, lists, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
        )
        index.train(self.whitening(sample))
        index.nprobe = PROBED
        quantizer.this.disown()
        index.own_fields = True
        return index

    def search(self, rows: Rows, asked: NDArray[np.int64], k: int) -> Iterator[Neighbours]:
        """The `k` nearest of each picture at the places `asked` of the collection that `rows` reads."""
        for start in range(0, len(asked), BLOCK):
            places = asked[start : start + BLOCK]
            scores, found = self._index.search(self.whitening(rows(places)), min(k, self._count))
            yield Neighbours(places, found, scores)


def _blocks(rows: Rows, count: int) -> Iterator[tuple[int, Vectors]]:
    for start in range(0, count, BLOCK):
        yield start, rows(np.arange(start, min(start + BLOCK, count)))
