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
from simsearch.views.figures import figures_of

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
LITE, RESNET = "efficientnet_lite0", "resnet50"
KNOWN = 20
WHOLE, SIZES, DOUBTS, DRAWS = "Corel-1000", (10, 20, 50, 100, 200, 400), (3, 10, 30, 100, 300), 30


@click.command("centring")
@click.option("--photos", type=FOLDER, help="Corel-1000: photos by number, a hundred to a class.")
@click.option("--weights", type=FILE, help="ResNet-50 checkpoint, to measure it too.")
@click.option("--json", "target", type=click.Path(dir_okay=False, path_type=Path), help="File of the JSON.")
def centring(photos: Path | None, weights: Path | None, target: Path | None) -> None:
    """Each picture asks for the others of its class or source, with and without centring.

    The mean is the product's own, of the set that is searched. From how many photos on it counts was chosen
    by the second table, on the even half of Corel-1000.
    """
    models = {LITE: Embedder(LITE)} | ({RESNET: Embedder(RESNET, weights=str(weights))} if weights else {})
    rows, raw, trusted = [], [], []
    for name, embedder in models.items():
        for pictures in _sets(photos, embedder):
            vectors = embedder.embed(pictures.pixels)
            plain = mean_average_precision(vectors, pictures.labels)
            moved = mean_average_precision(centred(vectors, _mean(vectors)), pictures.labels)
            few = _among_few(vectors, pictures)
            raw.append({"model": name, "set": pictures.name, "plain": plain, "centred": moved, "few": few})
            cells = (f"{plain:.4f}", f"{moved:.4f}", f"{moved - plain:+.4f}", f"{few[1] - few[0]:+.4f}")
            rows.append((name, pictures.name, len(vectors), *cells))
            if pictures.name == WHOLE:
                trusted += [(name, *row) for row in _by_doubt(vectors[::2], pictures.labels[::2])]
    columns = ("model", "set", "pictures", "plain", "centred", "gain", f"gain among {KNOWN}")
    note = f'"gain among {KNOWN}": only {KNOWN} pictures of the set are indexed; the mean of fifty draws.'
    words = [f"--photos {photos.name}" if photos else "", f"--weights {weights.name}" if weights else ""]
    command = " ".join(["python -m benchmarks centring", *filter(None, words)])
    table = Table("Mean average precision, leave one out", columns, tuple(rows), note)
    doubts = tuple(f"n / (n + {doubt})" for doubt in DOUBTS)
    told = "Photos drawn from the even half of Corel-1000, thirty draws; the mean counts so much of itself."
    second = Table(
        "Gain by how far the mean is trusted", ("model", "photos n", *doubts), tuple(trusted), told
    )
    emit(Report("centring", command, (table, second), {"sets": raw, "doubts": trusted}), target)


def _sets(photos: Path | None, embedder: Embedder) -> Iterator[Pictures]:
    framing = embedder.spec.framing
    if photos is not None:
        yield of_classes(WHOLE, photos, range(10), framing)
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


def _by_doubt(vectors: Vectors, labels: Ids) -> Iterator[tuple[int | str, ...]]:
    """(photos, gain with each of `DOUBTS`) for each of `SIZES`."""
    chance = np.random.default_rng(0)
    for size in SIZES:
        gains = []
        for _ in range(DRAWS):
            chosen = chance.choice(len(vectors), size, replace=False)
            own, kinds = vectors[chosen], labels[chosen]
            asking = [n for n, kind in enumerate(kinds) if (kinds == kind).sum() > 1]
            mean = own.mean(axis=0)
            shares = (0.0, *(size / (size + doubt) for doubt in DOUBTS))
            found = [_asked(centred(own, share * mean), kinds, asking) for share in shares]
            gains.append(np.array(found[1:]) - found[0])
        yield size, *(f"{gain:+.4f}" for gain in np.mean(gains, axis=0))


def _asked(vectors: Vectors, labels: Ids, asking: list[int]) -> float:
    """Mean average precision of those that have another of their class."""
    scores = vectors @ vectors.T
    right = [np.flatnonzero(labels == labels[own]) for own in asking]
    found = [
        figures_of(scores[own], own, same[same != own], 1).average_precision
        for own, same in zip(asking, right, strict=True)
    ]
    return float(np.mean(found))


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
