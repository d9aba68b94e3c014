"""Scan, decode, embed and hand over: threads around bounded queues, so that all of it overlaps."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simsearch.engine.indexing.survey import Candidate
from simsearch.media.pool import DecodePool
from simsearch.media.sources.ahead import FetchAhead, drop
from simsearch.media.sources.held import Fetched
from simsearch.models.embedder import Embedder
from simsearch.models.labels.classifier import Labels
from simsearch.models.labels.labeller import Labeller
from simsearch.records import Decoded, Outcome


@dataclass(frozen=True, slots=True)
class Read:
    """What came of reading a file; `claimed` is its digest when this file was the first with these bytes.

    `read_ns` is when its reading began, in ns since 1970.
    """

    candidate: Candidate
    outcome: Outcome
    claimed: bytes | None
    read_ns: int


Begun = tuple[Candidate, Future[Fetched] | None]
"""A candidate, and the fetch of it where it lies in a store or an archive."""


class ReadAhead:
    """Reads candidates in worker processes, a few ahead of the consumer.

    One thread walks, one thread a worker talks to it; what lies in a store is fetched on the way from the one
    to the other. Queues are bounded, so that memory is flat however large the collection. An error in any
    thread is raised in the consumer's.
    """

    def __init__(
        self, candidates: Iterable[Candidate], pool: DecodePool, workers: int, claim: Callable[[bytes], bool]
    ) -> None:
        self._candidates, self._pool, self._claim = candidates, pool, claim
        self._fetches = FetchAhead(pool.max_bytes)
        self._todo: queue.Queue[Begun | None] = queue.Queue(maxsize=64 * workers)
        # Deep enough that the decoders of a large machine go on while the consumer waits for the disk.
        depth = max(64, 8 * workers) if pool.frames == 1 else max(2 * workers, 256 // pool.frames)
        self._done: queue.Queue[Read | BaseException | None] = queue.Queue(maxsize=depth)
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._walk, name="simsearch-scan", daemon=True)]
        self._threads += [
            threading.Thread(target=self._read, name=f"simsearch-read-{n}", daemon=True)
            for n in range(workers)
        ]
        self._readers = workers

    def __enter__(self) -> ReadAhead:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if kind is not None:
            # A reader may be waiting for its worker. Where all came to its end, the pool may be used again.
            self._pool.close()
        self._fetches.close()
        for thread in self._threads:
            thread.join()
        with contextlib.suppress(queue.Empty):
            while True:
                left = self._todo.get_nowait()
                if left is not None and left[1] is not None:
                    drop(left[1])

    def results(self, patience: float) -> Iterator[Read | None]:
        """Results as they come; None after `patience` seconds without one, so that no commit is late."""
        ended = 0
        while ended < self._readers:
            try:
                item = self._done.get(timeout=patience)
            except queue.Empty:
                yield None
                continue
            if isinstance(item, BaseException):
                raise item
            if item is None:
                ended += 1
            else:
                yield item

    def _walk(self) -> None:
        try:
            for candidate in self._candidates:
                fetch = self._fetches.begin(candidate.path, candidate.stat)
                if not self._put(self._todo, (candidate, fetch)):
                    if fetch is not None:
                        drop(fetch)
                    return
        except BaseException as error:  # handed to the consumer, which raises it
            self._put(self._done, error)
        finally:
            for _ in range(self._readers):
                self._put(self._todo, None)

    def _read(self) -> None:
        try:
            while (begun := self._take()) is not None:
                candidate, fetch = begun
                claimed: list[bytes] = []

                def known(digest: bytes, claimed: list[bytes] = claimed) -> bool:
                    if not self._claim(digest):
                        return True
                    claimed.append(digest)
                    return False

                read_ns = time.time_ns()
                if fetch is None:
                    outcome = self._pool.read(candidate.path, known)
                else:
                    outcome = self._pool.read(candidate.path, known, fetch.result())
                    self._fetches.done(candidate.stat)
                read = Read(candidate, outcome, claimed[0] if claimed else None, read_ns)
                if not self._put(self._done, read):
                    return
            self._put(self._done, None)
        except CancelledError:
            # The run is being ended, and nobody waits for this.
            return
        except BaseException as error:  # handed to the consumer, which raises it
            self._put(self._done, error)

    def _take(self) -> Begun | None:
        while not self._stop.is_set():
            try:
                return self._todo.get(timeout=0.2)
            except queue.Empty:
                continue
        return None

    def _put(self, target: queue.Queue[Any], item: object) -> bool:
        while not self._stop.is_set():
            try:
                target.put(item, timeout=0.2)
                return True
            except queue.Full:
                continue
        return False


Batch = list[tuple[Read, Decoded]]
Looked = tuple[NDArray[np.float32], list[Labels] | None]


@dataclass(frozen=True, slots=True, eq=False)
class Embedded:
    """A batch with its vectors, float32 (n, dim), and the labels of each picture, where it gets any.

    The vectors are those of all pictures, then those of all their tiles; labels are in the same order.
    """

    batch: Batch
    vectors: NDArray[np.float32]
    labels: list[Labels] | None


SMALL, LARGE = 8, 64
"""Frames a pass: a CPU gains nothing from more, which take memory; a card does."""


class EmbedAhead:
    """Embeds batches in as many threads as the embedder has lanes; they come back in the order given.

    A batch has `size` frames, or some more where pictures have tiles. With the first picture the network
    begins to be loaded, while the decoders go on. With a labeller, which is of this embedder, they come back
    with labels. `lanes` stands in for those of the embedder, where not all of the machine is to be used.
    """

    def __init__(
        self,
        embedder: Embedder,
        size: int | None,
        labeller: Labeller | None = None,
        *,
        lanes: int | None = None,
    ) -> None:
        self._embedder, self._size, self._labeller = embedder, size, labeller
        self._wanted_lanes = lanes
        self._threads: ThreadPoolExecutor | None = None
        self._going: deque[tuple[Batch, Future[Looked]]] = deque()
        self._batch: Batch = []
        self._lanes = 1

    def __enter__(self) -> EmbedAhead:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)

    @property
    def pending(self) -> int:
        """How many pictures were given and have not come back."""
        return len(self._batch) + sum(len(batch) for batch, _ in self._going)

    def put(self, read: Read, decoded: Decoded) -> Iterator[Embedded]:
        """Take a picture; give back the batches that are done, and wait where too many are not."""
        self._batch.append((read, decoded))
        if self._threads is None:
            self._lanes = self._wanted_lanes or self._embedder.lanes
            self._size = self._size or (SMALL if self._embedder.device == "cpu" else LARGE)
            self._threads = ThreadPoolExecutor(self._lanes, "simsearch-embed")
            # What goes wrong with it is raised by the first batch.
            self._threads.submit((self._labeller or self._embedder).load)
        if sum(map(_frames, self._batch)) >= (self._size or LARGE):
            self._submit()
        while self._going and (self._going[0][1].done() or len(self._going) > 2 * self._lanes):
            yield self._next()

    def done(self) -> Iterator[Embedded]:
        """Send off what was taken, and give back the batches that are done."""
        self._submit()
        while self._going and self._going[0][1].done():
            yield self._next()

    def rest(self) -> Iterator[Embedded]:
        """Everything that is left; waits for it."""
        self._submit()
        while self._going:
            yield self._next()

    def _submit(self) -> None:
        if self._batch and self._threads is not None:
            batch, self._batch = self._batch, []
            self._going.append((batch, self._threads.submit(self._embed, batch)))

    def _embed(self, batch: Batch) -> Looked:
        whole = np.stack([decoded.pixels for _, decoded in batch])
        tiles = [decoded.tiles for _, decoded in batch if decoded.tiles is not None]
        pixels = np.concatenate([whole, *tiles])
        return self._labeller.look(pixels) if self._labeller else (self._embedder.embed(pixels), None)

    def _next(self) -> Embedded:
        batch, future = self._going[0]
        vectors, labels = future.result()
        self._going.popleft()
        return Embedded(batch, vectors, labels)


def _frames(picture: tuple[Read, Decoded]) -> int:
    tiles = picture[1].tiles
    return 1 if tiles is None else 1 + len(tiles)
