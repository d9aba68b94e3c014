"""python -m benchmarks tiles: how many crops find the photo they were cut from, and what tiles cost."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.report import Report, Table, emit
from benchmarks.tiles.crops import KINDS, class_of, crops_of, half_of
from benchmarks.tiles.layouts import layouts, mean_average_precision
from simsearch import Index, index_folder
from simsearch.engine.indexing import IndexingConfig
from simsearch.engine.ranking import Wanted
from simsearch.engine.search import QueryOptions, Searcher
from simsearch.models.choice import ModelChoice
from simsearch.models.embedder import Embedder

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
LITE, RESNET = "efficientnet_lite0", "resnet50"
PLACES = 5


@click.command("tiles")
@click.option(
    "--photos", type=FOLDER, required=True, help="Corel-1000: photos by number, a hundred to a class."
)
@click.option("--weights", type=FILE, help="ResNet-50 checkpoint, to measure it too.")
@click.option("--part", type=click.Choice(["found", "layouts"]), default="found", show_default=True)
@click.option("--json", "target", type=click.Path(dir_okay=False, path_type=Path), help="File of the JSON.")
def tiles(photos: Path, weights: Path | None, part: str, target: Path | None) -> None:
    """Crops of photos as queries: layouts on the first half, what the product finds on the other."""
    if part == "layouts":
        emit(layouts(photos, Embedder(LITE, device="cpu")), target)
        return
    choices = {LITE: ModelChoice(LITE)} | ({RESNET: ModelChoice(RESNET, str(weights))} if weights else {})
    found: list[tuple[str, ...]] = []
    costs: list[tuple[str | float, ...]] = []
    raw: dict[str, Any] = {}
    for name, choice in choices.items():
        with tempfile.TemporaryDirectory() as place:
            kept, figures = _measured(half_of(photos, odd=True), choice, Path(place))
        raw[name] = figures
        found += [(name, *row) for row in kept]
        costs += [(name, *row) for row in figures["cost"]]
    words = [f"--photos {photos.name}", f"--weights {weights.name}" if weights else ""]
    columns = (
        "model",
        "parts",
        *(f"{kind}, first {n}" for kind in KINDS for n in (1, PLACES)),
        "mAP of whole photos",
    )
    note = (
        "200 crops (seed 17) of the photo's own aspect, saved as JPEG of quality 90, among the 500 photos of "
        "the half that no layout was chosen on. mAP: each photo asks for the others of its class. Scores are "
        "plain cosines (--no-center)."
    )
    tables = (
        Table("Crops that find their photo", columns, tuple(found), note),
        Table("What tiles cost", ("model", "index", "kB a photo", "ms a photo"), tuple(costs)),
    )
    emit(Report("tiles", " ".join(["python -m benchmarks tiles", *filter(None, words)]), tables, raw), target)


def _measured(
    photos: list[Path], choice: ModelChoice, place: Path
) -> tuple[list[tuple[str, ...]], dict[str, Any]]:
    folder = place / "photos"
    folder.mkdir()
    for photo in photos:
        shutil.copy(photo, folder)
    cost = []
    for name, tiled in (("without tiles", False), ("with tiles", True)):
        started = time.monotonic()
        index_folder(folder, place / name, IndexingConfig(choice=choice, tiles=tiled))
        seconds = time.monotonic() - started
        with Index.open(place / name) as index:
            cost.append((name, index.info().bytes / len(photos) / 1e3, 1e3 * seconds / len(photos)))
    rows, figures = [], {}
    with Searcher(place / "with tiles") as searcher:
        for name, tiled in (("whole", False), ("all", True)):
            rates = [rate for share in KINDS.values() for rate in _rates(searcher, photos, share, tiled)]
            precision = _precision(searcher.index, tiled)
            figures[name] = {"rates": rates, "mAP": precision}
            rows.append((name, *(f"{100 * rate:.1f} %" for rate in rates), f"{precision:.4f}"))
    return rows, {"parts": figures, "cost": cost}


def _rates(searcher: Searcher, photos: list[Path], share: float, tiled: bool) -> tuple[float, float]:
    """The share of crops whose photo is the first hit, and among the first five."""
    ranks = []
    for crop in crops_of(photos, share):
        hits = searcher.query_bytes(crop.data, options=QueryOptions(k=PLACES, center=False, tiles=tiled)).hits
        names = [os.path.basename(hit.path) for hit in hits]
        ranks.append(names.index(crop.photo.name) if crop.photo.name in names else PLACES)
    return ranks.count(0) / len(ranks), sum(rank < PLACES for rank in ranks) / len(ranks)


def _precision(index: Index, tiled: bool) -> float:
    known = list(index.photos())
    places = {photo.id: place for place, photo in enumerate(known)}
    vectors = index.vectors(list(places))
    scores = np.full((len(known), len(known)), -np.inf, dtype=np.float32)
    for place, hits in enumerate(index.rank(vectors, Wanted(k=len(known), center=False, tiles=tiled))):
        for hit in hits:
            scores[place, places[hit.id]] = hit.score
    return mean_average_precision(scores, np.array([class_of(Path(photo.paths[0])) for photo in known]))
