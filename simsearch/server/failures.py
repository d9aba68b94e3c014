"""Refusals as the server words them: a status, a code for programs, words for people."""

from __future__ import annotations

from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from simsearch import errors
from simsearch.http.receiving import UploadRefused

RETRY_S = 1
"""After so many seconds it is worth to ask again where the server was full."""

FULL = "The server is full. Ask again in a moment."

CODES = {
    400: "malformed",
    401: "token_wanted",
    403: "not_let_in",
    404: "not_found",
    405: "method_unknown",
    408: "too_slow",
    413: "too_large",
    415: "no_picture",
    422: "invalid",
    429: "too_often",
    500: "bug",
    503: "unavailable",
    504: "out_of_time",
    507: "no_room",
}
"""Every status of a refusal, with the code that says it in words."""

_STARLETTES = {404: "Nothing is served at this address; /docs lists what is.", 405: "This is not done here."}

_STATUSES: tuple[tuple[type[errors.SimsearchError], int], ...] = (
    (errors.NotIndexed, 404),
    (errors.IndexEmpty, 404),
    (errors.QueryInvalid, 422),
    (errors.PhotoUnreadable, 422),
)


class Refusal(HTTPException):
    """A request that is not answered; FastAPI lets it through wherever it is raised."""

    def __init__(self, status: int, words: str, **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if status in (429, 503):
            named.setdefault("Retry-After", str(RETRY_S))
        super().__init__(status, words, named)


def refusal_of(error: errors.SimsearchError) -> Refusal:
    """What an error of the engine means to whoever asked.

    What the index or the network cannot do now, whatever was asked, is 503.
    """
    if isinstance(error, UploadRefused):
        return Refusal(error.status, str(error))
    status = next((status for kind, status in _STATUSES if isinstance(error, kind)), 503)
    return Refusal(status, str(error))


def answer_of(refusal: HTTPException) -> JSONResponse:
    """The one form of all refusals: {"error": code, "message": words}."""
    status = refusal.status_code
    words = refusal.detail if isinstance(refusal, Refusal) else _STARLETTES.get(status, refusal.detail)
    content: dict[str, Any] = {"error": CODES.get(status, "refused"), "message": words}
    return JSONResponse(content, status, refusal.headers)
