"""How alike made vectors are to real ones: distances of neighbours, intrinsic dimension, zeros."""

from __future__ import annotations

import faiss
import numpy as np
from numpy.typing import NDArray

from benchmarks.report import Table

Vectors = NDArray[np.float32]
Figures = dict[str, float]

SAMPLE, FARTHEST = 1000, 100


def describe(rows: Vectors) -> Figures:
    """Figures of a collection of unit rows, by the neighbours of 1,000 of its rows."""
    sample = rows[:: max(1, len(rows) // SAMPLE)][:SAMPLE]
    similar = faiss.knn(sample, rows, FARTHEST + 1, metric=faiss.METRIC_INNER_PRODUCT)[0]
    return {**neighbourhood(similar[:, 1:]), "zeros": float((rows == 0).mean())}


def neighbourhood(similar: Vectors) -> Figures:
    """Mean distances to the 1st, 10th and 100th neighbour, and the intrinsic dimension by 20 and by 100.

    `similar` are the cosines of each query's neighbours, best first, the query itself left out. The
    dimension is Levina and Bickel's estimate, its inverse averaged over all queries.
    """
    distances = np.sqrt(np.maximum(2 - 2 * similar.astype(np.float64), 1e-12))
    figures = {f"d{k}": float(distances[:, k - 1].mean()) for k in (1, 10, 100) if k <= distances.shape[1]}
    for k in (20, 100):
        if k <= distances.shape[1]:
            ratios = np.log(distances[:, k - 1 : k] / distances[:, : k - 1])
            figures[f"LID{k}"] = float(1 / ratios.mean())
    return figures


def table(described: dict[str, tuple[int, Figures]]) -> Table:
    """A row for each kind of vectors: how many, and their figures."""
    names = ("d1", "d10", "d100", "LID20", "LID100", "zeros")
    rows = tuple(
        (kind, count, *(figures.get(name) for name in names)) for kind, (count, figures) in described.items()
    )
    note = (
        "Mean distance of unit vectors to the 1st, 10th and 100th neighbour; intrinsic dimension by Levina "
        "and Bickel from 20 and 100 neighbours; share of zeros."
    )
    return Table("The vectors", ("vectors", "n", *names), rows, note)
