"""The map of a collection: its pictures on a plane, by the two axes along which they differ most."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from simsearch.engine.index import Index
from simsearch.engine.ranking import checked_rows
from simsearch.errors import IndexDamaged, SimsearchError
from simsearch.storage import catalog

MOST = 5000
"""So many points tell a collection apart, and a browser moves them without a stutter."""

_BLOCK = 32
_PASSES = 60
# A residual of this part of the first variance moves no point by a pixel.
_TOLERANCE = 1e-5
# Vectors have length 1; what varies less than this is what float32 leaves of equal ones.
_NOTHING = 1e-9
# Less than this, next to the rest, is rounding of float32.
_DEPENDENT = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Where pictures lie on the map.

    Attributes:
        ids: vector ids, int64 (n,), ascending.
        contents: the contents that they are of, int64 (n,).
        places: float32 (n, 2), along the first and the second axis from the middle of the collection; the
            distance of two is at most that of their vectors.
        share: how much of the variance the two axes hold, 0..1; 1 where nothing varies.
        total: how many pictures the collection has, n or more.
        generation: the commit that this is of.
    """

    ids: NDArray[np.int64]
    contents: NDArray[np.int64]
    places: NDArray[np.float32]
    share: float
    total: int
    generation: int


def layout(index: Index, *, most: int = MOST) -> Layout:
    """The map of an index, the same whenever it is asked for.

    Of more than `most` pictures so many are taken, evenly by id. No more than their vectors is held, 40 MB
    for 5,000 of 2,048 numbers. Raises IndexDamaged when a checksum does not hold, SimsearchError for a
    `most` below 1.
    """
    if most < 1:
        raise SimsearchError(f"A map of {most} pictures cannot be drawn; at least 1 is needed.")

    def drawn(connection: sa.Connection) -> Layout:
        generation = catalog.generation(connection)
        live = catalog.live_contents(connection)
        chosen = live[even(len(live), most)]
        table = catalog.vectors_where(connection, "content_id", chosen.tolist())
        lost = np.setdiff1d(chosen, table.contents)
        if len(lost):
            raise IndexDamaged(f"Picture {int(lost[0])} in index.db has no vector. Run: simsearch verify")
        places, share = principal(checked_rows(index.segments, table))
        return Layout(table.ids, table.contents, places, share, len(live), generation)

    return index.steadily(drawn)


def even(total: int, most: int) -> NDArray[np.int64]:
    """At most `most` of `total` places, ascending and evenly apart; the first is always one of them."""
    count = min(total, most)
    return np.arange(count, dtype=np.int64) * total // max(count, 1)


def principal(rows: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
    """Rows along their first two principal axes, and the share of their variance that the two hold.

    Subspace iteration with Rayleigh-Ritz (Halko, Martinsson and Tropp 2011, https://arxiv.org/abs/0909.4061)
    from a fixed start, until the residual of both axes is small; the covariance is never made. Of the two
    directions of an axis the one is taken in which its largest component is positive.

    Args:
        rows: float32 (n, dim), about unit length. They are overwritten.

    Returns: float32 (n, 2) and 0..1.
    """
    places = np.zeros((len(rows), 2), dtype=np.float32)
    if len(rows) < 2:
        return places, 1.0
    rows -= rows.mean(axis=0, dtype=np.float64).astype(np.float32)
    total = float(np.einsum("ij,ij->i", rows, rows).sum(dtype=np.float64))
    if total <= _NOTHING * len(rows):
        return places, 1.0
    axes, variances = _axes(rows)
    axes *= np.where(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])] < 0, -1, 1)
    places[:, : axes.shape[1]] = rows @ axes.astype(np.float32)
    return places, min(1.0, float(variances.sum()) / total)


def _axes(rows: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The first two axes of centred rows, (dim, 2), and n times the variance along each, largest first."""
    dim = rows.shape[1]
    start = np.eye(dim) if dim <= _BLOCK else np.random.default_rng(0).standard_normal((dim, _BLOCK))
    basis = _orthonormal(start)
    for _ in range(_PASSES):
        # In this order no product is larger than the rows: (dim, dim) is never made.
        moved = (rows.T @ (rows @ basis.astype(np.float32))).astype(np.float64)
        within = basis.T @ moved
        values, turns = np.linalg.eigh((within + within.T) / 2)
        values, turns = values[::-1], turns[:, ::-1]
        moved, basis = moved @ turns, basis @ turns
        rest = moved[:, :2] - basis[:, :2] * values[:2]
        if np.linalg.norm(rest, axis=0).max() <= _TOLERANCE * values[0]:
            break
        basis = _orthonormal(moved)
    return basis[:, :2], values[:2]


def _orthonormal(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Columns of length 1 at right angles that span the same; fewer where some depend on others.

    By the eigenvectors of their small matrix of products: LAPACK's QR is many small calls, each of which
    waits for all threads of BLAS, which took 5 s on busy cores.
    """
    lengths = np.linalg.norm(columns, axis=0)
    kept = lengths > _DEPENDENT * lengths.max()
    columns = columns[:, kept] / lengths[kept]
    values, turns = np.linalg.eigh(columns.T @ columns)
    kept = values > _DEPENDENT * values[-1]
    return np.asarray(columns @ (turns[:, kept] / np.sqrt(values[kept])), dtype=np.float64)
