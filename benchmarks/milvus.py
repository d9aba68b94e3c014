"""The case `milvus`: the same index searched exactly, by FAISS's lists, and by a Milvus server."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.peers.environments import bench_folder
from benchmarks.report import Report, Table, emit
from benchmarks.search.data.collection import Collection, make
from benchmarks.search.data.flat import Flat, recall
from benchmarks.search.data.vectors import RealVectors
from simsearch.engine.index import Index
from simsearch.engine.maintenance.view import rebuild
from simsearch.engine.ranking import Wanted

K, QUERIES, TIMED, FILTERED = 10, 500, 200, 50
SHARE = 0.1

folder = click.Path(file_okay=False, path_type=Path)


@click.command("milvus")
@click.option("--rows", "sizes", multiple=True, default=(20_000, 100_000), type=click.IntRange(3000))
@click.option("--work", type=folder, help="Where `search` keeps its collections and real vectors.")
@click.option("--json", "target", type=click.Path(dir_okay=False, path_type=Path))
def milvus(sizes: tuple[int, ...], work: Path | None, target: Path | None) -> None:
    """A view on Milvus Lite, as a server on this machine, next to exact search and FAISS's lists."""
    work = work or bench_folder() / "search"
    real = RealVectors.read(work / "real")
    figures: dict[str, Any] = {}
    tables = []
    for rows in sizes:
        collection = make(work, real, rows, QUERIES, _note)
        figures[str(rows)] = found = measure(collection)
        tables.append(_table(rows, collection.dim, found))
    command = " ".join(["python -m benchmarks milvus", *(f"--rows {rows}" for rows in sizes)])
    emit(Report("milvus", command, tuple(tables), figures), target)


def measure(collection: Collection) -> dict[str, dict[str, float]]:
    """Each way's figures."""
    flat = Flat(collection.maps())
    queries = collection.queries("rows")
    truth = flat.search(queries, K)[1]
    scores = flat.scores(queries[-1])
    count = round(SHARE * collection.rows)
    allowed = np.sort(np.argpartition(-scores, count)[:count]) + 1
    among = flat.search(queries[:FILTERED], K, allowed)[1]
    with tempfile.TemporaryDirectory() as place, _lite(Path(place)) as address:
        views = {
            "exact": "exact",
            "ivf": "ivf",
            "milvus, HNSW": address,
            "milvus, IVF_FLAT": f"{address}?index=ivf",
        }
        found = {}
        for name, view in views.items():
            _note(f"{collection.rows:,} rows: {name}")
            found[name] = _way(collection, view, (truth, allowed, among))
            if name.startswith("milvus"):
                held = sum(path.stat().st_size for path in Path(place).rglob("*") if path.is_file())
                found[name]["server_bytes"] = held / collection.rows
        rebuild(collection.index, view="exact", center=False)
    return found


def _way(collection: Collection, view: str, right: tuple[Any, Any, Any]) -> dict[str, float]:
    truth, allowed, among = right
    queries = collection.queries("rows")
    started = time.perf_counter()
    info = rebuild(collection.index, view=view, recall=0.99, center=False)
    built = time.perf_counter() - started
    started = time.perf_counter()
    with Index.open(collection.index) as index:
        index.search(queries[:1], K)
        opened = time.perf_counter() - started
        answers, seconds = [], []
        for query in queries:
            started = time.perf_counter()
            [hits] = index.search(query[None], K)
            seconds.append(time.perf_counter() - started)
            answers.append(np.array([hit.id for hit in hits]))
        few, filtered = [], []
        for query in queries[:FILTERED]:
            started = time.perf_counter()
            [hits] = index.rank(query[None], Wanted(k=K, allowed=allowed))
            filtered.append(time.perf_counter() - started)
            few.append(np.array([hit.id for hit in hits]))
    return {
        "build_s": built,
        "open_s": opened,
        "p50_ms": float(np.median(seconds[-TIMED:])) * 1e3,
        "recall": recall(truth, answers),
        "promised": info.recall,
        "filtered_ms": float(np.median(filtered)) * 1e3,
        "filtered_recall": recall(among, few),
    }


@contextmanager
def _lite(place: Path) -> Iterator[str]:
    """The address of a collection of Milvus Lite that listens on this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "milvus_lite", "server", "--host", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen(
        [*command, "--data-dir", os.fspath(place / "rows")], stdout=subprocess.DEVNULL
    ) as process:
        try:
            for _ in range(600):
                with socket.socket() as trial:
                    if trial.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.1)
            yield f"milvus://127.0.0.1:{port}/photos"
        finally:
            process.kill()


def _table(rows: int, dim: int, found: dict[str, dict[str, float]]) -> Table:
    columns = ("view", "build, s", "bytes a vector at the server", "open and first search, s", "p50, ms")
    more = ("recall@10", "told by info", "filtered, p50 ms", "filtered, recall@10")
    names = (
        "build_s",
        "server_bytes",
        "open_s",
        "p50_ms",
        "recall",
        "promised",
        "filtered_ms",
        "filtered_recall",
    )
    note = (
        "Wall time of `simsearch rebuild` and of `Index.search`, one query after another, all with exact "
        f"re-ranking. Milvus Lite listens on this machine in a process of its own. The filter allows the "
        f"{SHARE:.0%} of rows closest to one of them."
    )
    lines = tuple((way, *(figures.get(name) for name in names)) for way, figures in found.items())
    return Table(f"Views of {rows:,} vectors of {dim} numbers", (*columns, *more), lines, note)


def _note(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
