"""Why two pictures are alike -> an HTML page that needs no network, with the viewer that other pages use."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from simsearch.report.names import visible
from simsearch.report.page import broken, document, escaped, link
from simsearch.report.quality.explanation.machine import viewer_data
from simsearch.report.quality.explanation.table import INEXACT, box_of, facts, place_of, summary

if TYPE_CHECKING:
    from simsearch.quality.why.records import Explanation, Side

_START = """
const place = document.getElementById("why");
place.replaceChildren(heatViewer(JSON.parse(place.dataset.likeness), JSON.parse(place.dataset.sides)));
"""
_STYLE = """
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .3rem 1.2rem .3rem 0; border-bottom: 1px solid var(--line); }
th { font-weight: 500; color: var(--soft); font-size: .85rem; }
"""


@cache
def viewer_script() -> str:
    """The script that makes the function `heatViewer(data, sides)`."""
    return Path(__file__).with_name("viewer.js").read_text(encoding="utf-8")


@cache
def viewer_style() -> str:
    """The style sheet of the viewer."""
    return Path(__file__).with_name("viewer.css").read_text(encoding="utf-8")


def explanation_page(explanation: Explanation, pictures: Sequence[bytes]) -> Iterator[str]:
    """A self-contained page of an explanation, in pieces; `pictures` are both as JPEG bytes."""
    sides = (explanation.first, explanation.second)
    areas = [side.looked_at for side in sides]
    sizes = [(side.width, side.height) for side in sides]
    shown = [
        {
            "src": f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode('ascii')}",
            "name": visible(os.path.basename(side.path)),
        }
        for side, jpeg in zip(sides, pictures, strict=True)
    ]
    likeness = json.dumps(viewer_data(explanation.likeness, areas, sizes), separators=(",", ":"))
    note = "" if explanation.exact else f"<p>{escaped(INEXACT)}</p>"
    viewer = (
        f'<section aria-label="The pictures">{note}\n'
        f'<div id="why" data-likeness="{escaped(likeness)}" data-sides="{escaped(json.dumps(shown))}">'
        "<noscript>The heat is drawn by a script within this page, which is turned off here.</noscript>"
        "</div></section>\n"
    )
    return document(
        chain((viewer,), (_facts(number, side) for number, side in enumerate(sides, start=1))),
        title="Why these are alike",
        subtitle=summary(explanation),
        style=viewer_style() + _STYLE,
        script=viewer_script() + _START,
    )


def _facts(number: int, side: Side) -> str:
    rows = "".join(
        f"<tr><td>{100 * region.share:.0f} %</td><td>{box_of(region)}</td>"
        f"<td>{place_of(region, side)}</td></tr>\n"
        for region in side.regions
    )
    table = (
        '<table>\n<thead><tr><th scope="col">share</th><th scope="col">x,y,width,height</th>'
        f'<th scope="col">where</th></tr></thead>\n<tbody>\n{rows}</tbody></table>'
        if rows
        else "<p>No cell speaks for the score.</p>"
    )
    folder, name = os.path.split(side.path)
    return (
        f'<section aria-labelledby="p{number}">\n<h2 id="p{number}"><bdi>{link(side.path, name)}</bdi></h2>\n'
        f'<p class="facts"><bdi>{broken(folder)}</bdi><br>{escaped(facts(side))}</p>\n{table}\n</section>\n'
    )
