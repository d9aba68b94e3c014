"""Turns away what did not come from the pages themselves, and tells the browser what they may be used for."""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from simsearch.http.addresses import host_of, is_loopback, is_same_origin

OURS = "/simsearch/"
"""Where the addresses begin that are ours and not Streamlit's."""

# Streamlit's own script makes functions of text, mounts parts from blobs and styles what it shows.
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self'; worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Of every answer: no page of another site may show it, and it may load nothing from anywhere else."""


class Guard:
    """ASGI middleware in front of all that is served, Streamlit's socket of messages included.

    Asked for is, by every request and every WebSocket:

    - that it came in at an address of this machine itself, however the server was started;
    - that its Host header is such an address: the page of a site whose name leads here by a trick
      (DNS rebinding) sends the name of that site;
    - that its Origin header, where there is one, is that of our own pages;
    - that its method is GET or HEAD, and POST only where we take pictures in.

    With `public` the first two are not asked for; the Host header has to be there.
    """

    def __init__(self, app: ASGIApp, *, public: bool) -> None:
        self._app, self._public = app, public

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve, or refuse with 403 or 405."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, _with_headers(send))
        elif scope["type"] == "websocket":
            # Before it is accepted, so that the server answers 403.
            await send({"type": "websocket.close", "code": 1008})
        else:
            await refusal(scope, receive, _with_headers(send))

    def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        headers = Headers(scope=scope)
        asked = headers.getlist("host")
        host = host_of(asked[0]) if len(asked) == 1 else None
        server = scope.get("server")
        if not self._public and not (server and is_loopback(server[0])):
            return _refused("simsearch answers this machine only, unless it is started with --public.")
        if host is None or not (self._public or is_loopback(host)):
            return _refused("Nothing is served under this name. Use http://127.0.0.1 and the port.")
        if any(not is_same_origin(origin, asked[0]) for origin in headers.getlist("origin")):
            return _refused("This was asked for by another page than simsearch's own.")
        allowed = ["GET", "HEAD", "POST"] if scope["path"].startswith(OURS) else ["GET", "HEAD"]
        if scope["type"] == "http" and scope["method"] not in allowed:
            return _refused("This is not done here.", 405, {"Allow": ", ".join(allowed)})
        return None


def _refused(words: str, status: int = 403, headers: dict[str, str] | None = None) -> PlainTextResponse:
    return PlainTextResponse(words + "\n", status, headers)


def _with_headers(send: Send) -> Send:
    async def headed(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return headed
