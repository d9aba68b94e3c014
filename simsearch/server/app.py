"""The application: FastAPI, its routes, and every error in one form."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp

from simsearch import __version__
from simsearch.errors import SimsearchError
from simsearch.server.answering.service import Service
from simsearch.server.api.described import page
from simsearch.server.api.photos import photos
from simsearch.server.api.queries import queries, told
from simsearch.server.api.state import state
from simsearch.server.failures import Refusal, answer_of, refusal_of
from simsearch.server.guard.door import Door

ABOUT = "Photos that look alike, of one index. It only reads; docs/server.md says more."


def application(service: Service, token: str | None, started: Callable[[], None] = lambda: None) -> ASGIApp:
    """All that is served, behind its door.

    Args:
        service: what answers; it is closed when the server ends.
        token: what every request has to carry, if anything.
        started: called once, when it can be asked.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.start()
        started()
        try:
            yield
        finally:
            service.close()

    app = FastAPI(
        title="simsearch",
        version=__version__,
        description=ABOUT,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
        exception_handlers={
            HTTPException: _refused,
            SimsearchError: _failed,
            RequestValidationError: _invalid,
            Exception: _broken,
        },
        dependencies=[Depends(HTTPBearer(auto_error=False))] if token else [],
    )
    for router in (queries(service), photos(service), state(service)):
        app.include_router(router)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(page(app.openapi()))

    return Door(app, service.config, token, service.standing, service.metrics)


async def _refused(_: Request, error: Exception) -> Response:
    return answer_of(error if isinstance(error, HTTPException) else Refusal(500, str(error)))


async def _failed(_: Request, error: Exception) -> Response:
    return answer_of(refusal_of(error) if isinstance(error, SimsearchError) else Refusal(500, str(error)))


async def _invalid(_: Request, error: Exception) -> Response:
    found = error.errors() if isinstance(error, RequestValidationError) else ()
    malformed = any(isinstance(one, dict) and one.get("type") == "json_invalid" for one in found)
    return answer_of(Refusal(400 if malformed else 422, told(found)))


async def _broken(_: Request, error: Exception) -> Response:
    # The traceback goes to the log of the server, never to whoever asked.
    return answer_of(Refusal(500, f"This is a bug in simsearch: {type(error).__name__}."))
