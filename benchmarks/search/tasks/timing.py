"""Time and recall of single queries, of batches and under filters, on one thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.search.data.collection import QUERIES, Collection
from benchmarks.search.data.flat import Flat, recall
from benchmarks.search.engine import SETTINGS, Engine, K
from simsearch.engine.index import Index

Ids = NDArray[np.int64]
Vectors = NDArray[np.float32]
Way = Callable[[Vectors], Any]

PRODUCT = "Index.search"
SHARES = (0.01, 0.1, 0.5)
FILTERED, UNTIMED, TIMED = 50, 10, 200


def single(folder: Path, views: list[str]) -> dict[str, Any]:
    """CPU and wall ms of a query by flat search and by every other way, in turn, and each way's recall."""
    collection = Collection.at(folder)
    flat = Flat(collection.maps())
    flat.warm()
    engines = {(kind, name): Engine.open(collection, kind, name) for kind in views for name in SETTINGS}
    with Index.open(collection.index) as index:
        ways: dict[str, Way] = {
            **{f"{kind}, {name}": engine.search for (kind, name), engine in engines.items()},
            PRODUCT: lambda query: [hit.id for hit in index.search(query[None], K)[0]],
        }
        queries = collection.queries("rows")[: UNTIMED + TIMED]
        figures = interleaved(lambda query: flat.search(query[None], K), ways, queries)
        for name, way in ways.items():
            costs = [_cost(way, query) for query in queries]
            figures[name]["hot_ms"] = float(np.median([cpu for cpu, _ in costs])) * 1e3
            for kind in QUERIES:
                truth = np.load(folder / f"truth-{kind}.npy")[:, :K]
                figures[name][kind] = recall(truth, [way(query) for query in collection.queries(kind)])
        batches: dict[str, Callable[[Vectors, int], object]] = {PRODUCT: index.search}
        batches |= {f"{kind}, {name}": engine.view.search for (kind, name), engine in engines.items()}
        for name, batch in batches.items():
            figures[name]["batch_ms"] = _batch_ms(batch, collection.queries("rows"))
    return figures


def interleaved(flat: Way, ways: Mapping[str, Way], queries: Vectors) -> dict[str, dict[str, float]]:
    """Median CPU and wall ms of flat search and of each way, which takes each query right after flat search.

    That one reads everything once, so that no way finds what the one before left in the processor's caches.
    """
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in ("flat", *ways)}
    for number, query in enumerate(queries):
        for name, way in ways.items():
            costs = {"flat": _cost(flat, query), name: _cost(way, query)}
            if number >= min(UNTIMED, len(queries) - 1):
                for each, cost in costs.items():
                    spent[each].append(cost)
    medians = {name: np.median(np.array(costs), axis=0) * 1e3 for name, costs in spent.items()}
    return {name: {"cpu_ms": float(cpu), "wall_ms": float(wall)} for name, (cpu, wall) in medians.items()}


def _cost(way: Way, query: Vectors) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    way(query)
    return time.process_time() - cpu, time.perf_counter() - wall


def filters(folder: Path, views: list[str]) -> dict[str, Any]:
    """Recall and CPU ms of each view where 1, 10 or 50 % of the rows are allowed; hnsw takes no filter."""
    collection = Collection.at(folder)
    flat = Flat(collection.maps())
    queries = collection.queries("rows")[:FILTERED]
    found: dict[str, Any] = {}
    for share in SHARES:
        for how, allowed in _allowed(flat, collection, share).items():
            truth = flat.search(queries, K, allowed)[1]
            for kind in (view for view in views if view != "hnsw"):
                engine = Engine.open(collection, kind)
                answers, costs = [], []
                for query in queries:
                    cpu = time.process_time()
                    answers.append(engine.search(query, allowed))
                    costs.append(time.process_time() - cpu)
                figures = {"recall": recall(truth, answers), "cpu_ms": float(np.median(costs)) * 1e3}
                found[f"{kind}, {share:.0%} {how}"] = figures
    return found


def _allowed(flat: Flat, collection: Collection, share: float) -> dict[str, Ids]:
    """Ids of a share of the rows: any, and those closest to one of them, as a folder or a class is."""
    rng, count = np.random.default_rng(0), round(share * collection.rows)
    scores = flat.scores(collection.queries("rows")[-1])
    return {
        "random": np.sort(rng.choice(collection.rows, count, replace=False)) + 1,
        "clustered": np.sort(np.argpartition(-scores, count)[:count]) + 1,
    }


def _batch_ms(search: Callable[[Vectors, int], object], queries: Vectors) -> float:
    cpu = time.process_time()
    search(queries, K)
    return (time.process_time() - cpu) * 1e3 / len(queries)
