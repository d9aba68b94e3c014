"""Reads pictures, each once, and gives their features; a picture that cannot be read is told, not lost."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from types import TracebackType

from simsearch.dedup.features.ahead import spread
from simsearch.dedup.features.describe import Features, describe
from simsearch.dedup.features.hashes import HashTable
from simsearch.dedup.features.store import FeatureStore
from simsearch.dedup.records import Picture
from simsearch.framing import Fitting
from simsearch.media.decode import DecodeLimits
from simsearch.media.pool import DecodePool
from simsearch.models.runners import available_threads
from simsearch.records import Decoded, Skipped, Unreadable

LONGEST = 512
BATCH, PAGE = 128, 1000
CHANGED = "changed since it was indexed; index it again"


class Collector:
    """Features of pictures: those that are kept, else those of the file, decoded in worker processes.

    Attributes:
        failed: pictures that could not be read, by id.
    """

    def __init__(self, store: FeatureStore, *, max_pixels: int, workers: int | None = None) -> None:
        self.failed: dict[int, Skipped] = {}
        self._store = store
        self._threads = workers or available_threads()
        self._pool = DecodePool(self._threads, Fitting(LONGEST), limits=DecodeLimits(max_pixels=max_pixels))

    def __enter__(self) -> Collector:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.close()

    def hashes(
        self, pictures: Sequence[Picture], progress: Callable[[int, int], None] = lambda done, total: None
    ) -> HashTable:
        """PDQ hashes by place in `pictures`; what is not kept yet is read, described and kept.

        Pictures that fail stay unknown and stand in `failed`.
        """
        table, missing = HashTable.empty(len(pictures)), []
        for start in range(0, len(pictures), PAGE):
            page = pictures[start : start + PAGE]
            kept = self._store.hashes([picture.sha256 for picture in page])
            for place, picture in enumerate(page, start):
                if picture.sha256 in kept:
                    table.put(place, *kept[picture.sha256])
                else:
                    missing.append(place)
        described = spread(lambda place: self._describe(pictures[place]), missing, self._threads)
        for number, (place, features) in enumerate(zip(missing, described, strict=True), start=1):
            if features is not None:
                self._store.put(pictures[place].sha256, features)
                table.put(place, features.hashes, features.quality)
            if number % BATCH == 0:
                self._store.commit()
            progress(len(pictures) - len(missing) + number, len(pictures))
        self._store.commit()
        return table

    def features(self, picture: Picture) -> Features | None:
        """The features of one picture, kept from now on; None where it can no longer be read."""
        kept = self._store.features(picture.sha256)
        if kept is not None:
            return kept
        found = self._describe(picture)
        if found is not None:
            self._store.put(picture.sha256, found)
        return found

    def _describe(self, picture: Picture) -> Features | None:
        found = read_picture(self._pool, picture)
        if isinstance(found, Decoded):
            return describe(found.pixels)
        self.failed[picture.id] = found
        return None


def read_picture(pool: DecodePool, picture: Picture) -> Decoded | Skipped:
    """A picture by the first of its files that still holds what was indexed, else why none does."""
    reason, transient = "no file of it is there", True
    for path in picture.paths:
        outcome = pool.read(os.fsencode(path))
        if isinstance(outcome, Decoded) and outcome.digest == picture.sha256:
            return outcome
        reason, transient = CHANGED, True
        if isinstance(outcome, Unreadable):
            reason, transient = outcome.reason, outcome.transient
    return Skipped(picture.paths[0], reason, transient)
