"""One thread that answers what waits, at once as much of it as asks for the same."""

from __future__ import annotations

import logging
import queue
import threading
from collections import deque
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
        kind: only what is of the same kind is answered at once, beginning with what has waited longest, so
            that whoever asks for little does not wait for all that others take long for.
    """

    def __init__(
        self,
        name: str,
        work: Work[A, B],
        most: int,
        seen: Callable[[int], None],
        kind: Callable[[A], object] = lambda _: None,
    ) -> None:
        self._work, self._most, self._seen, self._kind = work, most, seen, kind
        self._line: deque[tuple[A, Future[B]]] = deque()
        self._waiting: queue.SimpleQueue[tuple[A, Future[B]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return self._waiting.qsize() + len(self._line)

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
        more = True
        with one_thread():
            while more or self._line:
                more = more and self._lined_up()
                batch = self._gathered()
                if batch:
                    self._answer(batch)
                # What was asked may hold an index that another one takes the place of meanwhile.
                del batch

    def _lined_up(self) -> bool:
        """Take in what waits, or what comes next where nothing does; whether anything is to come after it."""
        try:
            while True:
                found = self._waiting.get(block=not self._line)
                if found is None:
                    return False
                self._line.append(found)
        except queue.Empty:
            return True

    def _gathered(self) -> list[tuple[A, Future[B]]]:
        """What is asked next: the first in line, with those of its kind."""
        batch: list[tuple[A, Future[B]]] = []
        others: deque[tuple[A, Future[B]]] = deque()
        kind: object = None
        while self._line and len(batch) < self._most:
            item, future = self._line.popleft()
            if not batch:
                kind = self._kind(item)
            if self._kind(item) != kind:
                others.append((item, future))
            elif future.set_running_or_notify_cancel():
                batch.append((item, future))
        others.extend(self._line)
        self._line = others
        return batch

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
