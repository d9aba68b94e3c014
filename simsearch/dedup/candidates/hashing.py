"""The nearest pictures by PDQ over eight forms, through FAISS's binary indexes."""

from __future__ import annotations

import faiss
import numpy as np
from numpy.typing import NDArray

from simsearch.dedup.features.hashes import BYTES, FEATURELESS, FORMS, HashTable

EXACT_UP_TO = 50_000
PROBED = 32
BLOCK = 1024
AMONG = 12
"""Entries looked at to find two pictures: a picture has eight, and is its own nearest."""

NONE = -1


class NearestHashes:
    """The hashes of a collection, each picture in eight forms.

    A picture that was not read, or with too little in it to be told by its hash, is not among them.
    """

    def __init__(self, table: HashTable) -> None:
        self._places = np.flatnonzero(table.quality >= FEATURELESS)
        rows = table.forms[self._places].reshape(-1, BYTES)
        self._index = (
            self._listed(rows) if len(rows) > EXACT_UP_TO * FORMS else faiss.IndexBinaryFlat(8 * BYTES)
        )
        self._index.add(rows)

    def _listed(self, rows: NDArray[np.uint8]) -> faiss.IndexBinary:
        quantizer = faiss.IndexBinaryFlat(8 * BYTES)
        lists = 1 << round(np.log2(2 * np.sqrt(len(rows))))
        index = faiss.IndexBinaryIVF(quantizer, 8 * BYTES, lists)
        quantizer.this.disown()
        index.own_fields = True
        index.train(np.ascontiguousarray(rows[:: max(1, len(rows) // (40 * lists))]))
        index.nprobe = PROBED
        return index

    def nearest(self, asked: HashTable, k: int, *, itself: bool) -> NDArray[np.int32]:
        """The places of the `k` nearest pictures of each asked one, int32 (n, k), -1 where there are fewer.

        `itself` says that the collection asks itself: no picture is its own neighbour then.
        """
        nearest = np.full((len(asked.quality), k), NONE, dtype=np.int32)
        told = np.flatnonzero(asked.quality >= FEATURELESS)
        among = min(AMONG, len(self._places) * FORMS)
        for start in range(0, len(told) if among else 0, BLOCK):
            block = told[start : start + BLOCK]
            _, entries = self._index.search(np.ascontiguousarray(asked.forms[block, 0]), among)
            for place, row in zip(block.tolist(), entries, strict=True):
                others = dict.fromkeys(self._places[row[row >= 0] // FORMS].tolist())
                kept = [other for other in others if not (itself and other == place)][:k]
                nearest[place, : len(kept)] = kept
        return nearest
