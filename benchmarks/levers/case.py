"""python -m benchmarks levers: what each lever is worth on each kind of set, chosen on one half of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.levers.geometry import Points, asking_of, looked_at, reranked
from benchmarks.levers.levers import LEVERS, Scores, average_precisions, moved, plain
from benchmarks.levers.looking import Vectors, looked, unit
from benchmarks.levers.sets import Collection, collections
from benchmarks.report import Report, Table, emit
from simsearch.models.choice import ModelChoice, resolve

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
USUAL = "centre, avg"
INPUTS = "efficientnet_lite0"
COUNT, MOST = 20, 250
BLENDS = {
    "mean of centre and mirrored": ("centre", "centre, mirrored"),
    "mean of 224, 288 and 320": ("centre", "centre, 288", "centre, 320"),
}
DEFAULT = "centred (the default)"

Found = dict[str, dict[str, tuple[float, float]]]
"""Mean average precision of the half to choose on and of that to report on, by lever and model."""


@click.command("levers")
@click.option("--photos", type=FOLDER, required=True, help="Corel-1000: photos by number, a hundred a class.")
@click.option("--shots", type=FOLDER, help="Large photos, for the set of views.")
@click.option("--weights", type=FILE, help="ResNet-50 checkpoint, to measure it too.")
@click.option("--model", "models", multiple=True, default=["efficientnet_lite0", "efficientnet_lite2"])
@click.option("--inputs/--no-inputs", default=True, help=f"Other inputs and poolings too, with {INPUTS}.")
@click.option("--json", "target", type=click.Path(dir_okay=False, path_type=Path), help="File of the JSON.")
def levers(
    photos: Path,
    shots: Path | None,
    weights: Path | None,
    models: tuple[str, ...],
    inputs: bool,
    target: Path | None,
) -> None:
    """Each picture asks for the others of its class, object or source, within one half of a set at a time."""
    chosen = {model: ModelChoice(model, None, "avg", "cpu") for model in models}
    if weights is not None:
        chosen["resnet50"] = ModelChoice("resnet50", str(weights), "avg", "cpu")
    tables, raw = [], {}
    for collection in collections(photos, shots):
        found: Found = {}
        looks, known = looked_at(collection.pictures), (Points(), Points())
        for model, choice in chosen.items():
            every = inputs and model == INPUTS
            for look, vectors in _looks(choice, collection, every):
                for lever, both in _measured(collection, vectors, every_lever=look == USUAL):
                    name = lever if look == USUAL else f"{look} ({lever})"
                    found.setdefault(name, {})[model] = both
                if look == USUAL:
                    both = _by_geometry(collection, vectors, looks, known)
                    found.setdefault(f"centred, geometry {COUNT}", {})[model] = both
            click.echo(f"{collection.kind} {model}", err=True)
        tables.append(_table(collection, found, list(chosen)))
        raw[collection.kind] = found
    words = [f"--photos {photos.name}", f"--shots {shots.name}" if shots else ""]
    words += [f"--weights {weights.name}" if weights else "", "" if inputs else "--no-inputs"]
    command = " ".join(["python -m benchmarks levers", *filter(None, words)])
    emit(Report("levers", command, tuple(tables), {"sets": raw}), target)


def _looks(choice: ModelChoice, collection: Collection, every: bool) -> Iterator[tuple[str, Vectors]]:
    averaged: dict[str, Vectors] = {}
    names = None if every else ["centre"]
    for name, pooling, vectors in looked(resolve(choice), collection.pictures, names):
        if pooling == "avg":
            averaged[name] = vectors
        if every or pooling == "avg":
            yield f"{name}, {pooling}", vectors
    for name, parts in BLENDS.items() if every else ():
        yield name, unit(np.sum([averaged[part] for part in parts], axis=0))


def _measured(
    collection: Collection, vectors: Vectors, *, every_lever: bool
) -> Iterator[tuple[str, tuple[float, float]]]:
    for lever in LEVERS if every_lever else [DEFAULT]:
        yield lever, _both(collection, lambda places, how=LEVERS[lever]: how(vectors[places]))


def _by_geometry(
    collection: Collection, vectors: Vectors, looks: list[Any], known: tuple[Points, Points]
) -> tuple[float, float]:
    def scores(places: NDArray[np.int64]) -> Scores:
        own = [looks[place] for place in places.tolist()]
        asking = asking_of(collection.labels[places], MOST)
        half = known[int(collection.report[places[0]])]
        return reranked(plain(moved(vectors[places])), asking, own, COUNT, half)

    return _both(collection, scores)


def _both(collection: Collection, scores: Any) -> tuple[float, float]:
    """The mean average precision of both halves, of which each sees nothing of the other."""
    found = []
    for report in (False, True):
        places = np.flatnonzero(collection.report == report)
        labels = collection.labels[places]
        precisions = average_precisions(scores(places), labels, asking_of(labels, MOST))
        found.append(float(precisions.mean()))
    return found[0], found[1]


def _table(collection: Collection, found: Found, models: list[str]) -> Table:
    columns = ["lever", *(f"{model}, {half}" for model in models for half in ("choose", "report"))]
    rows = []
    for lever, by_model in found.items():
        cells: list[str | None] = [lever]
        for model in models:
            cells += [f"{value:.4f}" for value in by_model[model]] if model in by_model else [None, None]
        rows.append(tuple(cells))
    pictures, asking = len(collection.labels), int((collection.labels >= 0).sum())
    note = f"{pictures} pictures, of which {asking} belong to others; {MOST} of a half ask at most."
    return Table(f"Mean average precision, set by {collection.kind}", tuple(columns), tuple(rows), note)
