"""The graph of all nearest neighbours: CPU time, peak memory, and recall on a sample of its rows."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.search.child import memory
from benchmarks.search.data.collection import Collection, rows_at
from benchmarks.search.data.flat import Flat, recall
from benchmarks.search.engine import K
from simsearch.dedup.graph import knn_graph
from simsearch.engine.index import Index

CHECKED = 1000


def graph(folder: Path, most: int) -> dict[str, Any]:
    """The 10 nearest neighbours of all rows, or of the first groups that make up `most` rows.

    Groups come list by list of the view, so that the first ones are a part of the collection's space.
    """
    collection, rng = Collection.at(folder), np.random.default_rng(0)
    before, cpu, wall, done = memory(), time.process_time(), time.perf_counter(), 0
    ids, found = [], []
    with Index.open(collection.index) as index:
        for group in knn_graph(index, K):
            done += len(group.ids)
            checked = rng.random(len(group.ids)) < CHECKED / min(most, collection.rows)
            ids.append(group.ids[checked])
            found.append(group.neighbours[checked])
            if done >= most:
                break
    figures = {
        "cpu_s": time.process_time() - cpu,
        "wall_s": time.perf_counter() - wall,
        "peak_mb": memory("VmHWM"),
        "imports_mb": before,
        "rows": done,
    }
    own = np.concatenate(ids)
    closest = Flat(collection.maps()).search(rows_at(collection.store(), own), K + 1)[1]
    truth = np.array([row[row != mine][:K] for row, mine in zip(closest, own, strict=True)])
    return {**figures, "checked": len(own), "recall": recall(truth, list(np.concatenate(found)))}
