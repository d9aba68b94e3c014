"""Makes as many realistic vectors as wanted from real ones, in blocks.

Independent random vectors have no neighbours worth finding, and copies with noise have too easy ones. So
each row is drawn from a model of the density around a real vector (a manifold Parzen window):

1. a seed and one of its 12 nearest seeds are mixed, by shares drawn from a Dirichlet distribution;
2. a Gaussian is added that has the covariance of the seed's 32 nearest neighbours, so that it leaves the
   point along the surface on which the real vectors lie;
3. every channel gets noise of its own. Its deviation grows with the channel's value v as a * v ** b, fitted
   to what is left of the seeds when each is explained by its own 32 neighbours;
4. what is negative becomes 0, as behind a network's last ReLU, and so does what is tiny; and the row is
   brought to length 1.

One row in a hundred is a near-duplicate of a row before it. The scales of 2 and 3 were set once, such that
the neighbours of rows made from ResNet-50 vectors are about as far as those of as many real ones, the
nearest a little farther; every run prints that comparison for its own seeds.
"""

from __future__ import annotations

from collections.abc import Iterator

import faiss
import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]

MIXED, SPANNED = 12, 32
SHARES = (1.0, 1.0)
ALONG, ACROSS = 0.8, 0.75
TINY = 0.04
DUPLICATES = 0.01
BLOCK = 8192
FITTED = 1000


class Generator:
    """Rows made from unit `seeds` (n, dim) without negative values; the same seeds give the same rows."""

    def __init__(self, seeds: Vectors) -> None:
        self._seeds = seeds
        around = min(SPANNED, len(seeds) - 1)
        self._near = faiss.knn(seeds, seeds, around + 1, metric=faiss.METRIC_INNER_PRODUCT)[1][:, 1:]
        self._scale, self._power = self._fit_noise()
        self._least = TINY / np.sqrt(seeds.shape[1])

    def blocks(self, rows: int, *, stream: int = 0) -> Iterator[Vectors]:
        """`rows` new vectors in blocks of at most 8192; each `stream` gives others."""
        rng = np.random.default_rng([stream, len(self._seeds)])
        for start in range(0, rows, BLOCK):
            yield self._block(min(BLOCK, rows - start), rng)

    def rows(self, count: int, *, stream: int = 0) -> Vectors:
        """All of `blocks` at once."""
        return np.concatenate(list(self.blocks(count, stream=stream)))

    def _block(self, count: int, rng: np.random.Generator) -> Vectors:
        owners = rng.integers(len(self._seeds), size=count)
        shares = self._shares(count, rng)
        rows = np.empty((count, self._seeds.shape[1]), dtype=np.float32)
        order = np.argsort(owners, kind="stable")
        cuts = np.flatnonzero(np.diff(owners[order])) + 1
        # One product for all rows of a seed, whose neighbours are gathered once.
        for group in np.split(order, cuts):
            seed = owners[group[0]]
            rows[group] = shares[group] @ self._seeds[np.append(self._near[seed], seed)]
        np.maximum(rows, self._least, out=rows)
        rows += self._scale * rows**self._power * rng.standard_normal(rows.shape, dtype=np.float32)
        self._repeat_some(rows, rng)
        rows[rows < self._least] = 0
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        return rows

    def _shares(self, count: int, rng: np.random.Generator) -> Vectors:
        """What each neighbour, and at last the seed, gives to each row."""
        around = self._near.shape[1]
        mixed = rng.dirichlet(SHARES, count).astype(np.float32)
        # The neighbours' mean falls out, so that the Gaussian is centred on the mixture.
        along = rng.standard_normal((count, around), dtype=np.float32) * (ALONG / np.sqrt(around - 1))
        along -= along.mean(axis=1, keepdims=True)
        shares = np.column_stack([along, mixed[:, 0]])
        shares[np.arange(count), rng.integers(min(MIXED, around), size=count)] += mixed[:, 1]
        return shares

    def _repeat_some(self, rows: Vectors, rng: np.random.Generator) -> None:
        copies = np.sort(rng.choice(len(rows), round(DUPLICATES * len(rows)), replace=False))
        for copy in copies[copies > 0]:
            noise = rng.uniform(0.02, 0.2) * rng.standard_normal(rows.shape[1], dtype=np.float32)
            rows[copy] = rows[rng.integers(copy)] * (1 + noise)

    def _fit_noise(self) -> tuple[float, float]:
        """a and b of the deviation a * v ** b, from what 32 neighbours do not explain of a seed."""
        step = max(1, len(self._seeds) // FITTED)
        values, left = [], []
        for seed in range(0, len(self._seeds), step):
            near = self._seeds[self._near[seed]]
            middle = near.mean(axis=0)
            offsets, own = near - middle, self._seeds[seed] - middle
            explained = np.linalg.lstsq(offsets.T, own, rcond=None)[0] @ offsets
            values.append(middle + explained)
            left.append(own - explained)
        value, residual = np.concatenate(values), np.concatenate(left)
        value, residual = value[value > 0], residual[value > 0]
        # Equally filled bins over the upper nine tenths; what lies below is cut away by the ReLU.
        parts = np.array_split(np.argsort(value), 20)[2:]
        middles = np.log([value[part].mean() for part in parts])
        power, scale = np.polyfit(middles, np.log([residual[part].std() for part in parts]), 1)
        return ACROSS * float(np.exp(scale)), float(power)
