"""The fields by which pictures are limited to a folder, a name, a size, a date, a format."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from simsearch.report.names import visible
from simsearch.ui.pages.search import trail
from simsearch.ui.pages.search.answers.finding import BEST, FORMATS, label_names
from simsearch.ui.pages.search.answers.folders import folders, roots
from simsearch.ui.pages.search.wanted import Limits, Search
from simsearch.ui.shared import Library

_MEGAPIXELS = (0, 1, 2, 4, 8, 12, 24, 48)
_LONGEST_NAME = 200
_FIRST_DAY = datetime.date(1826, 1, 1)
_KEY = "search.limits."
_FIELDS = ("folder", "name", "label", "formats", "megapixels", "width", "kilobytes", "since", "until", "best")
_HITS = (10, 20, 50, 100, 200, BEST)


def limit_fields(lib: Library, search: Search, *, wide: bool) -> None:
    """Show the fields with what `search` has in them; another value shows the search with that.

    `wide` is across the page, with those that help to look through a collection always in sight.
    """
    _fill(search.limits)

    def changed() -> None:
        trail.show(replace(search, limits=_told()))

    if wide:
        with st.container(horizontal=True, vertical_alignment="bottom"):
            _name_and_folder(lib, search.limits, changed)
            _clear(search)
        with st.expander("More filters", icon=":material/tune:"):
            _others(search.limits, changed, st.columns([3, 3, 3, 5, 4]))
        return
    with st.expander("Filters", icon=":material/tune:"):
        _name_and_folder(lib, search.limits, changed)
        _others(search.limits, changed, [st.container() for _ in range(5)])
        st.selectbox(
            "Hits at most", sorted({*_HITS, search.limits.best or BEST}), key=_KEY + "best", on_change=changed
        )
    _clear(search)


def _clear(search: Search) -> None:
    count = search.limits.count()
    if count:
        words = "Clear the filter" if count == 1 else f"Clear {count} filters"
        st.button(words, on_click=trail.show, args=(replace(search, limits=Limits()),), type="tertiary")


def _name_and_folder(lib: Library, limits: Limits, changed: Callable[[], None]) -> None:
    st.text_input("Name contains", key=_KEY + "name", on_change=changed, placeholder="Any name")
    known = folders(lib)
    if limits.folder and limits.folder not in known:
        known = (*known, limits.folder)
    st.selectbox(
        "Folder", known, key=_KEY + "folder", on_change=changed, index=None,
        format_func=_shortened(roots(lib.index)), placeholder="All folders",
    )  # fmt: skip
    labels = label_names(lib)
    if labels or limits.label:
        st.selectbox(
            "Shows", sorted({*labels, *filter(None, [limits.label])}), key=_KEY + "label", on_change=changed,
            index=None, placeholder="Anything", help="What ImageNet's classifier sees, among its best five",
        )  # fmt: skip


def _others(limits: Limits, changed: Callable[[], None], places: Sequence[DeltaGenerator]) -> None:
    """Size, width, dates and format, each in its place."""
    sizes = sorted({*_MEGAPIXELS, limits.megapixels})
    places[0].selectbox(
        "Size", sizes, key=_KEY + "megapixels", on_change=changed,
        format_func=lambda size: f"At least {size} megapixels" if size else "Any size",
    )  # fmt: skip
    places[1].number_input(
        "Width of at least", key=_KEY + "width", on_change=changed, value=None, min_value=1,
        max_value=999_999, step=100, placeholder="Any, in pixels",
    )  # fmt: skip
    places[2].number_input(
        "File of at least", key=_KEY + "kilobytes", on_change=changed, value=None, min_value=1,
        max_value=9_999_999, step=100, placeholder="Any, in kB",
    )  # fmt: skip
    last_day = datetime.date.today() + datetime.timedelta(days=1)
    for field, place in zip(("since", "until"), places[3].columns(2), strict=True):
        place.date_input(
            f"Taken {field}", value=None, key=_KEY + field, on_change=changed, min_value=_FIRST_DAY,
            max_value=last_day, format="YYYY-MM-DD",
        )  # fmt: skip
    places[4].multiselect(
        "Format", FORMATS, key=_KEY + "formats", on_change=changed, placeholder="Any format"
    )  # fmt: skip


def _shortened(known: tuple[str, ...]) -> Callable[[str], str]:
    """Folders below the one root are shown from there, as far as a root among several tells them apart."""

    def words(folder: str) -> str:
        for root in known:
            if folder.startswith(root.rstrip("/") + "/"):
                return visible(os.path.basename(root.rstrip("/")) + folder[len(root.rstrip("/")) :])
        return visible(folder)

    return words


def _fill(limits: Limits) -> None:
    """The address says what the fields hold."""
    for field in _FIELDS:
        st.session_state[_KEY + field] = _in_field(field, getattr(limits, field))


def _in_field(field: str, value: Any) -> Any:
    """A limit as its field holds it."""
    if field == "formats":
        return list(value)
    if field == "best":
        return value or BEST
    return None if field in ("width", "kilobytes") and not value else value


def _told() -> Limits:
    told = {field: st.session_state.get(_KEY + field) for field in _FIELDS}
    return Limits(
        folder=told["folder"],
        name=(told["name"] or "").strip()[:_LONGEST_NAME],
        label=told["label"],
        formats=tuple(told["formats"] or ()),
        megapixels=told["megapixels"] or 0,
        width=told["width"] or 0,
        kilobytes=told["kilobytes"] or 0,
        best=0 if told["best"] in (None, BEST) else told["best"],
        since=told["since"],
        until=told["until"],
    )
