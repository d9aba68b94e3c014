"""What stands beside the hits: the picture looked for, its region, other examples, the cut of the scores."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from simsearch.errors import PhotoUnreadable
from simsearch.records import Hit
from simsearch.report.names import visible
from simsearch.spec import NAMED
from simsearch.ui.http.uploads import preview_address
from simsearch.ui.pages.search import trail
from simsearch.ui.pages.search.answers.facts import shots
from simsearch.ui.pages.search.answers.finding import upload_of
from simsearch.ui.pages.search.answers.tiles import name_of
from simsearch.ui.pages.search.wanted import Example, Search
from simsearch.ui.parts.gallery import Asked
from simsearch.ui.parts.histogram import histogram
from simsearch.ui.parts.region import Box, Chip, Subject, region
from simsearch.ui.shared import Library


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of an example: its name, to be shown, and its width and height in pixels."""

    name: str
    size: tuple[int, int]


def known_of(lib: Library, search: Search) -> dict[Example, Known]:
    """What is known of the examples; those that are gone have no entry."""
    examples = (*search.plus, *search.minus)
    indexed = shots(lib.index, [example.indexed for example in examples if example.indexed is not None])
    found: dict[Example, Known] = {}
    for example in examples:
        if example.indexed in indexed:
            shot = indexed[example.indexed]
            found[example] = Known(name_of(shot.paths[0]), (shot.width, shot.height))
        elif example.upload is not None:
            with suppress(PhotoUnreadable):
                held = upload_of(example)
                found[example] = Known(visible(held.name) or "picture", (held.width, held.height))
    return found


def show_subject(lib: Library, search: Search, known: dict[Example, Known]) -> None:
    """The first example, which is known, with its region; as chips all of them where there are several."""
    first = search.plus[0]
    several = (*search.plus, *search.minus)
    chips = [
        Chip(str(one), _address(lib, one), known[one].name if one in known else "gone", one in search.plus)
        for one in several
        if len(several) > 1
    ]
    subject = Subject(
        src=_address(lib, replace(first, box=None), large=True),
        name=known[first].name,
        size=known[first].size,
        box=first.box,
        chips=tuple(chips),
    )

    def drawn(box: Box | None) -> None:
        trail.show(search.with_region(box))

    def removed(token: str) -> None:
        trail.show(next((search.without(one) for one in several if str(one) == token), search))

    region(subject, key="search.subject", drawn=drawn, removed=removed)


def compared(lib: Library, search: Search, known: dict[Example, Known]) -> tuple[Asked, ...]:
    """The examples that a hit can be compared with; none where vectors were made elsewhere."""
    if lib.index.spec.backbone.startswith(NAMED):
        return ()
    return tuple(
        Asked(str(one), _address(lib, replace(one, box=None), large=True), known[one].name)
        for one in (*search.plus, *search.minus)
        if one in known
    )


def show_cut(search: Search, hits: Sequence[Hit]) -> None:
    """The distribution of the scores, with the least one that is shown."""

    def moved(cut: float | None) -> None:
        trail.cut_at(search, cut)

    scores = [hit.score for hit in hits]
    histogram(scores, trail.place(search).cut, key="search.cut", moved=moved)


def _address(lib: Library, example: Example, *, large: bool = False) -> str:
    if example.indexed is None:
        return preview_address(example.upload or "")
    return lib.picture(example.indexed) if large else lib.thumbnail(example.indexed)
