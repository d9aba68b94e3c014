"""Half-whitened vectors: directions in which a whole collection differs count for less, details for more.

PCA whitening for retrieval: Jégou and Chum, "Negative evidences and co-occurences in image retrieval", ECCV
2012. Dividing by the square root of the deviation alone, and not by the deviation, found most copies of
edited photos here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]

LENGTH = 1000
"""Numbers a vector, at most."""

SAMPLE = 20_000
"""So many rows tell the directions well enough."""


@dataclass(frozen=True, slots=True)
class Whitening:
    """A mean float32 (dim,) and directions float32 (dim, k), each divided by the root of its deviation."""

    mean: Vectors
    directions: Vectors

    def __call__(self, rows: Vectors) -> Vectors:
        """Unit vectors float32 (n, k) of `rows` (n, dim)."""
        moved = (rows - self.mean) @ self.directions
        lengths = np.linalg.norm(moved, axis=1, keepdims=True)
        return np.asarray(moved / np.maximum(lengths, 1e-12), dtype=np.float32)


def fit(rows: Vectors, length: int = LENGTH) -> Whitening:
    """The whitening of a collection, from a sample of its `rows` (n, dim).

    Few rows tell few directions: at most half as many as there are rows, and none weighs more than 30 times
    the first.
    """
    mean = rows.mean(axis=0, dtype=np.float64)
    centred = rows.astype(np.float64) - mean
    # The smaller of the two products has the same eigenvalues, and the other's vectors follow from its own.
    few = len(rows) < rows.shape[1]
    product = (centred @ centred.T if few else centred.T @ centred) / max(len(rows) - 1, 1)
    values, vectors = np.linalg.eigh(product)
    if few:
        vectors = centred.T @ vectors
        vectors /= np.maximum(np.linalg.norm(vectors, axis=0), 1e-12)
    order = np.argsort(-values)[: max(1, min(length, len(rows) // 2))]
    deviations = np.sqrt(np.maximum(values[order], values[order[0]] / 30**4 + 1e-30))
    directions = vectors[:, order] / np.sqrt(deviations)
    return Whitening(mean.astype(np.float32), directions.astype(np.float32))
