"""Pixels of pictures in the order asked for, decoded by worker processes and kept while there is room."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from simsearch.errors import PhotoUnreadable
from simsearch.framing import Fitting, Framing
from simsearch.media.pool import DecodePool
from simsearch.paths import text
from simsearch.records import Decoded, Outcome, Unreadable

ROOM = 1 << 29
"""Bytes of pixels that are kept; what comes later is decoded each time it is wanted."""

Pixels = NDArray[np.uint8]


class Source(Protocol):
    """A picture to be read."""

    @property
    def path(self) -> bytes:
        """Where its file is."""

    @property
    def digest(self) -> bytes:
        """The SHA-256 digest of its bytes."""


class Frames:
    """Reads pictures as `framing` says, in `workers` processes, and keeps the first 512 MiB of them."""

    def __init__(self, workers: int, framing: Framing | Fitting) -> None:
        self._pool = DecodePool(workers, framing)
        self._threads = ThreadPoolExecutor(workers, "simsearch-frames")
        self._ahead = 4 * workers
        self._kept: dict[bytes, Pixels] = {}
        self._room = ROOM
        self._lock = threading.Lock()

    def __enter__(self) -> Frames:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._pool.close()

    def survey(self, paths: Sequence[bytes]) -> Iterator[Outcome]:
        """What comes of reading each file, in their order; pixels are kept as far as there is room."""
        for start in range(0, len(paths), self._ahead):
            part = paths[start : start + self._ahead]
            yield from self._threads.map(self._read, part)

    def batches(self, pictures: Sequence[Source], size: int) -> Iterator[list[Pixels]]:
        """The pixels of `size` pictures at a time, in their order; the next ones are read meanwhile.

        Raises PhotoUnreadable for a file that has changed since the survey or can no longer be read.
        """
        going: list[Future[Pixels]] = []
        for start in range(0, len(pictures) + size, size):
            ready = going
            going = [self._threads.submit(self._get, picture) for picture in pictures[start : start + size]]
            if ready:
                yield [future.result() for future in ready]

    def _get(self, picture: Source) -> Pixels:
        kept = self._kept.get(picture.digest)
        if kept is not None:
            return kept
        outcome = self._read(picture.path)
        if isinstance(outcome, Decoded) and outcome.digest == picture.digest:
            return outcome.pixels
        why = outcome.reason if isinstance(outcome, Unreadable) else "it has changed"
        raise PhotoUnreadable(
            f"{text(picture.path)} was read before and cannot be read again: {why}. Leave the pictures as "
            "they are while the training runs; start it again."
        )

    def _read(self, path: bytes) -> Outcome:
        outcome = self._pool.read(path)
        if isinstance(outcome, Decoded):
            with self._lock:
                if outcome.digest not in self._kept and outcome.pixels.nbytes <= self._room:
                    self._kept[outcome.digest] = outcome.pixels
                    self._room -= outcome.pixels.nbytes
        return outcome
