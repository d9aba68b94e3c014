"""One thread that answers what waits, as much at once as waits."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Generic, TypeVar

from simsearch.views.exact import one_thread

A = TypeVar("A")
B = TypeVar("B")

Work = Callable[[Sequence[A]], Sequence[B | Exception]]


class Batcher(Generic[A, B]):
    """Hands to `work` what came while it was busy; what comes while it is idle waits for nothing.

    Args:
        name: of its thread.
        work: answers several at once, in order; an Exception is the answer of that one alone. It is called
            in one thread, on one thread of FAISS: with more, a machine that also decodes took 20 times as
            long for 32 queries.
        most: so many at once.
        seen: told how many were answered at once.
    """

    def __init__(self, name: str, work: Work[A, B], most: int, seen: Callable[[int], None]) -> None:
        self._work, self._most, self._seen = work, most, seen
        self._waiting: queue.SimpleQueue[tuple[A, Future[B]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return self._waiting.qsize()

    def submit(self, item: A) -> Future[B]:
        """The answer to come; one that is cancelled while it waits costs nothing more."""
        future: Future[B] = Future()
        self._waiting.put((item, future))
        return future

    def close(self, seconds: float) -> None:
        """Answer what waits, and end; whatever is not done by then is left."""
        self._waiting.put(None)
        self._thread.join(seconds)

    def _run(self) -> None:
        with one_thread():
            while True:
                batch, more = self._gathered()
                if batch:
                    self._answer(batch)
                if not more:
                    return

    def _gathered(self) -> tuple[list[tuple[A, Future[B]]], bool]:
        """What waits, and whether anything is to come after it."""
        batch: list[tuple[A, Future[B]]] = []
        found = self._waiting.get()
        while found is not None:
            if found[1].set_running_or_notify_cancel():
                batch.append(found)
            if len(batch) == self._most:
                return batch, True
            try:
                found = self._waiting.get_nowait()
            except queue.Empty:
                return batch, True
        return batch, False

    def _answer(self, batch: Sequence[tuple[A, Future[B]]]) -> None:
        self._seen(len(batch))
        try:
            answers: Sequence[B | Exception] = self._work([item for item, _ in batch])
        except Exception as exc:
            logging.getLogger(__name__).exception("A batch of %d failed", len(batch))
            answers = [exc] * len(batch)
        for (_, future), answer in zip(batch, answers, strict=True):
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)
