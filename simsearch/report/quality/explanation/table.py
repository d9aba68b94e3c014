"""Why two pictures are alike -> lines for a person at a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simsearch.report.names import visible
from simsearch.report.table import PLAIN, Screen, new_table, render, shown_name

if TYPE_CHECKING:
    from rich.console import RenderableType

    from simsearch.quality.why.records import Explanation, Region, Side

_ACROSS, _DOWN = ("left", "middle", "right"), ("upper", "middle", "lower")
_MOST = 0.6
INEXACT = (
    "The index holds vectors of another arithmetic; this is the score of the same network in float32, and a "
    "query may say another."
)


def explanation_table(explanation: Explanation, screen: Screen = PLAIN) -> str:
    """The score, and for each picture where half of it comes from."""
    parts: list[RenderableType] = [summary(explanation)]
    if not explanation.exact:
        parts.append(INEXACT)
    for side in (explanation.first, explanation.second):
        parts += ["", shown_name(side.path, style="bold"), f"  {facts(side)}"]
        if not side.regions:
            parts.append("  no cell speaks for the score")
            continue
        table = new_table(("share", "right"), ("x,y,width,height", "right"), ("where", "left"))
        for region in side.regions:
            table.add_row(f"{100 * region.share:.0f} %", box_of(region), place_of(region, side))
        parts.append(table)
    rows, columns = explanation.grid
    parts += [
        "",
        f"Boxes of the cells, of {rows} x {columns} in a picture, that make half of the score; "
        "pixels of the upright picture.",
    ]
    return render(screen, *parts)


def summary(explanation: Explanation) -> str:
    """The score and what it is of, in one line."""
    centred = ", centred" if explanation.center else ""
    return f"score {explanation.score:.4f} (cosine, {visible(explanation.model)}{centred})"


def facts(side: Side) -> str:
    """The size of a picture, and what of it was looked at."""
    area = side.looked_at
    seen = f"{area.width:.0f} x {area.height:.0f} from {area.x:.0f},{area.y:.0f}"
    against = int((side.cells < 0).sum())
    counts = f"; {against} cells speak against the score" if against else ""
    return f"{side.width} x {side.height}, looked at {seen}{counts}"


def box_of(region: Region) -> str:
    """A region as --crop of a query takes it."""
    return f"{region.x},{region.y},{region.width},{region.height}"


def place_of(region: Region, side: Side) -> str:
    """Where a region lies, in words."""
    if region.width * region.height > _MOST * side.width * side.height:
        return "most of the picture"
    across = _third(region.x + region.width / 2, side.width)
    down = _third(region.y + region.height / 2, side.height)
    if across == down == 1:
        return "middle"
    if down == 1:
        return _ACROSS[across]
    return {0: "top", 2: "bottom"}[down] if across == 1 else f"{_DOWN[down]} {_ACROSS[across]}"


def _third(value: float, length: int) -> int:
    return min(2, int(3 * value / length))
