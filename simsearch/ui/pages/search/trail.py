"""Where a session is and how it came there: the address of the page, the way back, the place in the hits."""

from __future__ import annotations

from dataclasses import dataclass, replace

import streamlit as st

from simsearch.ui import going
from simsearch.ui.pages.search.answers.finding import FORMATS
from simsearch.ui.pages.search.wanted import Search, from_address, to_address

LONGEST = 100
_OF, _SHOWN, _TRAIL, _PLACES = "search.of", "search.shown", "search.trail", "search.places"


@dataclass(frozen=True, slots=True)
class Place:
    """Which page of the hits is shown, from 0, and the least score of those that are."""

    page: int = 0
    cut: float | None = None


def current(key: str) -> Search:
    """The search that the address says; how it came to it is put on the way back.

    `key` is that of the index; of another one neither the address nor the way back means anything.
    """
    query = st.query_params
    if st.session_state.setdefault(_OF, key) != key:
        for name in (_SHOWN, _TRAIL, _PLACES):
            st.session_state.pop(name, None)
        st.session_state[_OF] = key
        query.from_dict(going.everywhere())
    now = from_address({key: query.get_all(key) for key in query}, FORMATS)
    shown = st.session_state.get(_SHOWN)
    trail = _trail()
    if isinstance(shown, Search) and shown.examples != now.examples:
        if trail and trail[-1] == now:
            # The browser's own Back.
            trail.pop()
        else:
            trail.append(shown)
            del trail[:-LONGEST]
    st.session_state[_SHOWN] = now
    return now


def show(search: Search) -> None:
    """Make it the search that the next run of the page shows."""
    st.query_params.from_dict({**going.everywhere(), **to_address(search)})


def can_go_back() -> bool:
    """Whether there is an earlier search."""
    return bool(_trail())


def back() -> None:
    """Show the search before this one, at the place where it was left."""
    trail = _trail()
    if trail:
        earlier = trail.pop()
        st.session_state[_SHOWN] = earlier
        show(earlier)


def place(search: Search) -> Place:
    """The place within the hits of a search where this session is."""
    found = st.session_state.get(_PLACES, {}).get(search)
    return found if isinstance(found, Place) else Place()


def go_to(search: Search, page: int) -> None:
    """Show another page of the hits."""
    _put(search, replace(place(search), page=page))


def cut_at(search: Search, cut: float | None) -> None:
    """Show only hits of at least this score, from the first page."""
    _put(search, Place(0, cut))


def _put(search: Search, where: Place) -> None:
    places: dict[Search, Place] = st.session_state.setdefault(_PLACES, {})
    places.pop(search, None)
    places[search] = where
    if len(places) > LONGEST:
        del places[next(iter(places))]


def _trail() -> list[Search]:
    trail: list[Search] = st.session_state.setdefault(_TRAIL, [])
    return trail
