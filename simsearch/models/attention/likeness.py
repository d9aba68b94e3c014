"""Shares of two pictures -> what each place adds to their cosine, and each pair of places; an exact split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_TINY = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Likeness:
    """A cosine, split into places.

    Attributes:
        score: the cosine of the two vectors.
        first, second: float64 (h, w), what each cell of a picture adds; the sum of each is the score.
        pairs: float64 (h * w, h * w), what a cell of the first (row) and one of the second (column) add
            together, cells counted row by row; sums of rows are `first`, sums of columns `second`.
    """

    score: float
    first: Floats
    second: Floats
    pairs: Floats


def split(
    one: NDArray[np.float32], other: NDArray[np.float32], mean: NDArray[np.float32] | None = None
) -> Likeness:
    """Split the cosine of two pictures whose shares are float32 (h, w, dim), see `ShareReader`.

    The vector a is the sum of its shares a(i), so that a . b = sum over i of a(i) . b = sum over i and j of
    a(i) . b(j): the decomposition of Stylianou et al., "Visualizing Deep Similarity Networks", WACV 2019,
    https://arxiv.org/abs/1901.00536, which stands on the class activation maps of Zhou et al., CVPR 2016,
    https://arxiv.org/abs/1512.04150. With a `mean` (dim,) it is the cosine of the vectors less that mean,
    which is taken off in equal parts from all places.
    """
    rows, others = _moved(one, mean), _moved(other, mean)
    pairs = rows @ others.T
    first, second = pairs.sum(1).reshape(one.shape[:2]), pairs.sum(0).reshape(other.shape[:2])
    return Likeness(float(pairs.sum()), first, second, pairs)


def _moved(shares: NDArray[np.float32], mean: NDArray[np.float32] | None) -> Floats:
    rows = shares.reshape(-1, shares.shape[-1]).astype(np.float64)
    if mean is not None:
        rows -= mean.astype(np.float64) / len(rows)
    return np.asarray(rows / max(float(np.linalg.norm(rows.sum(0))), _TINY))
