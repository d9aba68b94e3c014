"""Query results -> one HTML page that needs no network: pictures are inside it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from simsearch.report.lines import part_of, rarity_words
from simsearch.report.page import broken, document, escaped, link, picture

if TYPE_CHECKING:
    from simsearch.records import Hit, QueryResult

_STYLE = """
.answer { display: grid; grid-template-columns: minmax(10rem, 16rem) 1fr; gap: 1.25rem; }
.query { margin: 0; align-self: start; position: sticky; top: 1rem; }
.query .frame { border: 2px solid var(--accent); }
.part { position: absolute; border: 2px solid var(--accent); box-shadow: 0 0 0 1px var(--card); }
@media (max-width: 40rem) { .answer { grid-template-columns: 1fr; } .query { position: static; }
  .query .frame { max-width: 14rem; } }
@media print { .query { position: static; } }
"""


def query_page(
    results: Sequence[QueryResult],
    thumbnails: Mapping[str, bytes],
    *,
    title: str = "Similar photos",
    subtitle: str = "",
) -> str:
    """A self-contained page of queries and their hits.

    Args:
        results: one section each, in order.
        thumbnails: JPEG bytes by the `query` of a result and by the `path` of a hit; a missing one shows
            as "no preview".
        title, subtitle: plain text.

    Returns: HTML of ASCII and Unicode text without surrogates; every name in it is escaped.
    """
    sections = (_section(number, result, thumbnails) for number, result in enumerate(results, start=1))
    return "".join(document(sections, title=title, subtitle=subtitle, style=_STYLE))


def _section(number: int, result: QueryResult, thumbnails: Mapping[str, bytes]) -> str:
    name = escaped(os.path.basename(result.query) or result.query)
    cards = "".join(
        _card(rank, hit, thumbnails.get(hit.path)) for rank, hit in enumerate(result.hits, start=1)
    )
    answer = f"<ol>\n{cards}</ol>" if cards else "<p>Nothing matches.</p>"
    shown = picture(thumbnails.get(result.query), f"Query: {result.query}")
    return (
        f'<section aria-labelledby="q{number}">\n<h2 id="q{number}"><bdi>{name}</bdi></h2>\n'
        f'<div class="answer">\n<figure class="query">{shown}<figcaption>Query: '
        f"<bdi>{broken(result.query)}</bdi></figcaption></figure>\n{answer}\n</div>\n</section>\n"
    )


def _card(rank: int, hit: Hit, thumbnail: bytes | None) -> str:
    folder, name = os.path.split(hit.path)
    shown = picture(thumbnail, f"Hit {rank}: {name}", inside=_part(hit) if thumbnail else "")
    part = f", part {part_of(hit)}" if hit.part is not None else ""
    bar = f'<meter min="0" max="1" value="{min(max(hit.score, 0.0), 1.0):.4f}" aria-hidden="true"></meter>'
    return (
        f'<li>{shown}<div class="score">{hit.score:.4f}<span>#{rank}</span></div>{bar}'
        f'<div class="name"><bdi>{link(hit.path, name)}</bdi></div>'
        f'<div class="folder"><bdi>{broken(folder)}</bdi></div>'
        f'<div class="facts">{hit.width} &times; {hit.height}, id {hit.id}{_rarity(hit)}{part}</div>'
        f"{_copies(hit)}</li>\n"
    )


def _rarity(hit: Hit) -> str:
    return f", {rarity_words(hit.one_in)}" if hit.one_in is not None else ""


def _part(hit: Hit) -> str:
    """A frame around the part that matched, on a picture that lies in the middle of a square."""
    if hit.part is None:
        return ""
    longer = max(hit.width, hit.height)
    left, top, width, height = hit.part
    sides = {
        "left": (longer - hit.width) / 2 + left,
        "top": (longer - hit.height) / 2 + top,
        "width": width,
        "height": height,
    }
    style = ";".join(f"{name}:{100 * side / longer:.2f}%" for name, side in sides.items())
    return f'<div class="part" style="{style}"></div>'


def _copies(hit: Hit) -> str:
    if not hit.copies:
        return ""
    rows = "".join(f"<li><bdi>{link(copy, copy)}</bdi></li>" for copy in hit.copies)
    count = "1 copy" if len(hit.copies) == 1 else f"{len(hit.copies)} copies"
    return f"<details><summary>{count}</summary><ul>{rows}</ul></details>"
