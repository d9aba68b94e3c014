"""Made rows that a view is built of, with their true neighbours by NumPy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float32]
Ids = NDArray[np.int64]
ROWS, DIM, ASKED = 5000, 48, 200


class Searched(Protocol):
    """What every view can do."""

    def search(self, queries: Rows, k: int, allowed: Ids | None = None) -> list[Ids]: ...


class Made:
    """Unit rows that lie near a surface of 12 dimensions, as embeddings do, under ids with gaps."""

    def __init__(self) -> None:
        chance = np.random.default_rng(7)
        plane = chance.standard_normal((12, DIM))
        inside = chance.standard_normal((ROWS + ASKED, 12)) @ plane
        values = np.maximum(inside + chance.standard_normal((ROWS + ASKED, DIM)), 0).astype(np.float32)
        values /= np.linalg.norm(values, axis=1, keepdims=True)
        self.rows, self.queries = values[:ROWS], values[ROWS:]
        self.ids = np.arange(ROWS, dtype=np.int64) * 3 + 11

    def blocks(self, places: Ids | None = None) -> Iterator[tuple[Ids, Rows]]:
        """The rows, 512 at a time."""
        places = np.arange(ROWS) if places is None else places
        for start in range(0, len(places), 512):
            part = places[start : start + 512]
            yield self.ids[part], self.rows[part]

    def best(self, k: int, allowed: Ids | None = None) -> list[Ids]:
        """The true ids of each query's k closest rows."""
        scores = self.queries @ self.rows.T
        if allowed is not None:
            scores[:, ~np.isin(self.ids, allowed)] = -2
        return list(self.ids[np.argsort(-scores, axis=1)[:, :k]])

    def recall(self, view: Searched, allowed: Ids | None = None) -> float:
        """Recall@10 of the view's candidates, ranked by their true scores."""
        found = view.search(self.queries, 10, allowed)
        for ids in found:
            assert len(np.unique(ids)) == len(ids) >= 10
            assert np.isin(ids, self.ids if allowed is None else allowed).all()
        return float(
            np.mean([np.isin(t, c).mean() for t, c in zip(self.best(10, allowed), found, strict=True)])
        )
