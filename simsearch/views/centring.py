"""Centring: vectors seen from the middle of their collection, so that what all share counts for nothing."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from simsearch.views.base import Blocks, Ids, Vectors
from simsearch.views.training import even_places

SAMPLE, DOUBT = 4096, 300
_TINY = 1e-12


def middle(blocks: Blocks, total: int) -> Vectors:
    """The mean of an even sample of at most 4,096 rows, float32 (dim,), times n / (n + 300).

    The mean of few pictures is noise: with two of them it would make them opposites.
    """
    parts = [rows.sum(axis=0, dtype=np.float64) for _, rows in blocks(even_places(total, SAMPLE))]
    mean = np.sum(parts, axis=0) / min(total, SAMPLE)
    return np.asarray(mean * (total / (total + DOUBT)), dtype=np.float32)


def centred(rows: Vectors, mean: Vectors) -> Vectors:
    """`rows` (n, dim) less `mean`, at length 1 again; their dot products are cosines as before.

    It raises the mean average precision of searches by class: see docs/benchmarks.md.
    """
    moved = rows - mean
    lengths = np.linalg.norm(moved, axis=1, keepdims=True)
    return np.asarray(moved / np.maximum(lengths, _TINY), dtype=np.float32)


def centred_blocks(blocks: Blocks, mean: Vectors) -> Blocks:
    """The same rows, centred."""

    def moved(places: Ids | None = None) -> Iterator[tuple[Ids, Vectors]]:
        return ((ids, centred(rows, mean)) for ids, rows in blocks(places))

    return moved
