"""The door in front of all that is served: who is let in, how often, how many at once, for how long."""

from __future__ import annotations

import asyncio
import hmac
import math
import time
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from simsearch.http.addresses import host_of, is_loopback, is_same_origin
from simsearch.http.config import ServerConfig
from simsearch.server.failures import FULL, Refusal, answer_of
from simsearch.server.guard.bodies import GONE, Body
from simsearch.server.guard.rates import Rates
from simsearch.server.metrics import Metrics

OPEN = ("/healthz", "/readyz")
"""Whoever looks after the process may ask these without a token and however full it is."""

JSON_BYTES = 1 << 20
"""A request without pictures may have so many bytes."""

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""Of every answer: no page of another site may use or show it."""


@dataclass(slots=True)
class Standing:
    """How the server stands: requests that are being answered, and whether it is about to end."""

    running: int = 0
    stopping: bool = False


@dataclass(slots=True)
class _Sending:
    """The way out of one answer: its status, once its first line is sent."""

    send: Send
    status: int = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await self.send(message)


class Door:
    """ASGI middleware. Refuses, in this order, and each in the one form of all refusals:

    - another name than this machine's own in the Host header, where there is no token: DNS rebinding (403);
    - a request that the page of another site makes in a browser (403);
    - a request without the token, where there is one (401);
    - an address that asks too often (429);
    - all, while the server ends, and those past `concurrency` (503);
    - a body that is too large (413), too slow (408), and whatever takes too long (504).
    """

    def __init__(
        self, app: ASGIApp, config: ServerConfig, token: str | None, standing: Standing, metrics: Metrics
    ) -> None:
        self._app, self._config, self._token = app, config, token
        self._standing, self._metrics = standing, metrics
        self._rates = Rates(config.rate)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve, or refuse."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, sending = time.monotonic(), _Sending(send)
        try:
            await self._serve(scope, receive, sending)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            self._metrics.answered(route, sending.status or GONE, time.monotonic() - began)

    async def _serve(self, scope: Scope, receive: Receive, send: _Sending) -> None:
        headers = Headers(scope=scope)
        pictures = headers.get("content-type", "").startswith("multipart/")
        most = self._config.max_request if pictures else JSON_BYTES
        body = Body(receive, most, self._config.pause)
        try:
            self._check(scope, headers)
            declared = headers.get("content-length", "0")
            if declared.isdecimal() and int(declared) > most:
                raise body.too_large
            await self._within_time(scope, body, send)
        except Refusal as refusal:
            await self._refuse(refusal, scope, body, send)

    def _check(self, scope: Scope, headers: Headers) -> None:
        """Raises Refusal."""
        asked = headers.getlist("host")
        host = host_of(asked[0]) if len(asked) == 1 else None
        if host is None or not (self._token or is_loopback(host)):
            raise Refusal(403, "Nothing is served under this name. Use http://127.0.0.1 and the port.")
        foreign = any(not is_same_origin(origin, asked[0]) for origin in headers.getlist("origin"))
        if foreign or headers.get("sec-fetch-site") in ("cross-site", "same-site"):
            raise Refusal(403, "Pages of other sites are not answered.")
        if scope["path"] in OPEN:
            return
        if self._token and not _carries(headers, self._token):
            raise Refusal(
                401, "Send the token of this server: Authorization: Bearer TOKEN", WWW_Authenticate="Bearer"
            )
        wait = self._rates.wait((scope.get("client") or ("",))[0])
        if wait:
            words = f"At most {self._config.rate:g} requests a second are answered. Ask again later."
            raise Refusal(429, words, Retry_After=str(math.ceil(wait)))
        if self._standing.stopping:
            raise Refusal(503, "The server is about to end.")
        if self._standing.running >= self._config.concurrency:
            raise Refusal(503, FULL)

    async def _within_time(self, scope: Scope, body: Body, send: _Sending) -> None:
        counted = scope["path"] not in OPEN
        self._standing.running += counted
        try:
            async with asyncio.timeout(self._config.timeout):
                await self._app(scope, body, send)
        except TimeoutError as exc:
            raise Refusal(504, f"It took longer than {self._config.timeout:g} s.") from exc
        finally:
            self._standing.running -= counted

    async def _refuse(self, refusal: HTTPException, scope: Scope, body: Body, send: _Sending) -> None:
        if send.status:
            # Half an answer is on its way; only its end is left to be cut off.
            raise refusal
        if refusal.status_code == 413:
            await body.drain()
        answer = answer_of(refusal)
        if not body.ended:
            answer.headers["Connection"] = "close"
        await answer(scope, body, send)


def _carries(headers: Headers, token: str) -> bool:
    given = headers.getlist("authorization")
    scheme, _, told = (given[0] if len(given) == 1 else "").partition(" ")
    same = hmac.compare_digest(told.strip().encode("utf-8", "surrogatepass"), token.encode())
    return same and scheme.lower() == "bearer"
