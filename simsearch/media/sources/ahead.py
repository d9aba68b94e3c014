"""Fetches objects before they are decoded, some at a time and in order, within a bound of bytes."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor

from simsearch.media.sources.held import Fetched, Held, hold
from simsearch.media.sources.stores.remote import PARALLEL, STOP
from simsearch.paths import is_source
from simsearch.records import FileStat

BYTES = 1 << 30
"""So many bytes wait at most to be decoded, besides what is larger by itself."""

UNKNOWN = 1 << 24
"""What an object is taken for whose size the server does not tell."""


class FetchAhead:
    """Begins fetches in the order in which they are asked for; `begin` waits where too much is on its way.

    Room is given in that order too, so that what is waited for first has its room, and none waits for ever.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._threads: ThreadPoolExecutor | None = None
        self._room = threading.Condition()
        self._taken = 0
        self._stop = threading.Event()

    def close(self) -> None:
        """End all fetches, those that are going on as well; none may be begun afterwards."""
        self._stop.set()
        with self._room:
            self._room.notify_all()
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)

    def begin(self, path: bytes, stat: FileStat) -> Future[Fetched] | None:
        """The fetch of what is at `path`, as a listing described it; None for a file of this machine."""
        if not is_source(path):
            return None
        size = min(stat.size or UNKNOWN, self._most)
        with self._room:
            self._room.wait_for(lambda: self._stop.is_set() or not self._taken or self._taken + size <= BYTES)
            self._taken += size
            if self._threads is None:
                self._threads = ThreadPoolExecutor(PARALLEL, "simsearch-fetch", STOP.set, (self._stop,))
            if self._stop.is_set():
                ended: Future[Fetched] = Future()
                ended.cancel()
                return ended
        return self._threads.submit(hold, path, self._most, stat)

    def done(self, stat: FileStat) -> None:
        """What was fetched by this description has been decoded, and its file is gone."""
        with self._room:
            self._taken -= min(stat.size or UNKNOWN, self._most)
            self._room.notify_all()


def drop(fetch: Future[Fetched]) -> None:
    """Delete what a fetch brought, or will bring, that nobody is going to decode."""

    def release(ended: Future[Fetched]) -> None:
        if not ended.cancelled() and ended.exception() is None:
            brought = ended.result()
            if isinstance(brought, Held):
                brought.release()

    fetch.cancel()
    fetch.add_done_callback(release)
