"""The case `search`: makes the collection, runs every measurement, and lays the figures out in tables."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks import samples
from benchmarks.peers.environments import bench_folder
from benchmarks.report import emit
from benchmarks.search import child
from benchmarks.search.data import likeness
from benchmarks.search.data.collection import QUERIES, Collection, make
from benchmarks.search.data.flat import Flat
from benchmarks.search.data.generator import Generator
from benchmarks.search.data.vectors import RealVectors, extract, photos_in
from benchmarks.search.peers import measure_peers
from benchmarks.search.tables import Measured, report
from simsearch.models.embedder import Embedder

NEIGHBOURS = 100
SMALL_MODEL = "efficientnet_lite0"

folder = click.Path(file_okay=False, path_type=Path)


@click.command("search", cls=click.Group, invoke_without_command=True)
@click.option("--rows", default=100_000, show_default=True, type=click.IntRange(2000))
@click.option("--queries", default=500, show_default=True, help="Of each of the three kinds.")
@click.option("--vectors", type=folder, help="Real vectors that `search vectors` wrote.  [made anew]")
@click.option("--work", type=folder, help="Where the collection is made and kept, 8.2 GB a million rows.")
@click.option("--view", "views", multiple=True, default=("ivf",), type=click.Choice(["ivf", "hnsw"]))
@click.option("--recall", default=0.99, show_default=True)
@click.option("--graph-rows", default=100_000, show_default=True, help="Measure the kNN graph on so many.")
@click.option("--peers", is_flag=True, help="Other engines too, in environments of their own.")
@click.option("--json", "target", type=click.Path(dir_okay=False, path_type=Path))
@click.pass_context
def search(
    context: click.Context,
    rows: int,
    queries: int,
    vectors: Path | None,
    work: Path | None,
    views: tuple[str, ...],
    recall: float,
    graph_rows: int,
    peers: bool,
    target: Path | None,
) -> None:
    """Search of realistic vectors: views, the whole product and other engines against exact search."""
    if context.invoked_subcommand is not None:
        return
    command = ["python -m benchmarks search", f"--rows {rows}", *(f"--view {view}" for view in views)]
    command += [f"--queries {queries}", f"--recall {recall}", f"--graph-rows {graph_rows}"]
    command += ["--vectors REAL"] * (vectors is not None) + ["--peers"] * peers
    work = work or bench_folder() / "search"
    vectors = vectors or work / "real"
    if not (vectors / "unseen.npy").exists():
        _note("Real vectors first, of the photos of installed packages")
        extract(samples.originals(), Embedder(SMALL_MODEL), note=_note).write(vectors)
    real = RealVectors.read(vectors)
    collection = make(work, real, rows, queries, _note)
    described = compare(real, collection)
    figures = measure(collection, list(views), recall)
    _note("The graph of all nearest neighbours")
    figures["graph"] = child.run("graph.graph", collection.folder, most=graph_rows)
    others = measure_peers(collection, recall) if peers else {}
    emit(report(Measured(rows, collection.dim, described, figures, others), " ".join(command)), target)


@search.command("vectors")
@click.option(
    "--photos", multiple=True, type=folder, help="Folders of photos; the packages' are always used."
)
@click.option("--model", default="resnet50", show_default=True)
@click.option("--weights", type=click.Path(dir_okay=False))
@click.option("--out", required=True, type=folder)
def real_vectors(photos: tuple[Path, ...], model: str, weights: str | None, out: Path) -> None:
    """Embed about 11,000 crops of the photos: seeds for made vectors, and real queries."""
    found = extract([*photos_in(photos), *samples.originals()], Embedder(model, weights=weights), note=_note)
    found.write(out)


def compare(real: RealVectors, collection: Collection) -> dict[str, tuple[int, likeness.Figures]]:
    """Figures of real and of as many made vectors, and of each kind of query among all rows.

    The queries' true neighbours are kept for the measurements of recall.
    """
    seeds = real.seeds
    made = Generator(seeds).rows(len(seeds), stream=2)
    described = {
        "real crops": (len(seeds), likeness.describe(seeds)),
        "made, as many": (len(seeds), likeness.describe(made)),
    }
    flat = Flat(collection.maps())
    for kind in QUERIES:
        similar, ids = flat.search(collection.queries(kind), NEIGHBOURS)
        np.save(collection.folder / f"truth-{kind}.npy", ids)
        described[f'"{kind}" queries'] = (collection.rows, likeness.neighbourhood(similar))
    return described


def measure(collection: Collection, views: list[str], recall: float) -> dict[str, Any]:
    """Every measurement in a process of its own; while memory is measured, nothing else maps the rows."""
    place = collection.folder
    found: dict[str, Any] = {"build": {}, "load": {}}
    for kind in views:
        _note(f"Building the {kind} view")
        found["build"][kind] = child.run("building.build", place, kind=kind, recall=recall)
        found["load"][kind] = child.run("building.load", place, one_thread=True, kind=kind)
    _note("simsearch rebuild")
    found["rebuild"] = child.run("building.whole", place, kind=views[0], recall=recall)
    found["product"] = child.run("building.product", place, one_thread=True)
    found["cold"] = child.run("building.cold", place)
    _note("Single queries")
    found["single"] = child.run("timing.single", place, one_thread=True, views=views)
    _note("Filters")
    found["filters"] = child.run("timing.filters", place, one_thread=True, views=views)
    return found


def _note(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
