"""The page about the index: what it holds, where its photos lie, what was skipped, and its upkeep."""

from __future__ import annotations

import os

import streamlit as st

from simsearch.media.sources.walk import root_state
from simsearch.paths import is_url
from simsearch.ui.pages.collection import care, skipped, tables, words
from simsearch.ui.shared import Library

ROOTS = 60
"""So many folders are listed."""


def show(lib: Library) -> None:
    """Show what `simsearch info` tells, and offer what keeps the index well."""
    info, folder = lib.index.info(), lib.index.path
    st.title("Index", anchor=False)
    care.jobs(folder)
    with st.container(horizontal=True, gap="large"):
        st.metric("Photos", f"{info.photos:,}", width="content")
        st.metric("Files", f"{info.files:,}", width="content")
        st.metric("Skipped", f"{info.skipped:,}", width="content")
    tables.facts(words.facts(info))
    st.header("Folders", anchor=False)
    tables.table(
        ("Folder", "State"),
        ((root, words.STATES[_state(os.fsencode(root))]) for root in info.roots[:ROOTS]),
    )
    if len(info.roots) > ROOTS:
        st.caption(f"and {len(info.roots) - ROOTS:,} more: simsearch info lists them all")
    care.again(folder)
    st.header("Skipped files", anchor=False)
    skipped.show(lib.index.skipped(), "collection.skipped")
    st.header("Check and rebuild", anchor=False)
    care.upkeep(folder)
    with st.expander("At the terminal: forget, mend, compact"):
        st.caption("These take something out of the index, so they are not done from here.")
        for what, command in words.commands(info.index):
            st.text(what)
            st.code(command, language=None, wrap_lines=True)


def _state(root: bytes) -> str:
    return "remote" if is_url(root) else root_state(root)
