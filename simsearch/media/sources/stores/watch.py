"""Watches one answer of a store: ends it when no byte comes, too few come, or more than are wanted."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

from simsearch.media.sources.stores.failures import Failure

SILENCE = 20.0
SLOWEST = 100_000
"""Bytes a second that a fetch has to come to on the whole, after a start."""


class TooMuch(Exception):
    """More bytes came than are wanted."""


class Beat:
    """Counts the bytes of a fetch as fsspec's callback, and knows when the last of them came."""

    def __init__(self, most: int) -> None:
        self.most, self.received, self.last = most, 0, time.monotonic()

    def relative_update(self, count: int = 1) -> None:
        """So many more bytes came."""
        self.received, self.last = self.received + count, time.monotonic()
        if self.received > self.most:
            raise TooMuch

    def set_size(self, size: int | None) -> None:
        """So many bytes were announced."""
        self.last = time.monotonic()
        if size is not None and size > self.most:
            raise TooMuch


class Beginning:
    """Ends a fetch by TooMuch as soon as `size` bytes are there, however many were announced."""

    def __init__(self, beat: Beat, size: int) -> None:
        self._beat, self._size = beat, size

    def relative_update(self, count: int = 1) -> None:
        """So many more bytes came."""
        self._beat.relative_update(count)
        if self._beat.received >= self._size:
            raise TooMuch

    def set_size(self, _: int | None) -> None:
        """So many bytes were announced."""
        self._beat.set_size(None)


def silence() -> float:
    """Seconds without a byte after which a fetch is given up: $SIMSEARCH_SOURCE_TIMEOUT, or 20."""
    try:
        return max(0.1, float(os.environ.get("SIMSEARCH_SOURCE_TIMEOUT", SILENCE)))
    except ValueError:
        return SILENCE


async def watched(
    begin: Callable[[Beat], Coroutine[Any, Any, Any]], beat: Beat, slow: float, stop: threading.Event
) -> Any:
    """Await what `begin` starts, and end it when no byte comes, or too few come."""
    patience, started = silence() * slow, time.monotonic()
    task = asyncio.ensure_future(begin(beat))
    try:
        while not task.done():
            now = time.monotonic()
            if stop.is_set():
                raise Failure("the run was ended")
            if now - beat.last > patience:
                raise Failure(f"no byte came for {patience:g} s", again=True)
            if now - started > 15 * patience + beat.received / SLOWEST:
                raise Failure(f"it comes slower than {SLOWEST // 1000} kB/s")
            await asyncio.wait({task}, timeout=min(0.2, max(0.02, beat.last + patience - now)))
        return task.result()
    finally:
        task.cancel()
        await asyncio.wait({task}, timeout=2)
        if task.done() and not task.cancelled():
            # Looked at, so that it does not reach the terminal.
            task.exception()
