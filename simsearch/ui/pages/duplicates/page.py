"""The page on copies: which of its views is shown, and what of the last click is taken in first."""

from __future__ import annotations

import streamlit as st

from simsearch.report.duplicates.threshold.curve import calibration_line
from simsearch.report.duplicates.words import counted, spare, threshold_words
from simsearch.ui import look
from simsearch.ui.jobs import showing
from simsearch.ui.jobs.job import RUNNING
from simsearch.ui.pages.duplicates import asking, finding, teach
from simsearch.ui.pages.duplicates.acting import outcome, runs, summary, working
from simsearch.ui.pages.duplicates.deciding import listing
from simsearch.ui.pages.duplicates.deciding.desk import Desk
from simsearch.ui.pages.duplicates.deciding.session import (
    GROUPS,
    LOOK,
    RUNS,
    SUMMARY,
    TEACH,
    Session,
    session_of,
)
from simsearch.ui.pages.duplicates.finding import Found
from simsearch.ui.parts.sidebyside import acts_of, side_by_side
from simsearch.ui.shared import Library

_DESK, _VIEW = "duplicates.desk", "duplicates.view"


def show(lib: Library) -> None:
    """The page. Raises SimsearchError for what the index or its verdicts cannot be asked."""
    st.title("Duplicates", anchor=False)
    index = lib.index.path
    session = session_of(index)
    outcome.take_in(session, finding.last_found(index))
    if session.work is None:
        # Begun in another window, or in this one before it was loaded again.
        session.work = working.going_on(index)
    if session.work is not None:
        # What is not shown is forgotten by Streamlit, such as the choice of the view.
        session.show(session.view)
        working.show(session.work)
        return
    job = finding.job_of(index)
    if job is not None:
        showing.show(job, what="Looking for copies")
        if job.state().phase == RUNNING:
            session.show(session.view)
            return
    found = finding.last_found(index)
    view = _view(session, found)
    if view == LOOK or (view == GROUPS and found is None):
        asking.show(lib, session)
    elif view == RUNS:
        runs.show(lib, found, session)
    elif view == TEACH:
        teach.show(lib, session)
    elif found is not None and view == SUMMARY:
        summary.show(lib, found, session)
    elif found is not None:
        _groups(lib, found, session)


def _view(session: Session, found: Found | None) -> str:
    """The view that was chosen."""
    views = [GROUPS, SUMMARY, LOOK, TEACH, RUNS] if found is not None else [LOOK, TEACH, RUNS]
    if session.view not in views or session.base not in views:
        session.show(session.view if session.view in views else views[0])
    decided = 0 if found is None else len(session.decided(found))

    def words(view: str) -> str:
        if view == SUMMARY and decided:
            return f"{view} ({decided:,})"
        return view

    # One that a button showed makes a new choice, since a browser may still tell of the last. No callback: it
    # would hear of choices that are gone.
    session.view = st.segmented_control(
        "View",
        views,
        default=session.base,
        key=f"{_VIEW}.{session.shown}",
        format_func=words,
        label_visibility="collapsed",
        required=True,
    )
    return session.view


def _groups(lib: Library, found: Found, session: Session) -> None:
    """The list, or the group that is looked at."""
    _take_in(lib, found, session)
    if session.at is not None and session.at in found.open_groups():
        side_by_side(Desk(lib, found, session, session.at).data(), key=_DESK)
        return
    session.at = None
    outcome.tell(lib, found, session)
    st.markdown(_in_all(found))
    if found.report.calibration is not None:
        st.markdown(look.plain(calibration_line(found.report.calibration)))
    if found.report.failed:
        st.markdown(f"{len(found.report.failed):,} pictures could not be read, and nothing is said of them.")
    listing.show(lib, found, session)


def _in_all(found: Found) -> str:
    report, groups = found.report, found.open_groups()
    copies = [photo.bytes for photo in spare(groups.values())]
    words = f"Among {counted(report.photos, 'picture')} there are {counted(len(copies), 'copy', 'copies')} "
    words += f"of {look.size_of(sum(copies))} in {counted(len(groups), 'group')} to decide about."
    if found.options.reach != "exact":
        words += f" Copies begin at a score of {threshold_words(report.threshold)}."
    if report.silenced:
        words += f" {counted(report.silenced, 'group')} not shown, as you said earlier."
    return words


def _take_in(lib: Library, found: Found, session: Session) -> None:
    """Do what the keys and buttons of the desk said since."""
    for act in acts_of(_DESK, after=session.heard):
        session.heard = act["n"]
        # One that was meant for a group that is not on the desk any more came too late.
        if session.at is not None and session.at == act.get("key") and session.at in found.open_groups():
            Desk(lib, found, session, session.at).take_in(act)
