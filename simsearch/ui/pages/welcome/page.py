"""What a first visit sees: what simsearch is, and how to make the first index."""

from __future__ import annotations

import shlex
from pathlib import Path

import streamlit as st

from simsearch.errors import SimsearchError
from simsearch.paths import resolve_index
from simsearch.ui import folders, look
from simsearch.ui.jobs import running, showing
from simsearch.ui.pages.welcome import looking

_MODEL, _REFUSED = "welcome.model", "welcome.refused"


def show() -> None:
    """Ask for a folder, say what it holds, and index it."""
    with st.container(width=760):
        _show()


def _show() -> None:
    st.title("Find photos that look alike", anchor=False)
    st.text(
        "simsearch looks at every photo of a folder once and remembers what it looks like. "
        "Then it finds, for any picture, the photos that look most like it, and the copies of one photo, "
        "however they are called."
    )
    index = resolve_index()
    refused = st.session_state.pop(_REFUSED, None)
    if refused is not None:
        look.problem(refused)
    job = running.current("index", index)
    if job is not None:
        showing.show(job, what="Indexing")
        if running.running("index", index) is not None:
            return
    if not folders.may_choose():
        st.info(
            "This simsearch can be seen from other machines, so folders are not chosen here. At the machine "
            "itself, make an index with the command:"
        )
        st.code(f"simsearch index FOLDER -i {shlex.quote(str(index))}", language=None, wrap_lines=True)
        return
    st.header("Which photos?", anchor=False)
    folder = _folder()
    if folder is not None:
        looking.show(folder)
        with st.expander("Model"):
            model = _model()
        st.button(
            "Index these photos",
            type="primary",
            icon=":material/play_arrow:",
            on_click=_start,
            args=(folder, index, model),
        )
    folders.browse("welcome")
    st.caption(
        "Your photos stay where they are, are only read, and do not leave this machine. "
        f"The index is made at {look.plain(str(index))}"
    )


def _folder() -> Path | None:
    try:
        return folders.choose("welcome")
    except SimsearchError as exc:
        look.problem(str(exc))
        return None


def _model() -> str:
    from simsearch.models.registry import list_backbones

    names = ["auto", *(backbone.name for backbone in list_backbones())]
    model = st.selectbox("What looks at the photos", names, key=_MODEL)
    st.caption(
        "auto is resnet50. When its weights are not on this machine and cannot be fetched, "
        "efficientnet_lite2 is used, which comes with simsearch. An index keeps its model."
    )
    return str(model)


def _start(folder: Path, index: Path, model: str) -> None:
    looking.stop(folder)
    try:
        running.start_index([str(folder)], index, model=model)
    except SimsearchError as exc:
        st.session_state[_REFUSED] = str(exc)
