"""From one page to another: the pages by name, and what the next one is to begin with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

INDEX = "index"
"""In the address of every page: the name of the index that was chosen, where there are several."""

_PAGES, _BEGIN = "simsearch.pages", "simsearch.begin"


def know(pages: Mapping[str, Any]) -> None:
    """Remember the pages of this run, by name: "search", "duplicates", "map", "collection"."""
    st.session_state[_PAGES] = dict(pages)


def everywhere() -> dict[str, str]:
    """What of this page's address holds for every other one as well."""
    chosen = st.query_params.get(INDEX)
    return {INDEX: chosen} if chosen else {}


def go(name: str) -> None:
    """Show another page. It does not return."""
    st.switch_page(st.session_state[_PAGES][name], query_params=everywhere())


def search_by(vector_id: int) -> None:
    """Show the Search page, with an indexed picture as what is looked for. It does not return."""
    st.session_state[_BEGIN] = vector_id
    go("search")


def begin() -> int | None:
    """The picture that the Search page was asked to begin with, told once."""
    found = st.session_state.pop(_BEGIN, None)
    return found if isinstance(found, int) else None
