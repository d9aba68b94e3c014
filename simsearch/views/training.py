"""What a view learns from an even sample of its rows: their main directions, turned; and held-out rows."""

from __future__ import annotations

import faiss
import numpy as np
from numpy.typing import NDArray

from simsearch.views.base import Blocks, Ids, Vectors

PCA_DIM, PCA_ROWS = 256, 40_000
RUN = 16
"""Rows are sampled in runs, which a disk reads at the price of one."""


def even_places(total: int, wanted: int) -> Ids:
    """At most `wanted` of `total` places in runs of 16, spread evenly."""
    if wanted >= total:
        return np.arange(total, dtype=np.int64)
    runs = max(1, wanted // RUN)
    starts = (np.arange(runs) * (total / runs)).astype(np.int64)
    places = np.unique((starts[:, None] + np.arange(RUN)).ravel())
    return places[places < total][:wanted]


def learn_transform(blocks: Blocks, total: int) -> faiss.LinearTransform:
    """PCA to 256 dimensions and a random rotation, which gives product codes parts of equal weight.

    Short vectors keep their length; one that is odd loses its least component, since codes are of pairs.
    The covariance is summed up block by block, so that the sample is never held.
    """
    count, mean, moment = 0, np.zeros(1), np.zeros((1, 1))
    for _, rows in blocks(even_places(total, PCA_ROWS)):
        count, mean, moment = count + len(rows), mean + rows.sum(axis=0), moment + rows.T @ rows
    mean = mean / count
    dim = len(mean)
    kept = min(PCA_DIM, dim - dim % 2)
    _, directions = np.linalg.eigh(moment / count - np.outer(mean, mean))
    rotation, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((kept, kept)))
    matrix = rotation @ directions[:, ::-1].T[:kept]
    transform = faiss.LinearTransform(dim, kept, True)
    faiss.copy_array_to_vector(matrix.astype(np.float32).ravel(), transform.A)
    faiss.copy_array_to_vector((-matrix @ mean).astype(np.float32), transform.b)
    transform.is_trained = True
    transform.set_is_orthonormal()
    return transform


def reduced_sample(
    blocks: Blocks, total: int, wanted: int, transform: faiss.LinearTransform
) -> NDArray[np.float32]:
    """At most `wanted` rows, float32 (n, kept) as `transform` gives them."""
    parts = [transform.apply(np.ascontiguousarray(rows)) for _, rows in blocks(even_places(total, wanted))]
    return np.concatenate(parts)


def held_out(blocks: Blocks, total: int, wanted: int) -> tuple[Ids, Vectors]:
    """(ids, rows) of `wanted` random rows, by which a view is measured; the same ones at every call."""
    chosen = np.sort(np.random.default_rng(0).choice(total, min(wanted, total), replace=False))
    found = list(blocks(chosen))
    return np.concatenate([ids for ids, _ in found]), np.concatenate([np.array(rows) for _, rows in found])
