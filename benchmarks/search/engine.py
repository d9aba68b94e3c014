"""A view with exact re-ranking from the segments, as the product searches, without its database."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from benchmarks.search.data.collection import Collection, blocks_of
from simsearch.storage.segments import SegmentStore
from simsearch.views.faiss_view import VIEWS, FaissView
from simsearch.views.tuning import Setting

Ids = NDArray[np.int64]
Vectors = NDArray[np.float32]

K = 10
SETTINGS = ("tuned", "robust")


class Engine:
    """Answers single queries with the ids of the closest rows."""

    def __init__(self, view: FaissView, store: SegmentStore) -> None:
        self.view, self._store = view, store
        self._first = store.numbers_on_disk()[0]

    @classmethod
    def build(cls, collection: Collection, kind: str, recall: float) -> Engine:
        """Build the view of a kind and write it into the collection's folder."""
        store = collection.store()
        view = VIEWS[kind].build(blocks_of(store, collection.rows), collection.rows, recall=recall)
        view.write(collection.folder / f"view.{kind}")
        settings = {"tuned": asdict(view.setting), "robust": asdict(view.robust)}
        (collection.folder / f"view.{kind}.json").write_text(json.dumps(settings), encoding="utf-8")
        return cls(view, store)

    @classmethod
    def open(cls, collection: Collection, kind: str, setting: str = "tuned") -> Engine:
        """The view that was built before, at its "tuned" or its "robust" setting."""
        settings = json.loads((collection.folder / f"view.{kind}.json").read_text(encoding="utf-8"))
        view = VIEWS[kind].read(collection.folder / f"view.{kind}", Setting(**settings[setting]))
        return cls(view, collection.store())

    def search(self, query: Vectors, allowed: Ids | None = None) -> Ids:
        """The ids of the 10 rows closest to `query` (dim,), best first."""
        candidates = self.view.search(query[None], K, allowed)[0]
        places = self._places(candidates)
        scores = [rows @ query for _, rows in self._store.passing(places)]
        order = np.argsort(-np.concatenate(scores), kind="stable")
        return candidates[order[:K]]

    def _places(self, ids: Ids) -> list[tuple[int, int]]:
        """Where the rows of ids lie; they were written one after the other."""
        segments, rows = np.divmod(ids - 1, self._store.rows_per_segment)
        return list(zip((segments + self._first).tolist(), rows.tolist(), strict=True))
