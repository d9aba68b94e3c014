"""The Search page: asks for a picture, shows the collection to choose from, or the hits of a search."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

import streamlit as st

from simsearch.errors import SimsearchError
from simsearch.media.formats import FORMATS, RAW_SUFFIXES
from simsearch.records import Hit
from simsearch.ui import going, look
from simsearch.ui.http.uploads import UPLOADS, upload_address
from simsearch.ui.http.why.route import why_address
from simsearch.ui.pages.search import trail
from simsearch.ui.pages.search.answers import finding, opening
from simsearch.ui.pages.search.answers.tiles import hit_tiles, shot_tiles, table
from simsearch.ui.pages.search.asked import Known, compared, known_of, show_cut, show_subject
from simsearch.ui.pages.search.limits import limit_fields
from simsearch.ui.pages.search.wanted import Example, Search
from simsearch.ui.parts.ask import Field, ask
from simsearch.ui.parts.gallery import Act, Asked, Offers, Tile, gallery
from simsearch.ui.shared import Library

A_PAGE = 60
_SUFFIXES = sorted({suffix for known in FORMATS for suffix in known.suffixes} | RAW_SUFFIXES)
ACCEPT = ",".join(["image/*", *(f".{suffix}" for suffix in _SUFFIXES)])
"""What the browser offers where a file is chosen: what it knows as pictures, and what simsearch does."""


def show(lib: Library) -> None:
    """Show the page. What an index raises is shown in its own words by the caller."""
    began = going.begin()
    if began is not None:
        trail.show(Search(plus=(Example(indexed=began),)))
    search = trail.current(lib.key)
    if search.plus:
        _found(lib, search)
    else:
        _browsed(lib, search)


def _ask(lib: Library, search: Search) -> None:
    def given(uploads: Sequence[str]) -> None:
        plus = tuple(Example(upload=upload) for upload in uploads)
        trail.show(Search(plus, (), search.limits))

    field = Field(
        upload_address(lib),
        UPLOADS.bounds.max_bytes,
        ACCEPT,
        slim=bool(search.plus),
        beside=str(hash(search)),
    )
    ask(field, key="search.ask", given=given)


def _browsed(lib: Library, search: Search) -> None:
    """The collection, from which a picture is chosen."""
    st.title("Search by a picture", anchor=False)
    _ask(lib, search)
    if not len(lib.index):
        st.info("This index holds no picture yet. The page Index adds a folder.")
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.header("Or choose one of the collection", anchor=False, width="stretch")
        _back_button()
    limit_fields(lib, search, wide=True)
    ids = finding.matching(lib, search.limits)
    page, pages = _page(search, len(ids))
    if not len(ids):
        st.info("No picture is within these filters. Clear one of them.")
        return
    _caption(page, len(ids), "picture")
    _gallery(lib, search, page, "Pictures of the collection", shot_tiles(lib, ids[_span(page)].tolist()))
    _turning(search, page, pages)


def _found(lib: Library, search: Search) -> None:
    """The hits of a search, with what was looked for beside them."""
    known = known_of(lib, search)
    _ask(lib, search)
    hits: tuple[Hit, ...] = ()
    try:
        with st.spinner("Searching…"):
            hits = finding.hits_of(lib, search)
    except SimsearchError as exc:
        look.problem(str(exc))
    label = _title(search, known)
    with st.container(horizontal=True, vertical_alignment="center"):
        _back_button()
        # As HTML, since Markdown would make icons of some names.
        st.html(f'<h1 style="margin: 0; padding: 0">{escape(label)}</h1>', width="stretch")
    beside, main = st.columns([1, 3], gap="medium")
    with beside:
        if search.plus[0] in known:
            show_subject(lib, search, known)
        if len(hits) > 1:
            show_cut(search, hits)
        limit_fields(lib, search, wide=False)
    cut = trail.place(search).cut
    kept = [hit for hit in hits if cut is None or round(hit.score, 4) >= cut]
    page, pages = _page(search, len(kept))
    with main:
        if kept:
            _head(label, kept, page)
            asked = compared(lib, search, known)
            _gallery(lib, search, page, label, hit_tiles(lib, kept[_span(page)]), asked)
            _turning(search, page, pages)
        elif hits:
            st.info("No picture has such a score. Move the slider to the left.")
        elif search.limits.count():
            st.info("No picture is within these filters. Clear one of them.")


def _head(label: str, kept: Sequence[Hit], page: int) -> None:
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        _caption(page, len(kept), "hit")
        st.download_button(
            "CSV", lambda: table(label, kept), "hits.csv", "text/csv", icon=":material/download:",
            type="tertiary", on_click="ignore", help="All hits above the score that is set, as a table",
        )  # fmt: skip


def _title(search: Search, known: dict[Example, Known]) -> str:
    def called(example: Example, otherwise: str) -> str:
        return known[example].name if example in known else otherwise

    first = called(search.plus[0], "a picture")
    part = "a region of " if search.plus[0].box else ""
    more = len(search.plus) - 1
    words = f"Like {part}{first}" + (f" and {more} more" if more else "")
    less = len(search.minus)
    return (
        words
        + (f", unlike {called(search.minus[0], 'one')}" if less == 1 else "")
        + (f", unlike {less} others" if less > 1 else "")
    )


def _back_button() -> None:
    if trail.can_go_back():
        st.button(
            "Back", icon=":material/arrow_back:", on_click=trail.back, help="To the search before (Escape)"
        )


def _gallery(
    lib: Library,
    search: Search,
    page: int,
    label: str,
    tiles: Sequence[Tile],
    asked: tuple[Asked, ...] = (),
) -> None:
    folder = opening.opener() is not None and opening.is_here(st.context.ip_address, st.context.url)
    why = why_address(lib) if asked else ""
    offers = Offers(bool(search.plus), folder, trail.can_go_back(), why, asked)
    token = f"{hash(search)} {page}"
    gallery(
        tiles,
        key="search.gallery",
        label=label,
        token=token,
        offers=offers,
        acted=_acting(lib, search, folder),
    )


def _acting(lib: Library, search: Search, folder: bool) -> Callable[[Act], None]:
    def acted(act: Act) -> None:
        if act.what == "back":
            trail.back()
        elif act.what == "search":
            trail.show(Search(plus=(Example(indexed=act.id),), limits=search.limits))
        elif act.what in ("plus", "minus") and search.plus:
            trail.show(search.with_example(act.id, like=act.what == "plus"))
        elif act.what == "folder" and folder:
            try:
                opening.open_folder(lib.index.paths_of(act.id)[0])
            except SimsearchError as exc:
                st.toast(look.plain(str(exc)), icon=":material/error:")

    return acted


def _page(search: Search, count: int) -> tuple[int, int]:
    """The page that is shown, from 0, and how many there are."""
    pages = max(1, -(-count // A_PAGE))
    return min(trail.place(search).page, pages - 1), pages


def _span(page: int) -> slice:
    return slice(page * A_PAGE, (page + 1) * A_PAGE)


def _caption(page: int, count: int, what: str) -> None:
    first, last = page * A_PAGE + 1, min(count, (page + 1) * A_PAGE)
    words = f"{count:,} {what}{'' if count == 1 else 's'}"
    shown = f", {first:,} to {last:,} shown" if count > A_PAGE else ""
    st.markdown(f":small[{words}{shown}]")


def _turning(search: Search, page: int, pages: int) -> None:
    if pages == 1:
        return
    with st.container(horizontal=True, horizontal_alignment="center", vertical_alignment="center"):
        st.button(
            "Previous page", icon=":material/chevron_left:", disabled=page == 0, on_click=trail.go_to,
            args=(search, page - 1),
        )  # fmt: skip
        st.write(f"Page {page + 1:,} of {pages:,}")
        st.button(
            "Next page", icon=":material/chevron_right:", disabled=page == pages - 1, on_click=trail.go_to,
            args=(search, page + 1),
        )  # fmt: skip
