"""What was done earlier with this index, and the way back from each."""

from __future__ import annotations

import shlex

import streamlit as st

from simsearch.dedup.acts.records import Run
from simsearch.dedup.acts.runs import list_runs
from simsearch.report.duplicates.words import counted
from simsearch.ui import look
from simsearch.ui.pages.duplicates.acting.outcome import DID, tell, undo_button
from simsearch.ui.pages.duplicates.deciding.session import Session
from simsearch.ui.pages.duplicates.finding import Found
from simsearch.ui.shared import Library

SHOWN = 30
_STATES = {
    "planned": "only planned, nothing was done",
    "undone": "undone",
    "purged": "purged",
    "damaged": "its records cannot be read",
}
_BACK = ("applied", "partly")


def show(lib: Library, found: Found | None, session: Session) -> None:
    """All runs, the newest first."""
    tell(lib, found, session)
    runs = list_runs(lib.index)
    if not runs:
        st.write("Nothing was done with copies of this index yet.")
        return
    pages = (len(runs) + SHOWN - 1) // SHOWN
    page = st.number_input(f"Page, of {pages}", 1, pages, 1) if pages > 1 else 1
    for run in runs[(page - 1) * SHOWN : page * SHOWN]:
        with st.container(border=True):
            with st.container(horizontal=True, vertical_alignment="center"):
                st.markdown(look.plain(_words(run)), width="stretch")
                if run.state in _BACK:
                    undo_button(lib, found, session, run.run, key=f"duplicates.undo.{run.run}")
    flag = f" -i {shlex.quote(str(lib.index.path))}"
    st.markdown(
        "What was set aside takes its room until it is purged. That gives it to the system's trash, for good "
        "as far as simsearch can tell, so it is done in a terminal and not here. A run that was interrupted "
        "goes on by the second command."
    )
    st.code(f"simsearch purge RUN{flag}\nsimsearch dedup --apply RUN{flag}", language=None, wrap_lines=True)


def _words(run: Run) -> str:
    when = run.when.replace("T", " ").replace("Z", " UTC")
    state = _STATES.get(run.state, run.state)
    if run.state in _BACK:
        what = f"{counted(run.files, 'file')} {DID.get(run.action, '')}".strip()
        state = f"{what}, {look.size_of(run.bytes)}{'; partly done' if run.state == 'partly' else ''}"
    return f"{when}: {state} ({run.run})"
