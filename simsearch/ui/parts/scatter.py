"""The part `scatter`: pictures as points on a plane, to be moved over, zoomed into and searched by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from simsearch.ui.parts.loading import part


@dataclass(frozen=True, slots=True)
class Grouping:
    """One way to colour the points.

    Attributes:
        title: by what, in a word or two.
        labels: the groups; all text is shown as it is.
        of: for each point the number of its group.
        ordered: whether the groups have an order, such as years.
        rest: whether the last group is what belongs to none of the others; it has no colour.
    """

    title: str
    labels: tuple[str, ...]
    of: tuple[int, ...]
    ordered: bool = False
    rest: bool = False


@dataclass(frozen=True, slots=True)
class Points:
    """The points, as columns of one length: ids, places on the two axes, names as they are shown."""

    ids: Sequence[int]
    xs: Sequence[float]
    ys: Sequence[float]
    names: Sequence[str]
    groupings: tuple[Grouping, ...] = ()


def scatter(points: Points, *, key: str, label: str, token: str, thumbs: str) -> int | None:
    """Show the points; the id of the one that was chosen just now, or None.

    Args:
        points: at most some thousands.
        key: names this one on the page.
        label: names the map to those who do not see it.
        token: what the browser keeps the view under, so that a way back leads to where one was.
        thumbs: what the address of each thumbnail begins with; its id is the rest.
    """
    data = {**asdict(points), "label": label, "token": token, "thumbs": thumbs}
    chosen = part("map/scatter")(key=key, data=data, on_chosen_change=lambda: None).chosen
    return chosen if isinstance(chosen, int) and not isinstance(chosen, bool) else None
