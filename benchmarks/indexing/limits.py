"""Indexing against what the machine allows: decoding alone, the network alone, whole commands, in turn."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.indexing.ratios import Rounds, Speed
from benchmarks.machine import Cost
from benchmarks.peers.children import run_child, simsearch
from benchmarks.peers.environments import bench_folder
from benchmarks.report import timed
from simsearch.engine.indexing.pipeline import SMALL
from simsearch.media.pool import DecodePool
from simsearch.models.embedder import Embedder
from simsearch.models.runners import available_threads
from simsearch.records import Decoded

BATCH = 32


@dataclass(frozen=True, slots=True)
class Subject:
    """What is indexed with what: `model` is the model with its flags, as simsearch index takes them."""

    folder: Path
    model: tuple[str, ...]
    embedder: Embedder


Way = Callable[[], Speed]


def decode_only(subject: Subject) -> tuple[list[NDArray[np.uint8]], Speed]:
    """The product's own decoding on all cores: pictures as the network takes them."""
    paths, workers = sorted(os.fsencode(path) for path in subject.folder.iterdir()), available_threads()
    with DecodePool(workers, subject.embedder.spec.framing) as pool, ThreadPoolExecutor(workers) as threads:
        # A worker's start is no decoding.
        list(threads.map(pool.read, paths[:workers]))
        outcomes, cost = timed(lambda: list(threads.map(pool.read, paths)))
    pixels = [outcome.pixels for outcome in outcomes if isinstance(outcome, Decoded)]
    return pixels, _speed(len(pixels), cost)


def forward_only(embedder: Embedder, pixels: Sequence[NDArray[np.uint8]]) -> Speed:
    """The network alone on decoded pictures, in as many threads and in such batches as the indexer has."""
    lanes = embedder.lanes
    size = SMALL if lanes > 1 else BATCH
    batches = [np.stack(pixels[start : start + size]) for start in range(0, len(pixels), size)]
    with ThreadPoolExecutor(lanes) as threads:
        _, cost = timed(lambda: list(threads.map(embedder.embed, batches)))
    return _speed(len(pixels), cost)


def whole_command(subject: Subject) -> Speed:
    """simsearch index of the folder into a new index, as a user types it."""
    bench_folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=bench_folder()) as place:
        index = Path(place, "index")
        command = simsearch("index", subject.folder, "-i", index, *subject.model, "--json", "-q")
        finished = run_child(command)
    told = finished.answer()
    count = told["embedded"]
    return Speed(count / told["seconds"], count / finished.cost.wall, finished.cost.cpu / count)


def against_limits(subject: Subject, loop: Way, pairs: int) -> Rounds:
    """Rounds of decoding, network both ways, command and the usual loop, every second one backwards."""
    pixels, _ = decode_only(subject)
    spec, weights = subject.embedder.spec, subject.embedder.weights_path
    bulk = Embedder.for_spec(spec, weights, device="cpu", bulk=True)
    for embedder in (subject.embedder, bulk):
        forward_only(embedder, pixels[: 2 * BATCH])
    ways: dict[str, Way] = {
        "decode": lambda: decode_only(subject)[1],
        "forward": lambda: forward_only(bulk, pixels),
        "together": lambda: forward_only(subject.embedder, pixels),
        "command": lambda: whole_command(subject),
        "loop": loop,
    }
    kept: dict[str, list[Speed]] = {key: [] for key in ways}
    for number in range(pairs):
        for key in list(ways) if number % 2 == 0 else reversed(ways):
            kept[key].append(ways[key]())
    return Rounds(photos=len(pixels), **kept)


def _speed(count: int, cost: Cost) -> Speed:
    return Speed(count / cost.wall, count / cost.wall, cost.cpu / count)
