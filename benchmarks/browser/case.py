"""python -m benchmarks browser: the promises of the pages, measured in a real Chromium."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import click

from benchmarks import samples
from benchmarks.browser.server import serve
from benchmarks.peers.children import run_child, simsearch
from benchmarks.peers.environments import bench_folder
from benchmarks.report import Report, Table, emit
from benchmarks.search.data.collection import Collection, make
from benchmarks.search.data.vectors import RealVectors, extract
from simsearch.engine.index import Index
from simsearch.models.embedder import Embedder

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from benchmarks.browser.paging import Pass

MODEL = "efficientnet_lite0"
QUERIES = 500
BAR_MS = 1000.0


@dataclass(frozen=True, slots=True)
class First:
    """Seconds until a server tells its address, and until its first and second visitor see pictures."""

    server: float
    first: float
    second: float


@dataclass(frozen=True, slots=True)
class Measured:
    """All that was measured: the first page, milliseconds of searches by who else is there, and memory."""

    rows: int
    first: First
    large: dict[str, list[float]]
    small: dict[str, list[float]]
    passes: list[Pass]
    load: float


@click.command("browser")
@click.option("--rows", default=100_000, show_default=True, type=click.IntRange(2000), help="Made vectors.")
@click.option("--photos", default=1020, show_default=True, help="Small photos that are paged through.")
@click.option("--times", default=20, show_default=True, help="Searches of each kind.")
@click.option("--passes", default=4, show_default=True, help="Ways through all pages.")
@click.option("--work", type=click.Path(file_okay=False, path_type=Path), help="As of `search`.")
@click.option("--json", "target", type=click.Path(dir_okay=False, path_type=Path))
def browser(rows: int, photos: int, times: int, passes: int, work: Path | None, target: Path | None) -> None:
    """Seconds from a click to its hits, two visitors at once, and memory while paging, in Chromium."""
    from benchmarks.browser.visitor import chromium

    collection = _collection(work or bench_folder() / "search", rows)
    with tempfile.TemporaryDirectory(prefix="simsearch-") as name, chromium() as started:
        folder, index = Path(name, "photos"), Path(name, "index")
        samples.make_small(folder, photos)
        run_child(simsearch("index", folder, "-i", index, "--model", MODEL, "-q"))
        load = os.getloadavg()[0]
        first, large = _large(started, collection, Path(name), times)
        small, ways = _small(started, index, times, passes)
    command = f"python -m benchmarks browser --rows {rows} --photos {photos} --times {times}"
    measured = Measured(rows, first, large, small, ways, load)
    emit(report(measured, f"{command} --passes {passes}"), target)


def _collection(work: Path, rows: int) -> Collection:
    """The collection of made vectors that `search` uses, with its view."""
    real = work / "real"
    if not (real / "unseen.npy").exists():
        extract(samples.originals(), Embedder(MODEL), note=_note).write(real)
    collection = make(work, RealVectors.read(real), rows, QUERIES, _note)
    with Index.open(collection.index) as index:
        built = index.info().view.kind != "exact"
    if not built and rows > 20_000:
        run_child(simsearch("rebuild", "-i", collection.index, "-q"))
    return collection


def _large(
    started: Browser, collection: Collection, cwd: Path, times: int
) -> tuple[First, dict[str, list[float]]]:
    from benchmarks.browser.sessions import beside_a_search
    from benchmarks.browser.visitor import Visitor

    with serve("-i", collection.index, "-q", cwd=cwd) as server:
        seconds = []
        for _ in range(2):
            visitor, began = Visitor(started, server.address), time.perf_counter()
            visitor.page.goto(server.address)
            visitor.page.locator("li[data-id]").first.wait_for()
            seconds.append(time.perf_counter() - began)
            visitor.close()
        _note(f"{collection.rows:,} vectors: searches")
        return First(server.seconds, *seconds), beside_a_search(started, server, times)


def _small(
    started: Browser, index: Path, times: int, passes: int
) -> tuple[dict[str, list[float]], list[Pass]]:
    from benchmarks.browser.paging import page_through
    from benchmarks.browser.sessions import beside_copies
    from benchmarks.browser.visitor import Visitor

    with serve("-i", index, "-q", cwd=index.parent) as server:
        visitor, ways = Visitor(started, server.address), []
        for number in range(passes):
            _note(f"Paging, pass {number + 1}")
            ways.append(page_through(visitor, server))
        visitor.close()
        _note("Searches while copies are looked for")
        return beside_copies(started, server, times), ways


def report(measured: Measured, command: str) -> Report:
    """The tables of docs/benchmarks.md."""
    photos = max((way.pictures for way in measured.passes), default=0)
    figures = {
        "first": asdict(measured.first),
        "milliseconds": {"large": measured.large, "small": measured.small},
        "passes": [asdict(way) for way in measured.passes],
        "load": measured.load,
    }
    large = _answers(measured.large, f"{measured.rows:,} vectors", BAR_MS, measured.load)
    small = _answers(measured.small, f"{photos:,} photos", None, measured.load)
    return Report("browser", command, (_first(measured), large, small, _memory(measured.passes)), figures)


def _answers(found: dict[str, list[float]], what: str, bar: float | None, load: float) -> Table:
    alone = median(next(iter(found.values())))
    rows = tuple(
        (name, len(took), median(took), max(took), median(took) / alone, bar if number == 0 else None)
        for number, (name, took) in enumerate(found.items())
    )
    columns = ("at the same server", "searches", "median ms", "worst ms", "times alone", "at most ms")
    note = (
        "From a click on a hit to the drawn page of its 60 hits, each by another picture. The browsers of "
        f"both visitors ran on the same machine, whose load was {load:.1f} at the start."
    )
    return Table(f"From a click to its hits, {what}", columns, rows, note)


def _first(measured: Measured) -> Table:
    first = measured.first
    rows = (
        ("simsearch ui until it tells its address", first.server),
        ("first visitor, until pictures can be clicked", first.first),
        ("second visitor", first.second),
    )
    return Table(f"The first page, {measured.rows:,} vectors", ("what", "seconds"), rows)


def _memory(passes: list[Pass]) -> Table:
    rows = tuple(
        (f"after pass {number}", way.pictures, way.server, way.below, way.seconds)
        for number, way in enumerate(passes, start=1)
    )
    columns = ("when", "thumbnails shown", "MiB of the server", "MiB below it", "seconds")
    pages = passes[0].pages if passes else 0
    note = (
        f"{pages} pages of at most 60 thumbnails, every one sent by the server in every pass. VmRSS; below "
        "the server are its processes that decode."
    )
    return Table("Memory while a collection is paged through", columns, rows, note)


def _note(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
