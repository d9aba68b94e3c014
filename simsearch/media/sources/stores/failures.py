"""What went wrong with a store or a server, in words that hold no secret, and whether to try again."""

from __future__ import annotations

import threading
import time

_AGAIN = {408, 425, 429}
_WORDS = {401: "access is denied (401)", 403: "access is denied (403)", 404: "it is not there (404)"}
_CUT = ("ClientPayloadError", "ServerDisconnectedError", "IncompleteReadError", "ResponseStreamingError")
_REFUSED = ("ClientConnectorError", "EndpointConnectionError", "ConnectTimeoutError", "ClientOSError")
_CREDENTIALS = ("NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "TokenRetrievalError")


class Failure(Exception):
    """Why something cannot be had; `again`: the next try may succeed; `missing`: there is no such thing."""

    def __init__(self, reason: str, *, again: bool = False, missing: bool = False) -> None:
        super().__init__(reason)
        self.again, self.missing = again, missing


def failure_of(exc: BaseException, patience: float) -> Failure:
    """An error of a library in our words; its own may hold an address with a signature in it."""
    if isinstance(exc, Failure):
        return exc
    cause = exc.__cause__
    if isinstance(exc, FileNotFoundError):
        # fsspec says this of every error of a web server; the cause tells more.
        if cause is not None and _status(cause) not in (404, 410):
            return failure_of(cause, patience)
        return Failure("it is not there (404)", missing=True)
    known = _kind(exc)
    if known is not None:
        return known
    status = _status(exc) or (_status(cause) if cause is not None else None)
    if status in (404, 410):
        return Failure(_WORDS[404], missing=True)
    if status is not None:
        words = _WORDS.get(status, f"the server answered {status}")
        return Failure(words, again=status >= 500 or status in _AGAIN)
    if isinstance(exc, PermissionError):
        return Failure(_WORDS[403])
    return Failure(_last_words(exc, patience), again=isinstance(exc, (OSError, TimeoutError)))


def _kind(exc: BaseException) -> Failure | None:
    names = {kind.__name__ for kind in type(exc).__mro__}
    because = {kind.__name__ for kind in type(exc.__cause__).__mro__}
    if names.intersection(_CREDENTIALS):
        return Failure("no credentials were found that it takes")
    if names.intersection(_CUT):
        return Failure("the connection was cut", again=True)
    if "ClientResponseError" in names and "HttpProcessingError" in because:
        return Failure("its answer is not what HTTP allows", again=True)
    if names.intersection(_REFUSED) or isinstance(exc, ConnectionError):
        return Failure("no connection can be made", again=True)
    return None


def _last_words(exc: BaseException, patience: float) -> str:
    if isinstance(exc, TimeoutError) or "Timeout" in type(exc).__name__:
        return f"no byte came for {patience:g} s"
    if isinstance(exc, OSError) and exc.strerror and not exc.__cause__:
        return exc.strerror
    return f"{type(exc).__name__} was raised"


def _status(exc: BaseException) -> int | None:
    """The HTTP status in an error of aiohttp, gcsfs or botocore."""
    told = getattr(exc, "status", None) or getattr(exc, "code", None)
    response = getattr(exc, "response", None)
    if told is None and isinstance(response, dict):
        told = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return told if isinstance(told, int) and told >= 400 else None


class Health:
    """How a store is doing, so that one that is down is not waited for again for each of its objects.

    After `MANY` failures in a row of a kind that may pass, one try in `PAUSE` seconds is made; all others
    fail at once.
    """

    MANY, PAUSE = 32, 15.0

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bad: dict[bytes, int] = {}
        self._next: dict[bytes, float] = {}

    def check(self, url: bytes) -> None:
        """Raises Failure where the store of an address is taken to be down."""
        place, now = _host(url), time.monotonic()
        with self._lock:
            if self._bad.get(place, 0) < self.MANY:
                return
            if now < self._next.get(place, 0.0):
                raise Failure("the server has stopped to answer")
            self._next[place] = now + self.PAUSE

    def failed(self, url: bytes, failure: Failure) -> bool:
        """Note a failure; whether to try again."""
        place = _host(url)
        with self._lock:
            self._bad[place] = self._bad.get(place, 0) + 1 if failure.again else 0
            return failure.again and self._bad[place] < self.MANY

    def answered(self, url: bytes) -> None:
        """Note that the store does answer."""
        with self._lock:
            self._bad.pop(_host(url), None)


def _host(url: bytes) -> bytes:
    scheme, _, rest = url.partition(b"://")
    # An S3 store is one service, whatever the bucket.
    return rest.partition(b"/")[0] if scheme.startswith(b"http") else scheme
