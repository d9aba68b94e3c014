"""How the server and its index stand: for people, for whoever restarts it, and for Prometheus."""

from __future__ import annotations

from fastapi import APIRouter, Response

from simsearch.errors import SimsearchError
from simsearch.records import IndexInfo
from simsearch.report.machine import to_json
from simsearch.server.answering.service import Service
from simsearch.server.api.described import refusals
from simsearch.server.api.shapes import StandingShape
from simsearch.server.failures import Refusal

OK = StandingShape(status="ok")


def state(service: Service) -> APIRouter:
    """The routes of the state."""
    router = APIRouter(tags=["state"])

    @router.get(
        "/v1/index",
        summary="What is indexed",
        responses={200: {"model": IndexInfo}, **refusals()},
    )
    async def index() -> Response:
        """The same as `simsearch info --json`."""
        return Response(
            await service.look(lambda opened: to_json(opened.index.info())), media_type="application/json"
        )

    @router.get("/healthz", summary="Whether the process lives", responses=refusals())
    async def healthz() -> StandingShape:
        """Needs no token, and is answered however full the server is."""
        return OK

    @router.get("/readyz", summary="Whether queries are answered", responses=refusals())
    async def readyz() -> StandingShape:
        """503 while the server ends, without its index, and while the network is loaded that it waits for."""
        if service.standing.stopping:
            raise Refusal(503, "The server is about to end.")
        await service.look(lambda opened: opened.index.snapshot())
        if service.config.warm and not service.library.is_warm:
            raise Refusal(503, "The network is not loaded yet.")
        return OK

    @router.get(
        "/metrics",
        summary="Figures for Prometheus",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **refusals()},
    )
    async def metrics() -> Response:
        """Requests by route and status, their seconds, sizes of batches, what waits, photos of the index."""
        try:
            snapshot = await service.look(lambda opened: opened.index.snapshot())
        except SimsearchError:
            snapshot = None
        return Response(service.metrics.text(snapshot), media_type=service.metrics.kind)

    return router
