"""Threads that requests take turns in, so that nothing piles up of what nobody waits for any more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import TypeVar

from simsearch.media.sources.stores.remote import STOP
from simsearch.server.failures import FULL, Refusal

T = TypeVar("T")


class Turns:
    """So many threads for blocking work. Used from one event loop.

    A request that is given up while it waits costs nothing; one that is given up while it works keeps its
    thread until it is done, so that work cannot pile up behind requests that are over.

    Args:
        name: of the threads.
        count: so many threads.
        patience: seconds after which one who still waits is refused: where more comes than can be done, those
            who waited longest would get their turn just before their time is over, and nobody an answer.
        ended: set when the server ends; fetches from stores in these threads end then as well.
        clock: seconds.
    """

    def __init__(
        self,
        name: str,
        count: int,
        patience: float,
        ended: Event,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._patience, self._clock = patience, clock
        self._threads = ThreadPoolExecutor(count, name, STOP.set, (ended,))

    async def take(self, work: Callable[[], T]) -> T:
        """What `work` returns or raises, from a thread. Raises Refusal (503) after too long a wait."""
        since = self._clock()

        def begun() -> T:
            if self._clock() - since > self._patience:
                raise Refusal(503, FULL)
            return work()

        return await asyncio.wrap_future(self._threads.submit(begun))

    def close(self) -> None:
        """Begin nothing any more."""
        self._threads.shutdown(wait=False, cancel_futures=True)
