"""Exact flat float32 search, what everything else is measured against: recall and time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import faiss
import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]
Vectors = NDArray[np.float32]

IN_MEMORY = 200_000
PART = 16_384


class Flat:
    """faiss.knn by inner product over all rows; the first row has the id 1.

    Up to 200,000 rows are held in memory; more stay mapped, and `warm` reads them through once.
    """

    def __init__(self, files: Sequence[Vectors]) -> None:
        total = sum(map(len, files))
        self._files = [np.concatenate(files)] if total <= IN_MEMORY else list(files)

    def warm(self) -> None:
        """Bring mapped rows into the page cache."""
        for rows in self._files:
            for start in range(0, len(rows), PART):
                rows[start : start + PART].max()

    def search(self, queries: Vectors, k: int, allowed: Ids | None = None) -> tuple[Vectors, Ids]:
        """Cosines and ids of the k closest rows of each query, among `allowed` (ascending) where given."""
        found = list(self._found(queries, k, allowed))
        scores = np.concatenate([part for part, _ in found], axis=1)
        ids = np.concatenate([part for _, part in found], axis=1)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(scores, order, axis=1), np.take_along_axis(ids, order, axis=1)

    def scores(self, query: Vectors) -> Vectors:
        """The cosine of every row to one query (dim,)."""
        return np.concatenate([rows @ query for rows in self._files])

    def _found(self, queries: Vectors, k: int, allowed: Ids | None) -> Iterator[tuple[Vectors, Ids]]:
        """The best of each file, or of each part of those of its rows that are allowed."""
        first = 1
        for rows in self._files:
            if allowed is None:
                scores, places = _knn(queries, rows, k)
                yield scores, first + places
            else:
                inside = allowed[(allowed >= first) & (allowed < first + len(rows))] - first
                for start in range(0, len(inside), PART):
                    part = inside[start : start + PART]
                    scores, places = _knn(queries, rows[part], k)
                    yield scores, first + part[places]
            first += len(rows)


def _knn(queries: Vectors, rows: Vectors, k: int) -> tuple[Vectors, Ids]:
    scores, places = faiss.knn(queries, rows, min(k, len(rows)), metric=faiss.METRIC_INNER_PRODUCT)
    return scores, places


def recall(truth: Ids, found: Sequence[Ids]) -> float:
    """The mean share of the true ids that were found."""
    return float(np.mean([np.isin(true, own).mean() for true, own in zip(truth, found, strict=True)]))
