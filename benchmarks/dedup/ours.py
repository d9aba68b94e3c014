"""simsearch's own answers to a task: the stages of `simsearch.dedup` between two collections."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.dedup.scores import Answers
from simsearch.dedup.candidates.collection import Collection, collection_of
from simsearch.dedup.candidates.pairs import Side, between
from simsearch.dedup.features.collect import Collector
from simsearch.dedup.features.store import FeatureStore
from simsearch.dedup.stages.judging import Cuts, PairJudge
from simsearch.dedup.verify.classifier import shipped
from simsearch.engine.index import Index
from simsearch.engine.indexing import index_folder
from simsearch.engine.indexing.config import IndexingConfig
from simsearch.models.choice import ModelChoice

MANY_PIXELS = 1 << 28


@dataclass(frozen=True, slots=True)
class Sides:
    """Originals and queries; `numbers` gives those of the task at each place of a side."""

    base: Side
    asked: Side
    numbers: tuple[tuple[tuple[int, ...], ...], tuple[tuple[int, ...], ...]]
    sources: tuple[Collector, FeatureStore]


def ours(
    originals: Sequence[Path], queries: Sequence[Path], folder: Path, weights: Path | None = None
) -> Answers:
    """The score of every pair that was verified, by places in the two lists.

    `weights` is a ResNet-50 checkpoint; without one the vectors are those of efficientnet_lite0.
    """
    with sides(originals, queries, folder, weights) as found:
        return answers(found)


def answers(found: Sides) -> Answers:
    """The score of every pair of the sides that the product compares, by places in the lists."""
    base, asked = found.base.collection, found.asked.collection
    moved = (replace(picture, id=len(base) + picture.id) for picture in asked.pictures)
    judge = PairJudge([*base.pictures, *moved], found.sources, shipped(), Cuts(1.0, 1.0))
    pairs = ((len(base) + query, original) for query, original in between(found.base, found.asked))
    rows = [
        (query, original, pair.score)
        for pair in judge.judged(pairs)
        for original in found.numbers[0][pair.first]
        for query in found.numbers[1][pair.second - len(base)]
    ]
    queries, originals, scores = np.asarray(rows, dtype=np.float64).reshape(-1, 3).T
    return Answers(queries.astype(np.int64), originals.astype(np.int64), scores)


@contextmanager
def sides(
    originals: Sequence[Path], queries: Sequence[Path], folder: Path, weights: Path | None
) -> Iterator[Sides]:
    """Both lists indexed below `folder`, and what was read of their pictures."""
    choice = ModelChoice("resnet50", str(weights)) if weights else ModelChoice("efficientnet_lite0")
    names = ("originals", "queries")
    for name, files in zip(names, (originals, queries), strict=True):
        _link(files, folder / name)
        index_folder([folder / name], folder / f"{name}.index", IndexingConfig(choice=choice))
    with (
        Index.open(folder / "originals.index") as one,
        Index.open(folder / "queries.index") as other,
        FeatureStore(folder, shipped().name) as store,
        Collector(store, max_pixels=MANY_PIXELS) as collector,
    ):
        collections = collection_of(one), collection_of(other)
        base, asked = (_side(collection, collector) for collection in collections)
        yield Sides(base, asked, (_numbers(collections[0]), _numbers(collections[1])), (collector, store))


def _side(collection: Collection, collector: Collector) -> Side:
    pictures = collection.pictures
    return Side(collection, collector.hashes(pictures), lambda place: collector.features(pictures[place]))


def _link(files: Sequence[Path], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, file in enumerate(files):
        link = folder / f"{number:06d}{file.suffix}"
        if not link.is_symlink():
            link.symlink_to(file.resolve())


def _numbers(collection: Collection) -> tuple[tuple[int, ...], ...]:
    """The places in the list of the files of each picture; those of equal bytes are one picture."""
    return tuple(
        tuple(int(os.path.basename(path).split(".")[0]) for path in picture.paths)
        for picture in collection.pictures
    )
