"""What can be done for the index on its page: index again, add a folder, check, rebuild; each is a job."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import streamlit as st

from simsearch.errors import SimsearchError
from simsearch.ui import folders, look
from simsearch.ui.jobs import running, showing
from simsearch.ui.jobs.job import DONE, Job
from simsearch.ui.pages.collection import words
from simsearch.ui.pages.collection.tables import table

KINDS = {"index": "Indexing", "rebuild": "Rebuilding", "verify": "Checking"}
VIEWS = {
    "auto": "as it is best for so many photos",
    "exact": "exact: compare every photo",
    "ivf": "ivf: quicker for many photos",
    "hnsw": "hnsw: quicker still, with five times the memory",
}
PROBLEMS = 50
_REFUSED = "collection.refused"


def jobs(index: Path) -> None:
    """What is going on, and what came out of what was last done."""
    refused = st.session_state.pop(_REFUSED, None)
    if refused is not None:
        look.problem(refused)
    for kind, what in KINDS.items():
        job = running.current(kind, index)
        if job is None:
            continue
        showing.show(job, what=what)
        if job.state().phase == DONE:
            with showing.ended(job):
                _outcome(job)


def busy(index: Path) -> bool:
    """Whether something is being written."""
    return any(running.running(kind, index) for kind in ("index", "rebuild"))


def again(index: Path) -> None:
    """Buttons that bring the index up to date."""
    with st.container(horizontal=True):
        st.button(
            "Index again",
            icon=":material/refresh:",
            type="primary",
            disabled=busy(index),
            help="Visits these folders again and reads what is new or changed.",
            on_click=_start,
            args=(running.start_index, (), index),
        )
    with st.expander("Add a folder"):
        if not folders.may_choose():
            st.caption("This simsearch can be seen from other machines: add folders at the machine itself.")
            st.code(f"simsearch index FOLDER -i {words.quoted(index)}", language=None, wrap_lines=True)
            return
        _add(index)


def upkeep(index: Path) -> None:
    """Check and rebuild."""
    left, right = st.columns(2, gap="large")
    with left:
        st.text("Check compares every byte of the index that counts with its checksum. It changes nothing.")
        deep = st.checkbox("Also read every photo again", key="collection.deep")
        st.button(
            "Check the index",
            icon=":material/fact_check:",
            disabled=running.running("verify", index) is not None,
            on_click=_start,
            args=(running.start_verify, index),
            kwargs={"deep": deep},
        )
    with right:
        st.text("Rebuild makes the way of searching anew. No photo is read again.")
        view = st.selectbox(
            "How to search", list(VIEWS), format_func=VIEWS.__getitem__, key="collection.view"
        )
        robust = st.checkbox("Search harder, for pictures unlike those of the index", key="collection.robust")
        st.button(
            "Rebuild",
            icon=":material/build:",
            disabled=busy(index),
            on_click=_start,
            args=(running.start_rebuild, index),
            kwargs={"view": view, "robust": robust},
        )


def _add(index: Path) -> None:
    try:
        folder = folders.choose("collection")
    except SimsearchError as exc:
        look.problem(str(exc))
        folder = None
    folders.browse("collection")
    st.button(
        "Add and index it",
        disabled=folder is None or busy(index),
        on_click=_start,
        args=(running.start_index, (str(folder),), index),
    )


def _start(start: Callable[..., Job], *arguments: object, **options: object) -> None:
    """Start a job from a button; why it cannot be is said when the page is run."""
    try:
        start(*arguments, **options)
    except SimsearchError as exc:
        st.session_state[_REFUSED] = str(exc)


def _outcome(job: Job) -> None:
    if job.kind == "index":
        report = running.index_report(job)
        st.success(look.plain(words.indexed(report)), icon=":material/check:")
        if report.gone:
            st.caption("What is gone is kept in the index until it is told to forget it; see below.")
    elif job.kind == "rebuild":
        st.success(look.plain(f"Rebuilt. {words.searched(running.view_info(job))}."), icon=":material/check:")
    else:
        _checked(job)


def _checked(job: Job) -> None:
    found = running.verify_report(job)
    if found.ok:
        st.success(look.plain(words.checked(found)), icon=":material/check:")
        return
    st.warning(look.plain(words.checked(found)), icon=":material/warning:")
    table(
        ("File", "Problem", "What mends it"),
        ((problem.file, problem.what, problem.mend) for problem in found.problems[:PROBLEMS]),
    )
    if len(found.problems) > PROBLEMS:
        st.caption(f"and {len(found.problems) - PROBLEMS:,} more: simsearch verify lists them all")
