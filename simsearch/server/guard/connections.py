"""Connections within bounds: how many, and how long one may say nothing or read nothing."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

MOST = 512
"""So many are open at once; a further one is closed as it comes."""


def patient(seconds: float) -> type[asyncio.Protocol]:
    """uvicorn's HTTP over h11, for connections that get so many seconds for each head of a request.

    They get as many to take an answer that waits for them. uvicorn has a time-out between two requests, and
    none before the first, nor for a half-sent head, nor for who does not read
    (https://www.uvicorn.org/settings/#timeouts).
    """

    class Patient(H11Protocol):
        """A connection that is cut when it takes too long."""

        _head: asyncio.TimerHandle | None = None
        _reader: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if len(self.connections) > MOST:
                transport.abort()
            self._head = self.loop.call_later(seconds, transport.abort)

        def connection_lost(self, exc: Exception | None) -> None:
            self._came()
            self.resume_writing()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            known = self.cycle
            super().data_received(data)
            if self.cycle is not known:
                self._came()
            elif self._head is None and (known is None or known.response_complete):
                # First bytes of a further request, which ended uvicorn's own time-out.
                self._head = self.loop.call_later(seconds, self.transport.abort)

        def pause_writing(self) -> None:
            super().pause_writing()
            self._reader = self.loop.call_later(seconds, self.transport.abort)

        def resume_writing(self) -> None:
            if self._reader is not None:
                self._reader.cancel()
                self._reader = None
            super().resume_writing()

        def _came(self) -> None:
            if self._head is not None:
                self._head.cancel()
                self._head = None

    return Patient
