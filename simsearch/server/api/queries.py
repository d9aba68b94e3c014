"""Queries: by pictures that are sent, and by indexed ones."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError
from starlette.datastructures import UploadFile

from simsearch.engine.batch.asking import Question, Stored
from simsearch.engine.queries.examples import Example, Seen
from simsearch.engine.queries.options import QueryOptions
from simsearch.records import QueryResult
from simsearch.report.machine import to_jsonl
from simsearch.server.answering.library import Framed, Opened
from simsearch.server.answering.service import Service
from simsearch.server.api.described import SENDING, refusals
from simsearch.server.api.sending import Form, form_of, weights_of
from simsearch.server.api.shapes import SentWish, Wish
from simsearch.server.api.wishes import examples_of, name_of, options_of
from simsearch.server.failures import Refusal

FOUND: dict[int | str, dict[str, Any]] = {
    200: {"model": list[QueryResult], "description": "One result; the same as `simsearch query --json`."}
}


def queries(service: Service) -> APIRouter:
    """The routes of queries."""
    router = APIRouter(tags=["queries"])

    @router.post(
        "/v1/query",
        summary="Query by pictures that are sent",
        responses={**FOUND, **refusals(400, 404, 415, 422, 507)},
        openapi_extra={"requestBody": SENDING},
    )
    async def by_sent(request: Request) -> Response:
        """Photos that look like the pictures in the parts `image`, and unlike those in the parts `unlike`.

        All else is JSON in the part `options`; its `plus` and `minus` name indexed photos that join them.
        """
        form = await form_of(request, service.config.max_examples)
        try:
            return _answer(await _by_sent(service, form))
        finally:
            await form.parts.close()

    @router.post(
        "/v1/query/indexed",
        summary="Query by indexed photos",
        responses={**FOUND, **refusals(400, 404, 422)},
    )
    async def by_indexed(wish: Wish) -> Response:
        """Photos that look like those in `plus`, named by id or by path, and unlike those in `minus`."""
        opened, options = await _options(service, wish)
        plus, minus = examples_of(wish.plus), examples_of(wish.minus)
        _check_number(service, len(plus), len(minus))
        question = Question(name_of(wish.plus[0]), plus, minus, options)
        return _answer(await service.ask(question, opened))

    return router


async def _by_sent(service: Service, form: Form) -> QueryResult:
    try:
        wish = SentWish.model_validate_json(form.options)
    except ValidationError as exc:
        raise Refusal(422, f"The part options: {told(exc.errors())}") from exc
    _check_number(service, len(form.images) + len(wish.plus), len(form.unlike) + len(wish.minus))
    opened, options = await _options(service, wish)
    named = [examples_of(side) for side in (wish.plus, wish.minus)]
    weights = [
        *weights_of(wish.weights, form.images, "weights"),
        *weights_of(wish.minus_weights, form.unlike, "minus_weights"),
    ]
    examples = await _looked_at(service, opened, (*form.images, *form.unlike), weights)
    plus, minus = examples[: len(form.images)], examples[len(form.images) :]
    label = (form.images[0].filename or "image") if form.images else name_of(wish.plus[0])
    question = Question(label, (*plus, *named[0]), (*minus, *named[1]), options)
    return await service.ask(question, opened)


async def _options(service: Service, wish: Wish) -> tuple[Opened, QueryOptions]:
    """The index as it is now, and the options for it. Raises SimsearchError."""
    return await service.look(lambda opened: (opened, options_of(wish, opened.index, service.config)))


async def _looked_at(
    service: Service, opened: Opened, parts: Sequence[UploadFile], weights: Sequence[float | None]
) -> list[Example | Seen]:
    """The examples that were sent: vectors of new pictures, and what the index knows of the others."""
    tasks = [_one(service, opened, part, weight) for part, weight in zip(parts, weights, strict=True)]
    found = await asyncio.gather(*tasks, return_exceptions=True)
    for one in found:
        # All are waited for: what a thread still reads must not be closed.
        if isinstance(one, BaseException):
            raise one
    return [one for one in found if not isinstance(one, BaseException)]


async def _one(service: Service, opened: Opened, part: UploadFile, weight: float | None) -> Example | Seen:
    sent = await service.decode(part, opened)
    if sent.pixels is None:
        return Example(Stored(digest=sent.digest), weight)
    return Seen(await service.embed(Framed(opened, sent.pixels)), weight)


def _check_number(service: Service, plus: int, minus: int) -> None:
    """Raises Refusal."""
    if not plus:
        raise Refusal(422, "A query needs at least one picture to be like.")
    if plus + minus > service.config.max_examples:
        raise Refusal(422, f"A query may have {service.config.max_examples} pictures here at most.")


def _answer(result: QueryResult) -> Response:
    # The JSON of `simsearch query --json`, written quickly; pydantic would refuse names that are no text.
    [line] = to_jsonl([result])
    return Response(b"[" + line.rstrip() + b"]\n", media_type="application/json")


def told(errors: Sequence[object]) -> str:
    """What pydantic found, in one line."""
    lines = []
    for error in errors[:5]:
        if isinstance(error, dict):
            place = ".".join(str(part) for part in error.get("loc", ()) if part != "body")
            lines.append(f"{place}: {error.get('msg', 'wrong')}" if place else str(error.get("msg", "wrong")))
    return "; ".join(lines) + "."
