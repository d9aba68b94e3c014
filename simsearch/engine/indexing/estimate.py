"""Before a long run: how many photos, how many minutes, and whether the disk can hold it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from simsearch.engine.index import Index
from simsearch.engine.indexing.survey import Candidate
from simsearch.errors import IndexUnwritable
from simsearch.media.formats import looks_like_picture
from simsearch.media.pool import DecodePool
from simsearch.models.embedder import Embedder
from simsearch.records import Decoded

LONG_RUN = 2000
"""From so many files on a run is estimated; fewer are held in memory, so that the folder is walked once."""

SAMPLE = 16
ROW_BYTES = 1024
"""What the database takes for a photo, with its indexes and the log's share, rounded up."""


@dataclass
class WorkList:
    """What one walk found to read: the candidates themselves while they are few, always their numbers."""

    candidates: list[Candidate] = field(default_factory=list)
    files: int = 0
    photos: int = 0
    sample: list[Candidate] = field(default_factory=list)
    _stride: int = 1

    @property
    def is_long(self) -> bool:
        """Whether there are too many to be held, so that the folders have to be walked again."""
        return self.files > LONG_RUN

    def gather(self, found: Iterator[Candidate], show: Callable[[], None]) -> None:
        """Take in all of `found`, with every so-manieth of them as an even sample."""
        for candidate in found:
            self.files += 1
            self.photos += looks_like_picture(candidate.relpath or candidate.root.path)
            if not self.is_long:
                self.candidates.append(candidate)
            if self.files % self._stride == 0:
                self.sample.append(candidate)
            if len(self.sample) == 2 * SAMPLE:
                self.sample = self.sample[1::2]
                self._stride *= 2
            show()
        if self.is_long:
            self.candidates.clear()


def check_space(index: Index, photos: int) -> int:
    """The bytes that so many new photos will take at most. Raises IndexUnwritable when they do not fit."""
    needed = photos * (index.spec.dim * 4 + ROW_BYTES)
    free = shutil.disk_usage(index.path).free
    if needed > free:
        raise IndexUnwritable(
            f"{photos} photos need up to {_megabytes(needed)} in {index.path}, where {_megabytes(free)} are "
            "free; nothing was indexed. Make room, or put the index on another disk with -i."
        )
    return needed


def estimate(work: WorkList, pool: DecodePool, embedder: Embedder, workers: int) -> float:
    """Seconds that the whole list will take, from reading and embedding an even sample of it."""
    sample = work.sample[:SAMPLE]
    embedder.load()
    started = time.monotonic()
    with ThreadPoolExecutor(workers) as threads:
        outcomes = list(threads.map(lambda c: pool.read(c.path), sample))
    pixels = [outcome.pixels for outcome in outcomes if isinstance(outcome, Decoded)]
    if pixels:
        embedder.embed(np.stack(pixels))
    return (time.monotonic() - started) / len(sample) * work.files


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
