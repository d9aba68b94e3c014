"""The files that are not in the index, and why: a page of them at a time, and all of them as CSV."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from simsearch.records import Skipped
from simsearch.report.machine import csv_line
from simsearch.ui.pages.collection.tables import table

PAGE = 50


def show(skipped: Sequence[Skipped], key: str) -> None:
    """A table of skipped files."""
    if not skipped:
        st.caption("No image was skipped.")
        return
    pages = (len(skipped) + PAGE - 1) // PAGE
    page = st.pagination(pages, key=f"{key}.page.{pages}") if pages > 1 else 1
    table(
        ("File", "Why", "Tried again"),
        ((item.path, item.reason, again(item)) for item in skipped[(page - 1) * PAGE : page * PAGE]),
    )
    st.download_button(
        "Download the list (CSV)",
        lambda: csv(skipped),
        file_name="skipped.csv",
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
    )


def again(item: Skipped) -> str:
    """When a skipped file is read again."""
    return "every time" if item.transient else "when it changes"


def csv(skipped: Sequence[Skipped]) -> bytes:
    """A header and a line for each file; the bytes of names are kept."""
    rows = ((item.path, item.reason, again(item)) for item in skipped)
    return b"".join([csv_line(("path", "reason", "tried_again")), *map(csv_line, rows)])
