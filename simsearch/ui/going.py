"""From one page to another: the pages by name, and what the next one is to begin with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

_PAGES, _BEGIN = "simsearch.pages", "simsearch.begin"


def know(pages: Mapping[str, Any]) -> None:
    """Remember the pages of this run, by name: "search", "duplicates", "map", "collection"."""
    st.session_state[_PAGES] = dict(pages)


def go(name: str) -> None:
    """Show another page. It does not return."""
    st.switch_page(st.session_state[_PAGES][name])


def search_by(vector_id: int) -> None:
    """Show the Search page, with an indexed picture as what is looked for. It does not return."""
    st.session_state[_BEGIN] = vector_id
    go("search")


def begin() -> int | None:
    """The picture that the Search page was asked to begin with, told once."""
    found = st.session_state.pop(_BEGIN, None)
    return found if isinstance(found, int) else None
