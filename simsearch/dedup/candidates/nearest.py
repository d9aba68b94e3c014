"""The nearest pictures by half-whitened vectors, through FAISS: exactly, or by lists in large collections."""

from __future__ import annotations

from collections.abc import Iterator

import faiss
import numpy as np
from numpy.typing import NDArray

from simsearch.dedup.candidates.collection import Rows
from simsearch.dedup.candidates.whiten import SAMPLE, Vectors, fit
from simsearch.views.training import even_places

EXACT_UP_TO = 10_000
BLOCK = 2048
LISTED_LENGTH = 384
"""Numbers a vector in a large collection, a byte each: a million take 400 MB."""

PER_LIST, PROBED = 40, 24
FEWEST, MOST, TENFOLD, FEW = 10, 30, 5, 40

Found = tuple[NDArray[np.int64], NDArray[np.float32]]


def neighbours_for(count: int) -> int:
    """How many neighbours are looked at in a collection of `count`: 10, and 5 more for each tenfold of 2,000.

    In a larger collection more pictures that only look alike come before a strongly edited copy. Of up to 40
    pictures all are looked at.
    """
    if count <= FEW:
        return FEW
    return int(np.clip(FEWEST + TENFOLD * np.log10(max(count, 1) / 2000), FEWEST, MOST))


class NearestPictures:
    """A collection of `count` pictures made ready to be searched by whitened vectors; `rows` reads them.

    Memory is bounded: up to 10,000 pictures whole rows, beyond a byte for each of 384 numbers.
    """

    def __init__(self, rows: Rows, count: int) -> None:
        self._count = count
        large = count > EXACT_UP_TO
        sample = rows(even_places(count, SAMPLE))
        self.whitening = fit(sample, LISTED_LENGTH) if large else fit(sample)
        length = self.whitening.directions.shape[1]
        self._index = self._listed(rows, length) if large else faiss.IndexFlatIP(length)
        for block in self._whitened(rows, np.arange(count)):
            self._index.add(block)

    def _listed(self, rows: Rows, length: int) -> faiss.Index:
        lists = 1 << round(np.log2(2 * np.sqrt(self._count)))
        quantizer = faiss.IndexFlatIP(length)
        index = faiss.IndexIVFScalarQuantizer(
            quantizer, length, lists, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
        )
        quantizer.this.disown()
        index.own_fields = True
        index.nprobe = PROBED
        places = even_places(self._count, PER_LIST * lists)
        index.train(np.concatenate(list(self._whitened(rows, places))))
        return index

    def search(self, rows: Rows, count: int, k: int) -> Iterator[Found]:
        """The places of the `k` nearest, int64 (n, k), best first, and their cosines, float32 (n, k).

        They are those of the `count` pictures that `rows` reads, some hundred at a time, in order.
        """
        for block in self._whitened(rows, np.arange(count)):
            scores, found = self._index.search(block, min(k, self._count))
            yield found, scores

    def _whitened(self, rows: Rows, places: NDArray[np.int64]) -> Iterator[Vectors]:
        for start in range(0, len(places), BLOCK):
            yield self.whitening(rows(places[start : start + BLOCK]))
