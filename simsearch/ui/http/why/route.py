"""The address at which a page asks why an example and a hit are alike."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from typing import Any

import anyio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simsearch.errors import SimsearchError
from simsearch.quality.why.explain import basis_of
from simsearch.report.quality.explanation.machine import viewer_data
from simsearch.storage import catalog
from simsearch.ui.http.pictures import is_secret
from simsearch.ui.http.why.asking import EXPLAINER
from simsearch.ui.http.why.framed import framed
from simsearch.ui.pages.search.wanted import Example
from simsearch.ui.shared import SECRET, Library, library_by_key

KEPT = 64
AT_ONCE = 8
"""So many may wait for an answer; they are given one after another."""

_NUMBER = re.compile("[0-9]{1,18}")
_waiting = anyio.CapacityLimiter(AT_ONCE)
_lock = threading.Lock()
_answers: OrderedDict[tuple[str, int, str, int], dict[str, Any]] = OrderedDict()


def why_address(library: Library) -> str:
    """What the address begins with; an `Example` as text, a slash and the id of a hit are the rest of it.

    The answer is JSON as `simsearch.report.quality.explanation.machine.viewer_data` makes it, or
    {"error": words} with status 404, 422 or 503.
    """
    return f"/simsearch/{SECRET}/{library.key}/why/"


def _explained(library: Library, example: Example, hit: int) -> dict[str, Any]:
    with library.index.database.read() as connection:
        key = (library.key, catalog.generation(connection), str(example), hit)
    with _lock:
        if key in _answers:
            _answers.move_to_end(key)
            return _answers[key]
    sides = [framed(library, one) for one in (example, Example(indexed=hit))]
    likeness = EXPLAINER.ask(basis_of(library.index), *(side.pixels for side in sides))
    told = viewer_data(likeness, [side.area for side in sides], [side.size for side in sides])
    with _lock:
        _answers[key] = told
        while len(_answers) > KEPT:
            _answers.popitem(last=False)
    return told


async def _answer(request: Request) -> Response:
    values = request.path_params
    library = library_by_key(values["key"]) if is_secret(values["secret"]) else None
    example = Example.read(values["example"])
    if library is None or example is None or not _NUMBER.fullmatch(values["number"]):
        return JSONResponse({"error": "This page is out of date. Load it again."}, 404)
    headers = {"Cache-Control": "no-store"}
    try:
        _waiting.acquire_on_behalf_of_nowait(request)
    except anyio.WouldBlock:
        words = "Too much is being asked at once. Try again in a moment."
        return JSONResponse({"error": words}, 503, headers)
    try:
        told = await anyio.to_thread.run_sync(_explained, library, example, int(values["number"]))
    except SimsearchError as exc:
        return JSONResponse({"error": str(exc)}, 422, headers)
    finally:
        _waiting.release_on_behalf_of(request)
    return JSONResponse(told, headers=headers)


def routes() -> list[Route]:
    """The address, see `why_address`."""
    return [Route("/simsearch/{secret}/{key}/why/{example}/{number}", _answer, methods=["GET"])]
