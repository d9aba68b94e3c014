"""The part `cost`: measures one thing after the other, and hands the figures to the tables."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks import samples
from benchmarks.dedup.ours import sides
from benchmarks.dedup.parts.cost import made, pieces
from benchmarks.dedup.parts.cost.children import SECONDS, Told, child
from benchmarks.dedup.parts.cost.tables import Measured, tables
from benchmarks.dedup.parts.settings import Settings, workplace
from benchmarks.peers.asking import ask
from benchmarks.peers.environments import PeerMissing, bench_folder, ensure
from benchmarks.peers.photos import TORCH
from benchmarks.report import Report
from benchmarks.search.command import SMALL_MODEL
from benchmarks.search.data.collection import Collection, make
from benchmarks.search.data.vectors import RealVectors, extract, photos_in
from simsearch.engine.indexing import index_folder
from simsearch.engine.indexing.config import IndexingConfig
from simsearch.models.choice import ModelChoice
from simsearch.models.embedder import Embedder

QUERIES, PER_CLASS = 500, 2
LIMITS = {"vectors": SECONDS, "hashes": SECONDS / 2, "words": SECONDS / 2}
PEER_SCRIPT = "dedup/imagededup_vectors.py"


def cost(settings: Settings) -> Report:
    """A picture, a pair, candidates of many pictures and the same by imagededup, and whole searches."""
    of_pictures = {settings.photos.name: pieces.of_pictures(photos_in([settings.photos]))}
    if settings.shots is not None:
        of_pictures[settings.shots.name] = pieces.of_pictures(photos_in([settings.shots]))
    of_pairs = _pairs(settings)
    work = bench_folder() / "search"
    real = _real(settings.vectors or work / "real")
    made_of = bench_folder() / "dedup" / "made"
    _note("Hashes and points of crops of the photos")
    made.make(made_of, photos_in([settings.photos]))
    smallest = min(settings.rows)
    candidates = {}
    for rows in counts(settings):
        collection = make(work, real, rows, QUERIES, _note)
        kinds = ("vectors",) if rows not in settings.rows else tuple(LIMITS)
        for kind in kinds:
            _note(f"Candidates by {kind} of {rows:,}")
            folder = collection.folder if kind == "vectors" else made_of
            candidates[kind, rows] = child("candidates", kind, folder, rows, seconds=LIMITS[kind])
    peer = _peer(make(work, real, smallest, QUERIES, _note), smallest) if settings.peers else {}
    measured = Measured(of_pictures, of_pairs, candidates, peer, _whole(settings))
    return Report(
        f"dedup-cost-{max(settings.rows)}", settings.command("cost"), tables(measured), measured.figures()
    )


def counts(settings: Settings) -> list[int]:
    """How many vectors are searched: as asked for, and beside the peer half of the smallest number too."""
    halved = {min(settings.rows) // 2} if settings.peers else set()
    return sorted({*halved, *settings.rows})


def _pairs(settings: Settings) -> pieces.Pieces:
    """The judge's cost, on few originals of each class, each with all edits."""
    task = replace(settings, per_class=min(settings.per_class, PER_CLASS), shots=None).task()
    with workplace() as place:
        with sides(task.originals, [q.path for q in task.queries], place, None) as found:
            return pieces.of_pairs(task, found)


def _real(folder: Path) -> RealVectors:
    """The real vectors of the search case; made where they are not there yet."""
    if not (folder / "unseen.npy").exists():
        _note("Real vectors, of the photos of installed packages")
        extract(samples.originals(), Embedder(SMALL_MODEL), note=_note).write(folder)
    return RealVectors.read(folder)


def _peer(collection: Collection, rows: int) -> dict[int, Told]:
    """imagededup on the first half of the rows and on all of them, or why not."""
    with workplace() as place:
        np.save(place / "rows.npy", np.concatenate(collection.maps()))
        told: dict[int, Told] = {}
        for count in (rows // 2, rows):
            _note(f"imagededup on {count:,} vectors")
            try:
                python = ensure("torch_peers", TORCH)
                told[count] = dict(ask(python, PEER_SCRIPT, [place / "rows.npy", str(count)]).told)
            except PeerMissing as exc:
                told[count] = {"error": str(exc)}
        return told


def _whole(settings: Settings) -> dict[str, Told]:
    """The whole of finding copies among the photos, and among many small ones; indexed before."""
    with workplace() as place:
        samples.make_small(place / "small", settings.small)
        told: dict[str, Told] = {}
        for name, folder, choice in (
            (settings.photos.name, settings.photos, settings.choice),
            (f"{settings.small:,} small photos", place / "small", ModelChoice(SMALL_MODEL)),
        ):
            _note(f"Copies among {name}")
            index = place / f"index {len(told)}"
            index_folder([folder], index, IndexingConfig(choice=choice))
            told[name] = child("whole", index)
        return told


def _note(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
