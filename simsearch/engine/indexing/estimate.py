"""Before a long run: how many photos, how many minutes, and whether the disk can hold it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from simsearch.engine.index import Index
from simsearch.engine.indexing.pipeline import LARGE
from simsearch.engine.indexing.survey import Candidate
from simsearch.errors import IndexUnwritable
from simsearch.media.formats import looks_like_picture
from simsearch.media.pool import DecodePool
from simsearch.models.embedder import Embedder
from simsearch.records import Decoded

LONG_RUN = 2000
"""From so many photos on a run is estimated before it begins."""

HELD = 20_000
"""So many files to read are held in memory; where there are more, the folders are walked twice."""

SAMPLE = 16
ROW_BYTES = 1024
"""What the database takes for a photo, with its indexes and the log's share, rounded up."""

TILE_BYTES = 256
"""The same for a tile."""


@dataclass
class WorkList:
    """What one walk found to read: the candidates themselves while they are few, always their numbers."""

    candidates: list[Candidate] = field(default_factory=list)
    files: int = 0
    photos: int = 0
    new: int = 0
    sample: list[Candidate] = field(default_factory=list)
    _stride: int = 1

    @property
    def is_long(self) -> bool:
        """Whether it will take a while, so that a person wants to know."""
        return self.photos > LONG_RUN

    @property
    def is_held(self) -> bool:
        """Whether all candidates are in the list; else the folders have to be walked again."""
        return self.files <= HELD

    def gather(self, found: Iterator[Candidate], show: Callable[[], None]) -> None:
        """Take in all of `found`, with every so-manieth of them as an even sample."""
        for candidate in found:
            self.files += 1
            picture = looks_like_picture(candidate.relpath or candidate.root.path)
            self.photos += picture
            self.new += picture and (candidate.row is None or candidate.row.content_id is None)
            if self.is_held:
                self.candidates.append(candidate)
            if self.files % self._stride == 0:
                self.sample.append(candidate)
            if len(self.sample) == 2 * SAMPLE:
                self.sample = self.sample[1::2]
                self._stride *= 2
            show()
        if not self.is_held:
            self.candidates.clear()


def check_space(index: Index, work: WorkList, tiles: int) -> int:
    """The bytes that the new photos, with so many `tiles` each, will take at most.

    Raises IndexUnwritable when they do not fit.
    """
    vector = index.spec.dim * 4
    needed = work.new * (vector + ROW_BYTES) + work.photos * tiles * (vector + TILE_BYTES)
    free = shutil.disk_usage(index.path).free
    if needed > free:
        photos = work.photos if tiles else work.new
        raise IndexUnwritable(
            f"{photos} photos need up to {_megabytes(needed)} in {index.path}, where {_megabytes(free)} are "
            "free; nothing was indexed. Make room, or put the index on another disk with -i."
        )
    return needed


def estimate(
    work: WorkList, pool: DecodePool, embedder: Embedder, known: Callable[[bytes], bool], workers: int
) -> float:
    """Seconds that the whole list will take, from reading and embedding an even sample of it.

    What is read for it is read and embedded again by the run itself. Starting the workers, loading the
    network and its first pass are not part of the measure; where nothing has to be embedded no network is
    loaded. On the CPU decoding and the network share the cores, so that their times add up; a card works
    while photos are decoded.
    """
    sample = [work.sample[i] for i in np.linspace(0, len(work.sample) - 1, SAMPLE).astype(int)]
    with ThreadPoolExecutor(workers) as threads:
        list(threads.map(lambda candidate: pool.read(candidate.path, known), sample[:workers]))
        started = time.monotonic()
        outcomes = list(threads.map(lambda candidate: pool.read(candidate.path, known), sample))
        seconds = time.monotonic() - started
    pixels: list[NDArray[np.uint8]] = []
    for outcome in outcomes:
        if isinstance(outcome, Decoded):
            pixels += [outcome.pixels, *(outcome.tiles if outcome.tiles is not None else ())]
    if pixels and embedder.device == "cpu":
        seconds += _embedding_here(embedder, pixels)
    elif pixels:
        seconds = max(seconds, _embedding_on_a_card(embedder, pixels))
    return seconds / len(sample) * work.files


def _embedding_here(embedder: Embedder, pixels: Sequence[NDArray[np.uint8]]) -> float:
    """Seconds that these pictures take on the CPU, in as many threads as the run will use."""
    embedder.embed(np.stack(pixels[:1]))
    parts = [np.stack(pixels[lane :: embedder.lanes]) for lane in range(min(embedder.lanes, len(pixels)))]
    started = time.monotonic()
    with ThreadPoolExecutor(len(parts)) as threads:
        list(threads.map(embedder.embed, parts))
    return time.monotonic() - started


def _embedding_on_a_card(embedder: Embedder, pixels: Sequence[NDArray[np.uint8]]) -> float:
    """Seconds that these pictures take on a card, from a pass of the size that the run will use.

    The first pass of a size is longer by up to seconds, as plans are made for it, which later ones find.
    """
    batch = np.stack([pixels[number % len(pixels)] for number in range(LARGE)])
    embedder.embed(batch)
    started = time.monotonic()
    embedder.embed(batch)
    return (time.monotonic() - started) * len(pixels) / len(batch)


def forecast(work: WorkList, seconds: float, size: int) -> str:
    """The estimate in one line."""
    other = work.files - work.photos
    others = f" and {other:,} other files to look into" if other else ""
    return f"{work.photos:,} photos to read{others}: {_duration(seconds)}, up to {_megabytes(size)} of disk."


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"about {max(1, round(seconds))} seconds"
    if seconds < 5400:
        return f"about {round(seconds / 60)} minutes"
    return f"about {seconds / 3600:.1f} hours"


def _megabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{max(1, round(size / 1e6))} MB"
