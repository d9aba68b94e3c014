"""Photos of the index: what is known of one, and its thumbnail."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response

from simsearch.engine.labels.facts import PhotoFacts, photo_facts
from simsearch.engine.ranking import content_paths
from simsearch.errors import NotIndexed
from simsearch.http.decoding import jpeg, seen_at
from simsearch.media.decode import DecodeLimits
from simsearch.media.thumbs import SIDE, look_up
from simsearch.records import Decoded
from simsearch.report.machine import to_json
from simsearch.server.answering.library import Opened
from simsearch.server.answering.service import Service
from simsearch.server.api.described import refusals
from simsearch.server.api.shapes import LARGEST_ID
from simsearch.server.failures import Refusal
from simsearch.storage import catalog

Id = Annotated[int, Path(ge=1, le=LARGEST_ID, description="As in the answers.")]


def photos(service: Service) -> APIRouter:
    """The routes of photos."""
    router = APIRouter(tags=["photos"])

    @router.get(
        "/v1/photos/{id}",
        summary="What is known of a photo",
        responses={200: {"model": PhotoFacts}, **refusals(404, 422)},
    )
    async def facts(id: Id) -> Response:
        """The same as `simsearch info PHOTO --json`: its file, size, date, copies and labels."""
        found = await service.look(lambda opened: _facts(opened, id))
        return Response(to_json(found), media_type="application/json")

    @router.get(
        "/v1/photos/{id}/thumbnail",
        summary="A small picture of a photo",
        response_class=Response,
        responses={
            200: {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}},
            **refusals(404, 422),
        },
    )
    async def thumbnail(id: Id) -> Response:
        """A JPEG without metadata, at most 256 pixels wide and high; 404 once no file is what was indexed."""
        made = await service.look(lambda opened: _thumbnail(service, opened, id), decodes=True)
        return Response(made, media_type="image/jpeg")

    return router


def _facts(opened: Opened, number: int) -> PhotoFacts:
    return photo_facts(opened.index, opened.index.paths_of(number)[0])


def _thumbnail(service: Service, opened: Opened, number: int) -> bytes:
    index = opened.index
    with index.database.read() as connection:
        content = catalog.contents_by_id(connection, [number]).get(number)
        paths = content_paths(connection, [number]).get(number, [])
    if content is None or not paths:
        raise NotIndexed(f"No photo of this index has the id {number}.")
    kept = look_up(index.path / "thumbs.db", content.sha256, SIDE)
    if kept is not None:
        return kept
    limits = DecodeLimits(max_pixels=index.max_pixels)
    for path in paths:
        outcome = service.decoding.decoders.read(path, seen_at(SIDE), limits)
        # A file that is not what was indexed may be a link to anything by now.
        if isinstance(outcome, Decoded) and outcome.digest == content.sha256:
            return jpeg(outcome.pixels, SIDE)
    raise Refusal(404, f"No file of photo {number} is there any more as it was indexed.")
