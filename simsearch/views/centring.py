"""Centring: vectors seen from the middle of their collection, so that what all share counts for nothing."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from simsearch.views.base import Blocks, Ids, Vectors

SAMPLE = 4096
"""So many rows tell the mean of a collection well enough."""

DOUBT = 30
_TINY = 1e-12


def middle(blocks: Blocks, total: int) -> Vectors:
    """The mean of the rows, float32 (dim,), times n / (n + 30) for the `total` n that they are a sample of.

    The mean of few pictures is noise: with two of them it would make them opposites.
    """
    count, sums = 0, np.zeros(1)
    for _, rows in blocks():
        count, sums = count + len(rows), sums + rows.sum(axis=0, dtype=np.float64)
    return np.asarray(sums / count * (total / (total + DOUBT)), dtype=np.float32)


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
