"""Exact search by faiss.knn over blocks of rows: small collections, and the tail of large ones."""

from __future__ import annotations

import faiss
import numpy as np

from simsearch.views.base import Blocks, Ids, Vectors


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
            scores, places = one_thread_knn(queries, rows, min(k, len(ids)))
            best_scores = np.concatenate([best_scores, scores], axis=1)
            best_ids = np.concatenate([best_ids, ids[places]], axis=1)
            if best_ids.shape[1] > k:
                order = np.argsort(-best_scores, axis=1, kind="stable")[:, :k]
                best_scores = np.take_along_axis(best_scores, order, axis=1)
                best_ids = np.take_along_axis(best_ids, order, axis=1)
        order = np.argsort(-best_scores, axis=1, kind="stable")
        return list(np.take_along_axis(best_ids, order, axis=1))


def one_thread_knn(queries: Vectors, rows: Vectors, k: int) -> tuple[Vectors, Ids]:
    """faiss.knn by inner product; few queries run on one thread, where more only wait for each other."""
    threads = faiss.omp_get_max_threads()
    if len(queries) < 8:
        faiss.omp_set_num_threads(1)
    try:
        scores, places = faiss.knn(queries, np.ascontiguousarray(rows), k, metric=faiss.METRIC_INNER_PRODUCT)
    finally:
        faiss.omp_set_num_threads(threads)
    return scores, places
