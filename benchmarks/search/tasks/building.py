"""What a view costs to build and to hold, and the product with it."""

from __future__ import annotations

import gc
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.search.child import memory
from benchmarks.search.data.collection import Collection, rows_at
from benchmarks.search.engine import Engine
from simsearch.engine.index import Index
from simsearch.engine.maintenance.view import rebuild

HELD_QUERIES = 200
COLD_ROWS, COLD_TRIALS = 120, 40


def build(folder: Path, kind: str, recall: float) -> dict[str, Any]:
    """Build and write the view: CPU and wall seconds, peak memory of the whole process, its settings."""
    collection = Collection.at(folder)
    before = memory()
    cpu, wall = time.process_time(), time.perf_counter()
    view = Engine.build(collection, kind, recall).view
    return {
        "cpu_s": time.process_time() - cpu,
        "wall_s": time.perf_counter() - wall,
        "peak_mb": memory("VmHWM"),
        "imports_mb": before,
        "file_bytes": (folder / f"view.{kind}").stat().st_size / collection.rows,
        "tuned": [view.setting.nprobe, view.setting.reranked, view.setting.recall],
        "robust": [view.robust.nprobe, view.robust.reranked, view.robust.recall],
    }


def whole(folder: Path, kind: str, recall: float) -> dict[str, Any]:
    """The same by the product, `simsearch rebuild`: with the table of vectors from the database."""
    collection = Collection.at(folder)
    before = memory()
    cpu, wall = time.process_time(), time.perf_counter()
    rebuild(collection.index, view=kind, recall=recall, center=False)
    return {
        "cpu_s": time.process_time() - cpu,
        "wall_s": time.perf_counter() - wall,
        "peak_mb": memory("VmHWM"),
        "imports_mb": before,
    }


def load(folder: Path, kind: str) -> dict[str, Any]:
    """What the view adds to the process's own memory, and the whole process after 200 queries.

    A view is counted without the pages of FAISS's code that reading it touches.
    """
    collection = Collection.at(folder)
    queries = collection.queries("rows")
    gc.collect()
    before, own, start = memory(), memory("RssAnon"), time.perf_counter()
    engine = Engine.open(collection, kind)
    seconds, loaded = time.perf_counter() - start, memory("RssAnon")
    for number in range(HELD_QUERIES):
        engine.search(queries[number % len(queries)])
    return {
        "open_s": seconds,
        "view_bytes": (loaded - own) * 1e6 / collection.rows,
        "process_mb": memory() - before,
        "imports_mb": before,
    }


def product(folder: Path) -> dict[str, Any]:
    """The same by `Index.search` on the whole index."""
    collection = Collection.at(folder)
    queries = collection.queries("rows")
    gc.collect()
    before, start = memory(), time.perf_counter()
    with Index.open(collection.index) as index:
        index.search(queries[:1])
        seconds = time.perf_counter() - start
        for number in range(HELD_QUERIES):
            index.search(queries[number % len(queries)][None])
        return {"first_s": seconds, "process_mb": memory() - before, "imports_mb": before}


def cold(folder: Path) -> dict[str, Any]:
    """Median wall and CPU ms of 120 random rows that are not in the page cache, by the planned reads."""
    collection = Collection.at(folder)
    store, rng = collection.store(), np.random.default_rng(0)
    files = [store.path(number) for number in store.numbers_on_disk()]
    costs = []
    for _ in range(COLD_TRIALS):
        ids = rng.integers(1, collection.rows + 1, COLD_ROWS)
        for path in files:
            _forget(path)
        wall, cpu = time.perf_counter(), time.process_time()
        rows_at(store, ids)
        costs.append((time.perf_counter() - wall, time.process_time() - cpu))
    wall_ms, cpu_ms = np.median(np.array(costs), axis=0) * 1e3
    return {"wall_ms": wall_ms, "cpu_ms": cpu_ms, "slowest_ms": max(wall for wall, _ in costs) * 1e3}


def _forget(path: Path) -> None:
    """Have the kernel drop the file's pages; only those that nobody has mapped go."""
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
