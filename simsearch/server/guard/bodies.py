"""The body of a request within bounds: bytes in all, seconds without one, seconds in all."""

from __future__ import annotations

import asyncio

from starlette.types import Message, Receive

from simsearch.server.failures import Refusal

GONE = 499
"""The status that is counted where whoever asked went away before the answer."""

DRAINED, DRAIN_S = 64 << 20, 3.0
"""Of what is refused so much is read and dropped, for so long: who sends to the end sees the answer."""


class Body:
    """An ASGI `receive` that raises Refusal for a body that is too large (413), too slow (408) or cut (499).

    Args:
        receive: that of the server.
        most: bytes.
        pause: seconds without a byte.
    """

    def __init__(self, receive: Receive, most: int, pause: float) -> None:
        self._receive, self._most, self._pause = receive, most, pause
        self.size, self.ended = 0, False

    async def __call__(self) -> Message:
        """The next piece; once all is there, whatever the server has to say."""
        if self.ended:
            return await self._receive()
        try:
            async with asyncio.timeout(self._pause):
                message = await self._next()
        except TimeoutError as exc:
            raise Refusal(408, "The request came too slowly. Send it again.") from exc
        if message["type"] == "http.disconnect":
            raise Refusal(GONE, "Whoever asked went away.")
        if self.size > self._most:
            raise self.too_large
        return message

    @property
    def too_large(self) -> Refusal:
        """What is said of a body with too many bytes."""
        return Refusal(
            413, f"A request may have {self._most} bytes here at most. Send fewer or smaller pictures."
        )

    async def drain(self) -> None:
        """Read and drop what is left, within bounds."""
        try:
            async with asyncio.timeout(DRAIN_S):
                while not self.ended and self.size < self._most + DRAINED:
                    await self._next()
        except TimeoutError:
            return

    async def _next(self) -> Message:
        message = await self._receive()
        self.size += len(message.get("body", b""))
        self.ended = message["type"] != "http.request" or not message.get("more_body", False)
        return message
