"""A job on a page: how far it is, what it said, and a button that stops it."""

from __future__ import annotations

import html
from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from simsearch.report.names import visible
from simsearch.ui import look
from simsearch.ui.jobs.job import CANCELLED, FAILED, RUNNING, Job, JobState
from simsearch.ui.jobs.running import forget

_EVERY = 0.7
_SHOWN = 5


def show(job: Job, *, what: str) -> None:
    """A running job live, until it ends and the page is run again; of an ended one, why it is not done.

    Of a job that is done nothing is shown: that is for the page. `what` says what it does, e.g. "Indexing".
    """
    state = job.state()
    if state.phase == RUNNING:
        st.fragment(_live, run_every=_EVERY)(job, what)
    elif state.phase == FAILED:
        with ended(job):
            look.problem(state.error or "")
    elif state.phase == CANCELLED:
        with ended(job):
            kept = (
                "" if job.kind == "look" else " What was finished is kept; the next time goes on from there."
            )
            st.info(look.plain(f"{what} was cancelled.{kept}"), icon=":material/info:")


@contextmanager
def ended(job: Job) -> Iterator[None]:
    """A place for what came of a job, with a button that puts it away."""
    with st.container():
        yield
        st.button(
            "Close",
            key=f"simsearch.close.{job.id}",
            icon=":material/close:",
            type="tertiary",
            on_click=forget,
            args=(job,),
        )


def _live(job: Job, what: str) -> None:
    state = job.state()
    if state.phase != RUNNING:
        st.rerun()
    # Of what has no known whole the bar stays empty, and the numbers grow.
    share = min(1.0, state.done / state.total) if state.total else 0.0
    with st.container(border=True):
        st.progress(share, text=look.plain(f"{what}: {progress_words(state, what)}"))
        if state.notes:
            # Not Markdown, which makes links of addresses that were only told of.
            lines = (f"<div>{html.escape(visible(line))}</div>" for line in state.notes[-_SHOWN:])
            st.html(f'<div style="font-size: .875rem">{"".join(lines)}</div>')
        with st.container(horizontal=True, vertical_alignment="center"):
            st.button(
                "Stopping …" if state.stopping else "Cancel",
                key=f"simsearch.cancel.{job.id}",
                disabled=state.stopping,
                on_click=job.cancel,
            )
            if job.kind != "look":
                st.caption("It goes on when this page is closed, and stops when simsearch does.")


def progress_words(state: JobState, what: str = "") -> str:
    """How far a job is: "reading, 120 of 400, 8.1 a second, about 35 seconds left, 2 skipped".

    The stage is left out where `what` has said it.
    """
    if not state.stage:
        return "starting"
    stage = "" if state.stage == what.lower() else f"{state.stage}, "
    if state.total is None:
        words = [f"{stage}{state.done:,} so far" if state.done else state.stage]
    else:
        words = [f"{stage}{state.done:,} of {state.total:,}"]
    if state.per_second:
        words.append(f"{state.per_second:,.1f} a second")
    if state.seconds_left is not None:
        words.append(f"{duration(state.seconds_left)} left")
    if state.skipped:
        words.append(f"{state.skipped:,} skipped")
    return ", ".join(words)


def duration(seconds: float) -> str:
    """A time that is not known exactly: "about 35 seconds", "about 12 minutes", "about 1.5 hours"."""
    if seconds < 90:
        count = max(1, round(seconds))
        return f"about {count} second{'s' * (count != 1)}"
    if seconds < 5400:
        return f"about {round(seconds / 60)} minutes"
    return f"about {seconds / 3600:.1f} hours"
