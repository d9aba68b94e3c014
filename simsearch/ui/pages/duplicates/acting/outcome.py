"""What was done in this visit, what was left and why, and the way back."""

from __future__ import annotations

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from simsearch.dedup.acts.records import ActReport, Left
from simsearch.report.duplicates.acts import holding
from simsearch.report.duplicates.words import counted
from simsearch.report.names import visible
from simsearch.ui import look
from simsearch.ui.pages.duplicates.acting import working
from simsearch.ui.pages.duplicates.acting.carrying import Done, forget, take_back
from simsearch.ui.pages.duplicates.deciding.session import Session
from simsearch.ui.pages.duplicates.finding import Found
from simsearch.ui.parts.sidebyside import plan_list
from simsearch.ui.shared import Library

DID = {
    "set-aside": "set aside",
    "move": "moved",
    "hardlink": "replaced by hard links",
    "symlink": "replaced by symbolic links",
}
SHOWN = 60


def take_in(session: Session, found: Found | None) -> None:
    """Note what an act that is over did."""
    work = session.work
    if work is None or not work.is_over:
        return
    session.work, session.problem = None, work.error
    # Files may be elsewhere now, also where it ended early.
    st.session_state.pop("duplicates.draft", None)
    if isinstance(work.result, Done):
        session.last = work.result
        session.undone = None
        left = {} if found is None else session.decided(found)
        session.decisions = {key: said for key, (_, said) in left.items()}
    elif isinstance(work.result, ActReport):
        session.undone = work.result
        session.last = None


def tell(lib: Library, found: Found | None, session: Session) -> None:
    """Say what was done last, and offer to take it back."""
    if session.problem is not None:
        look.problem(session.problem)
        st.markdown("What was begun can be undone in History.")
    if session.undone is not None:
        _tell_undone(session, session.undone)
    if session.last is not None:
        _tell_done(lib, found, session, session.last)


def undo_button(lib: Library, found: Found | None, session: Session, run: str, *, key: str) -> None:
    """A button that takes a run back."""
    if st.button("Undo", key=key, icon=":material/undo:"):
        session.work = working.begin(
            lib.index.path, "Putting files back", lambda told: take_back(lib.index, found, run, told)
        )
        st.rerun()


def _tell_done(lib: Library, found: Found | None, session: Session, done: Done) -> None:
    report = done.report
    with st.container(border=True):
        if report is not None:
            beside = f" and {counted(report.companions, 'file')} beside them" if report.companions else ""
            with _row():
                st.markdown(
                    f"**Done:** {counted(report.files, 'copy', 'copies')}{beside} {DID[report.action]}, "
                    f"{look.size_of(report.bytes)}.",
                    width="stretch",
                )
                undo_button(lib, found, session, report.run, key="duplicates.undo.last")
            for folder in holding(report.trash):
                st.markdown(look.plain(f"They lie in {folder}"))
            _left(report.left)
        if done.verdicts:
            with _row():
                words = f"**Remembered:** {counted(done.verdicts, 'answer')}, in verdicts\\.db of the index."
                st.markdown(words, width="stretch")
                if st.button(
                    "Take the answers back",
                    help="Forgets all that was ever said about these pictures, and lists their groups again.",
                ):
                    forget(lib.index, found, done.answered)
                    session.last = None if report is None else Done(report, frozenset(), 0)
                    st.rerun()
        _close(session)


def _tell_undone(session: Session, report: ActReport) -> None:
    with st.container(border=True):
        st.markdown(f"**Undone:** {counted(report.files, 'picture')} put back, {look.size_of(report.bytes)}.")
        _left(report.left)
        _close(session)


def _row() -> DeltaGenerator:
    return st.container(horizontal=True, vertical_alignment="center")


def _close(session: Session) -> None:
    def close() -> None:
        session.last = session.undone = session.problem = None

    st.button("Close", on_click=close, type="tertiary", icon=":material/close:")


def _left(left: tuple[Left, ...]) -> None:
    if not left:
        return
    rows = [
        {"what": "Left", "path": visible(item.path), "note": visible(item.reason), "kind": "stays"}
        for item in left[:SHOWN]
    ]
    more = f", of which these are the first {SHOWN}" if len(left) > SHOWN else ""
    plan_list([{"title": f"{counted(len(left), 'file')} left{more}", "rows": rows}], key="duplicates.left")
