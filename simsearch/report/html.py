"""Query results -> one HTML page that needs no network: pictures are inside it."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import quote

from simsearch.report.names import visible

if TYPE_CHECKING:
    from simsearch.records import Hit, QueryResult

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2327; --soft: #5a646c; --paper: #f6f7f8; --card: #fff;
  --line: #dde1e4; --accent: #0b6b5d; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9eb; --soft: #a3adb5; --paper: #14181b;
  --card: #1d2326; --line: #343c41; --accent: #6fd0bd; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1.5rem 1rem 3rem; background: var(--paper);
  color: var(--ink); font: 16px/1.45 system-ui, sans-serif; }
h1 { font-size: 1.3rem; margin: 0; }
.sub, .folder, .facts, figcaption { color: var(--soft); font-size: .85rem; }
section { margin-top: 1.75rem; padding-top: 1.25rem; border-top: 1px solid var(--line); }
h2 { font-size: 1rem; margin: 0 0 .75rem; }
bdi { overflow-wrap: anywhere; }
.answer { display: grid; grid-template-columns: minmax(10rem, 16rem) 1fr; gap: 1.25rem; }
.query { margin: 0; align-self: start; position: sticky; top: 1rem; }
.query .frame { border: 2px solid var(--accent); }
figcaption { margin-top: .4rem; }
ol { list-style: none; margin: 0; padding: 0; display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(10rem, 1fr)); }
li { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .6rem; }
.frame { display: grid; place-items: center; aspect-ratio: 1; border-radius: .35rem; overflow: hidden;
  background: var(--paper); color: var(--soft); font-size: .85rem; }
.frame img { width: 100%; height: 100%; object-fit: contain; }
.score { display: flex; justify-content: space-between; margin-top: .5rem; font-weight: 600;
  font-variant-numeric: tabular-nums; }
.score span { color: var(--soft); font-weight: 400; }
meter { display: block; width: 100%; height: .5rem; }
.name { font-weight: 500; }
details { font-size: .85rem; margin-top: .25rem; }
details ul { margin: .25rem 0 0; padding-left: 1rem; }
details li { background: none; border: 0; padding: 0; list-style: disc; }
a { color: inherit; text-decoration-color: var(--soft); }
a:focus-visible, summary:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
@media (max-width: 40rem) { .answer { grid-template-columns: 1fr; } .query { position: static; }
  .query .frame { max-width: 14rem; } ol { grid-template-columns: repeat(2, minmax(0, 1fr)); gap: .6rem; } }
@media print { body { max-width: none; } .query { position: static; } li { break-inside: avoid; } }
"""

# No script, no network: even a file name that slipped through could load nothing.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


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
    sections = "".join(_section(number, result, thumbnails) for number, result in enumerate(results, start=1))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f"<title>{_text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f'<header><h1>{_text(title)}</h1><div class="sub">{_text(subtitle)}</div></header>\n'
        f"<main>\n{sections}</main>\n</body>\n</html>\n"
    )


def _section(number: int, result: QueryResult, thumbnails: Mapping[str, bytes]) -> str:
    name = _text(os.path.basename(result.query) or result.query)
    cards = "".join(
        _card(rank, hit, thumbnails.get(hit.path)) for rank, hit in enumerate(result.hits, start=1)
    )
    answer = f"<ol>\n{cards}</ol>" if cards else "<p>Nothing matches.</p>"
    picture = _picture(thumbnails.get(result.query), f"Query: {result.query}")
    return (
        f'<section aria-labelledby="q{number}">\n<h2 id="q{number}"><bdi>{name}</bdi></h2>\n'
        f'<div class="answer">\n<figure class="query">{picture}<figcaption>Query: '
        f"<bdi>{_path(result.query)}</bdi></figcaption></figure>\n{answer}\n</div>\n</section>\n"
    )


def _card(rank: int, hit: Hit, thumbnail: bytes | None) -> str:
    folder, name = os.path.split(hit.path)
    picture = _picture(thumbnail, f"Hit {rank}: {name}")
    bar = f'<meter min="0" max="1" value="{min(max(hit.score, 0.0), 1.0):.4f}" aria-hidden="true"></meter>'
    return (
        f'<li>{picture}<div class="score">{hit.score:.4f}<span>#{rank}</span></div>{bar}'
        f'<div class="name"><bdi>{_link(hit.path, name)}</bdi></div>'
        f'<div class="folder"><bdi>{_path(folder)}</bdi></div>'
        f'<div class="facts">{hit.width} &times; {hit.height}, id {hit.id}</div>{_copies(hit)}</li>\n'
    )


def _copies(hit: Hit) -> str:
    if not hit.copies:
        return ""
    rows = "".join(f"<li><bdi>{_link(copy, copy)}</bdi></li>" for copy in hit.copies)
    count = "1 copy" if len(hit.copies) == 1 else f"{len(hit.copies)} copies"
    return f"<details><summary>{count}</summary><ul>{rows}</ul></details>"


def _picture(thumbnail: bytes | None, alt: str) -> str:
    if thumbnail is None:
        return '<div class="frame">no preview</div>'
    data = base64.b64encode(thumbnail).decode("ascii")
    return f'<div class="frame"><img alt="{_text(alt)}" src="data:image/jpeg;base64,{data}"></div>'


def _link(path: str, name: str) -> str:
    return f'<a href="file://{quote(os.fsencode(path))}">{_path(name)}</a>'


def _path(path: str) -> str:
    # A line of a narrow card ends after a slash or an underscore rather than within a word.
    return _text(path).replace("/", "/<wbr>").replace("_", "_<wbr>")


def _text(text: str) -> str:
    return escape(visible(text), quote=True)
