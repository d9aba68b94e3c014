"""python -m benchmarks centring: mean average precision of plain and of centred vectors, set by set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np

from benchmarks.precision.scores import Vectors, mean_average_precision
from benchmarks.precision.sets import Pictures, of_classes, of_copies
from benchmarks.report import Report, Table, emit
from simsearch.models.embedder import Embedder
from simsearch.views.base import Blocks, Ids
from simsearch.views.centring import centred, middle

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
LITE, RESNET = "efficientnet_lite0", "resnet50"
KNOWN = 20


@click.command("centring")
@click.option("--photos", type=FOLDER, help="Corel-1000: photos by number, a hundred to a class.")
@click.option("--weights", type=FILE, help="ResNet-50 checkpoint, to measure it too.")
@click.option("--json", "target", type=click.Path(dir_okay=False, path_type=Path), help="File of the JSON.")
def centring(photos: Path | None, weights: Path | None, target: Path | None) -> None:
    """Each picture asks for the others of its class or source, with and without centring.

    The mean is the product's own, of the set that is searched; nothing about it was chosen by these sets.
    """
    models = {LITE: Embedder(LITE)} | ({RESNET: Embedder(RESNET, weights=str(weights))} if weights else {})
    rows, raw = [], []
    for name, embedder in models.items():
        for pictures in _sets(photos, embedder):
            vectors = embedder.embed(pictures.pixels)
            plain = mean_average_precision(vectors, pictures.labels)
            moved = mean_average_precision(centred(vectors, _mean(vectors)), pictures.labels)
            few = _among_few(vectors, pictures)
            raw.append({"model": name, "set": pictures.name, "plain": plain, "centred": moved, "few": few})
            cells = (f"{plain:.4f}", f"{moved:.4f}", f"{moved - plain:+.4f}", f"{few[1] - few[0]:+.4f}")
            rows.append((name, pictures.name, len(vectors), *cells))
    columns = ("model", "set", "pictures", "plain", "centred", "gain", f"gain among {KNOWN}")
    note = f'"gain among {KNOWN}": only {KNOWN} pictures of the set are indexed; the mean of fifty draws.'
    words = [f"--photos {photos.name}" if photos else "", f"--weights {weights.name}" if weights else ""]
    command = " ".join(["python -m benchmarks centring", *filter(None, words)])
    table = Table("Mean average precision, leave one out", columns, tuple(rows), note)
    emit(Report("centring", command, (table,), {"sets": raw}), target)


def _sets(photos: Path | None, embedder: Embedder) -> Iterator[Pictures]:
    framing = embedder.spec.framing
    if photos is not None:
        yield of_classes("Corel-1000", photos, range(10), framing)
        yield of_classes("its classes 0-4", photos, range(5), framing)
        yield of_classes("its classes 5-9", photos, range(5, 10), framing)
    yield of_copies("copies of sample photos", [], framing)


def _mean(vectors: Vectors) -> Vectors:
    return middle(_blocks(vectors), len(vectors))


def _blocks(vectors: Vectors) -> Blocks:
    def blocks(places: Ids | None = None) -> Iterator[tuple[Ids, Vectors]]:
        chosen = np.arange(len(vectors)) if places is None else places
        yield chosen, vectors[chosen]

    return blocks


def _among_few(vectors: Vectors, pictures: Pictures) -> tuple[float, float]:
    """Plain and centred, with 20 pictures indexed: where the mean is mostly noise."""
    chance = np.random.default_rng(0)
    scores: list[tuple[float, float]] = []
    while len(scores) < 50:
        chosen = chance.choice(len(vectors), KNOWN, replace=False)
        labels, part = pictures.labels[chosen], vectors[chosen]
        several = np.isin(labels, [label for label in set(labels.tolist()) if (labels == label).sum() > 1])
        part, labels = part[several], labels[several]
        if len(part) > 1:
            moved = centred(part, _mean(part))
            scores.append((mean_average_precision(part, labels), mean_average_precision(moved, labels)))
    plain, moved_mean = np.mean(scores, axis=0)
    return float(plain), float(moved_mean)
