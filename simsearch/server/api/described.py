"""What the OpenAPI document says besides what FastAPI finds out by itself."""

from __future__ import annotations

import html
from typing import Any

from simsearch.server.api.sending import IMAGE, OPTIONS, UNLIKE
from simsearch.server.api.shapes import Refused, SentWish

WORDS = {
    400: "The request cannot be read",
    401: "The token is missing or another one",
    403: "Asked for under a wrong name, or by the page of another site",
    404: "The index holds no such photo",
    405: "Another method is wanted",
    408: "The request came too slowly",
    413: "The request or a picture is too large",
    415: "What was sent is no picture, or no form",
    422: "A value is not what it has to be, or a picture cannot be decoded",
    429: "Asked too often; Retry-After says when to ask again",
    503: "Full, about to end, or index or network cannot be used now; Retry-After says when to ask again",
    504: "It took too long",
    507: "The disk has no room for the request",
}

ANY = (401, 403, 405, 408, 413, 429, 503, 504)
"""The refusals of every route."""

_RETRY = {"Retry-After": {"description": "Seconds", "schema": {"type": "string"}}}
_FILES = {"type": "array", "items": {"type": "string", "format": "binary"}}


def _options() -> dict[str, Any]:
    schema = SentWish.model_json_schema(ref_template="#/components/schemas/{model}")
    # The document defines them already, for queries by indexed photos.
    del schema["$defs"]
    return schema


SENDING: dict[str, Any] = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {
                    IMAGE: {**_FILES, "description": "Pictures to be like."},
                    UNLIKE: {**_FILES, "description": "Pictures to be unlike."},
                    OPTIONS: _options(),
                },
            },
            "encoding": {OPTIONS: {"contentType": "application/json"}},
        }
    },
}
"""The body of a query by pictures that are sent."""


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The refusals of a route, and those that any has."""
    return {
        status: {
            "model": Refused,
            "description": WORDS[status],
            **({"headers": _RETRY} if status in (429, 503) else {}),
        }
        for status in sorted({*ANY, *statuses})
    }


def page(described: dict[str, Any]) -> str:
    """All routes on a page that loads nothing from anywhere."""
    rows = [
        f"<h2><code>{method.upper()} {html.escape(path)}</code></h2>"
        f"<p>{html.escape(route.get('summary', ''))}. {html.escape(route.get('description', ''))}</p>"
        f"<p>Answers: {', '.join(sorted(route['responses']))}</p>"
        for path, methods in described["paths"].items()
        for method, route in methods.items()
    ]
    title = html.escape(f"{described['info']['title']} {described['info']['version']}")
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        "<style>body{font:16px/1.5 sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem}</style>"
        f'<h1>{title}</h1><p>For programs: <a href="/openapi.json">openapi.json</a></p>{"".join(rows)}</html>'
    )
