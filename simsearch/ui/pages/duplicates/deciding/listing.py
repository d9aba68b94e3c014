"""The groups as a list: which ones, in which order, and a page of them at a time."""

from __future__ import annotations

import math
from collections import Counter

import streamlit as st

from simsearch.dedup.records import LEVELS, DuplicateGroup
from simsearch.report.duplicates.words import counted, group_words, score_words
from simsearch.report.names import visible
from simsearch.ui.look import size_of
from simsearch.ui.pages.duplicates.deciding import decisions as deciding
from simsearch.ui.pages.duplicates.deciding.desk import status
from simsearch.ui.pages.duplicates.deciding.facts import thumbnail_of
from simsearch.ui.pages.duplicates.deciding.heading import headed
from simsearch.ui.pages.duplicates.deciding.session import SUMMARY, Session
from simsearch.ui.pages.duplicates.finding import Found
from simsearch.ui.parts.sidebyside import groups_list
from simsearch.ui.shared import Library

ON_A_PAGE, THUMBNAILS = 12, 5
ORDERS = {"bytes": "Most bytes to gain", "certainty": "Most certain", "path": "Folder and name"}


def show(lib: Library, found: Found, session: Session) -> None:
    """The list, and what can be done with all of it."""
    groups = found.open_groups()
    _choosing(groups, session)
    listed = session.listed(groups)
    if not listed:
        st.write("No group is left here." if groups else "Nothing is left to decide.")
        return
    pages = math.ceil(len(listed) / ON_A_PAGE)
    session.page = min(session.page, pages - 1)
    page = listed[session.page * ON_A_PAGE : (session.page + 1) * ON_A_PAGE]
    opened = groups_list([_row(lib, found, session, key) for key in page], key="duplicates.list")
    if opened in groups:
        session.open_group(opened)
        st.rerun()
    if pages > 1:
        _paging(session, pages)


def _choosing(groups: dict[str, DuplicateGroup], session: Session) -> None:
    counts = Counter(group.level for group in groups.values())
    levels: list[str | None] = [None, *(level for level in LEVELS if counts[level])]
    if session.level not in levels:
        session.level = None

    def words(level: str | None) -> str:
        name = "All" if level is None else group_words(level).capitalize()
        return f"{name} ({len(groups) if level is None else counts[level]:,})"

    left, middle, right = st.columns([2, 2, 3], vertical_alignment="bottom")
    level = left.selectbox("Level", levels, index=levels.index(session.level), format_func=words)
    order = middle.selectbox(
        "Order", list(ORDERS), index=list(ORDERS).index(session.order), format_func=ORDERS.__getitem__
    )
    if (level, order) != (session.level, session.order):
        session.level, session.order, session.page = level, order, 0
    exact = deciding.exact_ones(groups, session.decisions)
    with right:
        with st.container(horizontal=True, horizontal_alignment="right"):
            st.button(
                f"Accept all exact ones ({len(exact):,})",
                key="duplicates.exact",
                disabled=not exact,
                help="Accept what is proposed for every group of the same bytes or the same pixels. "
                "Nothing happens before you say so in the summary.",
                on_click=session.decisions.update,
                args=(exact,),
            )
            decided = sum(key in groups for key in session.decisions)
            st.button(
                f"Summary ({decided:,} decided)",
                key="duplicates.summary",
                type="primary",
                disabled=not decided,
                on_click=session.show,
                args=(SUMMARY,),
            )


def _row(lib: Library, found: Found, session: Session, key: str) -> dict[str, object]:
    group = found.groups[key]
    said = session.decisions.get(key)
    score = f"score from {score_words(group.min_score)} on" if group.min_score < 1 else ""
    gain = deciding.gain(group)
    facts = [counted(len(group.photos), "file"), f"{size_of(gain)} to gain" if gain else "", score]
    words = "" if said is None else status(headed(lib.index, found, group, said.keep), said, said)
    return {
        "key": key,
        "title": group_words(group.level).capitalize(),
        "facts": ", ".join(fact for fact in facts if fact),
        "keep": visible(group.keep),
        "why": visible(group.why),
        "thumbs": [thumbnail_of(lib, photo) for photo in group.photos[:THUMBNAILS]],
        "more": max(0, len(group.photos) - THUMBNAILS),
        "status": words,
    }


def _paging(session: Session, pages: int) -> None:
    def turn(by: int) -> None:
        session.page += by

    with st.container(horizontal=True, horizontal_alignment="center", vertical_alignment="center"):
        st.button("Previous page", disabled=session.page == 0, on_click=turn, args=(-1,))
        st.text(f"Page {session.page + 1} of {pages}")
        st.button("Next page", disabled=session.page == pages - 1, on_click=turn, args=(1,))
