"""python -m benchmarks serve: requests a second and their milliseconds, in batches and one by one."""

from __future__ import annotations

import re
import sys
import tempfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from benchmarks.browser.server import serve as started
from benchmarks.indexing.photos import make_crops
from benchmarks.peers.children import run_child
from benchmarks.peers.environments import bench_folder
from benchmarks.report import Report, Table, emit
from benchmarks.serve.clients import NEW, STORED
from benchmarks.startup.made import make_index

REAL, UNSEEN = 24, 200
TOGETHER, ALONE = "32", "1"
CLIENTS = (1, 8, 32)
MARK = 1.5
KINDS = {STORED: "stored vectors, by id", NEW: "new pictures, sent"}


@dataclass(frozen=True, slots=True)
class Load:
    """What so many clients got: requests a second, milliseconds of all answers, and how many at once."""

    rate: float
    times: np.ndarray[tuple[int, ...], np.dtype[np.float64]]
    batch: float


Loads = dict[tuple[str, int, str], list[Load]]


@click.command("serve")
@click.option("--model", default="efficientnet_lite0", show_default=True)
@click.option("--rows", default=20_000, show_default=True, type=click.IntRange(1000), help="Vectors.")
@click.option("--seconds", default=6.0, show_default=True, help="Of each load.")
@click.option("--rounds", default=2, show_default=True, help="Each in turn, every second one backwards.")
@click.option("--json", "target", type=click.Path(dir_okay=False, path_type=Path))
def serve(model: str, rows: int, seconds: float, rounds: int, target: Path | None) -> None:
    """Throughput and p50/p99 at 1, 8 and 32 clients on loopback, in batches and one by one."""
    bench_folder().mkdir(parents=True, exist_ok=True)
    loads: Loads = {}
    with tempfile.TemporaryDirectory(dir=bench_folder()) as name:
        place = Path(name)
        make_crops(place / "photos", REAL)
        make_crops(place / "unseen", UNSEEN)
        make_index(place / "photos", place / "index", ("--model", model), rows)
        for number in range(rounds):
            order = [TOGETHER, ALONE][:: 1 if number % 2 == 0 else -1]
            for batch in order:
                _ask(place, batch, rows, seconds, loads)
    command = (
        f"python -m benchmarks serve --model {model} --rows {rows} --seconds {seconds:g} --rounds {rounds}"
    )
    emit(report(command, loads), target)


def _ask(place: Path, batch: str, rows: int, seconds: float, loads: Loads) -> None:
    """All loads on one server."""
    flags = ("-i", place / "index", "--batch", batch, "--rate", "0", "--warm", "-q")
    with started(*flags, command=("serve", "--port", "0")) as server:
        sources = {STORED: str(rows), NEW: str(place / "unseen")}
        for kind, source in sources.items():
            _one(server.address, kind, 2, 2.0, source)
            for clients in CLIENTS:
                print(f"{kind}, {clients} clients, --batch {batch}", file=sys.stderr)
                load = _one(server.address, kind, clients, seconds, source)
                loads.setdefault((kind, clients, batch), []).append(load)


def _one(address: str, kind: str, clients: int, seconds: float, source: str) -> Load:
    before = _batches(address)
    line = [
        sys.executable,
        "-m",
        "benchmarks.serve.clients",
        address,
        kind,
        str(clients),
        f"{seconds:g}",
        source,
    ]
    found = run_child(line).answer()
    if found["failed"]:
        raise click.ClickException(f"{found['failed']} requests were not answered")
    count, total = (after - first for after, first in zip(_batches(address), before, strict=True))
    return Load(len(found["times"]) / found["seconds"], np.array(found["times"]), total / max(1.0, count))


def _batches(address: str) -> tuple[float, float]:
    """How many batches were searched so far, and how many queries in them."""
    with urllib.request.urlopen(f"{address}/metrics", timeout=60) as answer:
        text = answer.read().decode()
    found = []
    for name in ("count", "sum"):
        line = re.search(rf'^simsearch_batch_size_{name}{{stage="search"}} (\S+)$', text, re.MULTILINE)
        found.append(float(line[1]) if line else 0.0)
    return found[0], found[1]


def report(command: str, loads: Loads) -> Report:
    """The tables, and the marks."""
    tables, figures = [], {}
    for kind, title in KINDS.items():
        rows = []
        for clients in CLIENTS:
            together, alone = (_joined(loads[kind, clients, batch]) for batch in (TOGETHER, ALONE))
            ratio = together.rate / alone.rate
            for name, load, share in (("in batches", together, ratio), ("one by one", alone, 1.0)):
                p50, p99 = np.percentile(load.times, [50, 99]).tolist()
                rows.append((name, clients, load.rate, p50, p99, load.batch, share))
            figures[f"{kind}: batching at {clients} clients"] = round(ratio, 2)
        columns = ("", "clients", "requests/s", "p50 ms", "p99 ms", "mean batch", "of one by one")
        tables.append(Table(title[0].upper() + title[1:], columns, tuple(rows)))
    return Report("serve", command, tuple(tables), {"mark": MARK, **figures})


def _joined(loads: list[Load]) -> Load:
    """All rounds as one: the median of their rates, all times."""
    rate, batch = (float(np.median([getattr(load, name) for load in loads])) for name in ("rate", "batch"))
    return Load(rate, np.concatenate([load.times for load in loads]), batch)
