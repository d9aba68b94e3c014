"""The part `gallery`: pictures in rows, each to be searched by, added to the search or looked at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import streamlit as st

from simsearch.report.quality.explanation.page import viewer_script, viewer_style
from simsearch.ui.parts.loading import part

ACTS = ("search", "plus", "minus", "folder", "back")


@dataclass(frozen=True, slots=True)
class Tile:
    """One picture of a gallery; all but the addresses is text to be shown as it is.

    Attributes:
        id: what an act on it is told.
        src, large: the addresses of its thumbnail and of the picture as large as a screen.
        name, path, copies: its file, and further files with the same bytes.
        copied: what "Copy path" copies.
        score: the cosine in words, or "".
        facts: size, format and date in words.
    """

    id: int
    src: str
    large: str
    name: str
    path: str
    copied: str
    facts: str
    score: str = ""
    copies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Act:
    """What a person did: one of ACTS, and the id of the picture it was done to (0 for "back")."""

    what: str
    id: int


@dataclass(frozen=True, slots=True)
class Asked:
    """An example that hits can be compared with: what names it, the address of the picture as large as a
    screen, and its name."""

    token: str
    src: str
    name: str


@dataclass(frozen=True, slots=True)
class Offers:
    """What a gallery offers besides a search: `refine` plus and minus, `folder` opening a picture's folder,
    `back` a way back by Escape, `why` (see `simsearch.ui.http.why.route.why_address`) what made a picture and
    one of those `asked` alike."""

    refine: bool = False
    folder: bool = False
    back: bool = False
    why: str = ""
    asked: tuple[Asked, ...] = ()


def gallery(
    tiles: Sequence[Tile], *, key: str, label: str, token: str, offers: Offers, acted: Callable[[Act], None]
) -> None:
    """Show pictures; `acted` is called before the next run of the page, with what was done.

    `label` names the gallery to those who do not see it. A `token` unlike the last one says that these are
    the pictures of another search, so that the page is scrolled to its top.
    """

    def heard() -> None:
        done = st.session_state[key].get("done")
        if done and done.get("what") in ACTS and isinstance(done.get("id"), int):
            acted(Act(done["what"], done["id"]))

    data = {"tiles": [asdict(tile) for tile in tiles], "label": label, "token": token, **asdict(offers)}
    part("search/gallery", script=viewer_script(), style=viewer_style())(
        key=key, data=data, on_done_change=heard
    )
