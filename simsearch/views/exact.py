"""Exact search by faiss.knn over blocks of rows: small collections, and the tail of large ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import faiss
import numpy as np

from simsearch.views.base import Blocks, Ids, Vectors

GROUP = 64
"""So many are compared with rows on one thread: two took 3 to 9 times its CPU on a busy machine."""


class ExactView:
    """Inner product with every row, a block at a time; memory is a block and the best k.

    See https://github.com/facebookresearch/faiss/wiki/Brute-force-search-without-an-index
    """

    kind = "exact"

    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks

    def search(self, queries: Vectors, k: int, allowed: Ids | None = None) -> list[Ids]:
        """The ids of the k highest inner products of each query, best first."""
        best_scores = np.empty((len(queries), 0), dtype=np.float32)
        best_ids = np.empty((len(queries), 0), dtype=np.int64)
        for ids, rows in self._blocks():
            if allowed is not None:
                keep = np.isin(ids, allowed, assume_unique=True)
                ids, rows = ids[keep], rows[keep]
            if not len(ids):
                continue
            with one_thread(len(queries) <= GROUP):
                scores, places = faiss.knn(
                    queries, np.ascontiguousarray(rows), min(k, len(ids)), metric=faiss.METRIC_INNER_PRODUCT
                )
            best_scores = np.concatenate([best_scores, scores], axis=1)
            best_ids = np.concatenate([best_ids, ids[places]], axis=1)
            if best_ids.shape[1] > k:
                order = np.argsort(-best_scores, axis=1, kind="stable")[:, :k]
                best_scores = np.take_along_axis(best_scores, order, axis=1)
                best_ids = np.take_along_axis(best_ids, order, axis=1)
        order = np.argsort(-best_scores, axis=1, kind="stable")
        return list(np.take_along_axis(best_ids, order, axis=1))


@contextmanager
def one_thread(wanted: bool = True) -> Iterator[None]:
    """Work in small steps runs on one thread of FAISS, where more only wait for each other."""
    threads = faiss.omp_get_max_threads()
    if wanted:
        faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(threads)
