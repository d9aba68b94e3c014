"""All that answers requests: the index, its two batches, the decoders, the figures."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from starlette.datastructures import UploadFile

from simsearch.engine.batch.asking import Question
from simsearch.errors import SimsearchError
from simsearch.http.config import ServerConfig
from simsearch.http.decoding import Decoders
from simsearch.http.receiving import PrivateFolder
from simsearch.records import QueryResult
from simsearch.server.answering.batching import Batcher
from simsearch.server.answering.library import Asked, Framed, Library, Opened, Vector
from simsearch.server.answering.turns import Turns
from simsearch.server.api.sending import Decoding, Sent, decoded
from simsearch.server.guard.door import Standing
from simsearch.server.metrics import Metrics

T = TypeVar("T")

READERS = 4
"""Threads that look things up in the index."""

CLOSING_S = 5.0


class Service:
    """One server's index and what it is asked by. Closed with `close`.

    Args:
        config: its limits.
        folder: of the index.
        note: told what a person is to know of the network.
    """

    def __init__(self, config: ServerConfig, folder: Path, note: Callable[[str], None]) -> None:
        self.config, self.library = config, Library(folder, note)
        self.metrics, self.standing = Metrics(), Standing()
        self.decoding = Decoding(Decoders(workers=config.workers), PrivateFolder(), config.max_upload)
        counted = self.metrics.batched
        self._network = Batcher[Framed, Vector](
            "simsearch-network", self.library.embed, config.batch, counted("network")
        )
        self._search = Batcher[Asked, QueryResult](
            "simsearch-search",
            self.library.answer,
            config.batch,
            counted("search"),
            lambda asked: (asked.spec, asked.question.options),
        )
        self.metrics.watch("network", lambda: self._network.waiting)
        self.metrics.watch("search", lambda: self._search.waiting)
        self.metrics.watch_running(lambda: self.standing.running)
        self._ended = threading.Event()
        patience = config.timeout / 2
        self._reading = Turns("simsearch-read", READERS, patience, self._ended)
        self._decoding = Turns("simsearch-decode", config.workers, patience, self._ended)
        # Of their own: a store that hangs while thumbnails are made of its photos holds up no query.
        self._showing = Turns("simsearch-show", config.workers, patience, self._ended)

    def start(self) -> None:
        """Load the network beside what is answered already, where that is wanted."""
        if self.config.warm:
            threading.Thread(target=self._load, name="simsearch-warm", daemon=True).start()

    def close(self) -> None:
        """End threads, fetches and decoding processes, remove what is left of pictures, close the index."""
        # A fetch that nobody waits for any more would keep the process from ending.
        self._ended.set()
        for turns in (self._reading, self._decoding, self._showing):
            turns.close()
        self._network.close(CLOSING_S)
        self._search.close(CLOSING_S)
        self.decoding.decoders.close()
        self.decoding.folder.close()
        self.library.close()

    async def look(self, read: Callable[[Opened], T], *, decodes: bool = False) -> T:
        """What `read` finds in the index, in a thread; in one of those for what is shown, where it decodes.

        Raises SimsearchError, Refusal.
        """
        turns = self._showing if decodes else self._reading
        return await turns.take(lambda: read(self.library.current()))

    async def decode(self, part: UploadFile, opened: Opened) -> Sent:
        """A picture that was sent, decoded. Raises Refusal."""
        return await self._decoding.take(lambda: decoded(part, opened, self.decoding))

    async def embed(self, picture: Framed) -> Vector:
        """Its unit vector, by the next pass of the network. Raises SimsearchError."""
        return await asyncio.wrap_future(self._network.submit(picture))

    async def ask(self, question: Question, opened: Opened) -> QueryResult:
        """The hits of a question that was put together for the index `opened`. Raises SimsearchError."""
        return await asyncio.wrap_future(self._search.submit(Asked(opened.index.spec.id, question)))

    def _load(self) -> None:
        try:
            self.library.load()
        except SimsearchError as exc:
            self.library.note(f"The network cannot be loaded: {exc}")
