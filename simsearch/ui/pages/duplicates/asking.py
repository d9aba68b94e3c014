"""What a search for copies is asked: one button for the usual, and all options below it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import streamlit as st

from simsearch.dedup.grouping.keeper import DEFAULT, KeeperPolicy
from simsearch.dedup.grouping.scope import Scope
from simsearch.dedup.options import AUTO, DedupOptions
from simsearch.dedup.verify.classifier import shipped
from simsearch.errors import SimsearchError
from simsearch.report.duplicates.words import threshold_words
from simsearch.ui import look
from simsearch.ui.jobs.showing import duration
from simsearch.ui.pages.duplicates import finding
from simsearch.ui.pages.duplicates.deciding.session import GROUPS, Session
from simsearch.ui.shared import Library

_REACHES = {
    "near": "Copies, edited or not: resized, cropped, turned, recoloured …",
    "exact": "Only the same bytes and the same pixels",
    "similar": "Also other shots of one scene, which are no copies",
}
_FOLDERS = {"any": "Any two files", "across": "Never two of one folder", "same": "Only two of one folder"}
_THRESHOLDS = {"shipped": "The usual one", AUTO: "Worked out on these pictures", "own": "A number of mine"}
_KEEP = {
    "resolution": "more pixels",
    "metadata": "more noted about it",
    "bytes": "larger file",
    "oldest": "oldest",
}
_KEPT = "duplicates.asked"
_SECONDS = {"near": 0.06, "similar": 0.06, "exact": 0.004}
"""A picture, on two cores, when nothing of it is known yet."""


def show(lib: Library, session: Session) -> None:
    """Explain what a search does, and begin one when that is said."""
    number = len(lib.index)
    st.write(
        f"Looks for files among the {number:,} indexed pictures that show the same one, and proposes which "
        "to keep. Looking changes no photo, and you decide about every group before anything happens."
    )
    options = _options()
    reach = "near" if options is None else options.reach
    seconds = number * _SECONDS[reach] * 2 / max(1, os.cpu_count() or 1)
    st.markdown(
        f"The first time this takes {duration(seconds)}, since each picture is read once. After that only "
        "new ones are. It goes on when you leave the page."
    )
    asked = st.button("Look for copies", type="primary", icon=":material/search:", disabled=options is None)
    if asked and options is not None:
        _begin(lib.index.path, session, options)


def usual() -> DedupOptions:
    """The options as they were last asked for, or the usual ones."""
    asked = st.session_state.get(_KEPT)
    return asked if isinstance(asked, DedupOptions) else DedupOptions()


def _begin(index: Path, session: Session, options: DedupOptions) -> None:
    try:
        finding.start(index, options)
    except SimsearchError as exc:
        look.problem(str(exc))
        return
    st.session_state[_KEPT] = options
    session.show(GROUPS)
    session.open_group(None)
    st.rerun()


def _options() -> DedupOptions | None:
    """The options as the form has them; None where they mean nothing, which is said."""
    before = usual()
    with st.expander("Options"):
        reach = st.radio(
            "What to look for",
            list(_REACHES),
            format_func=_REACHES.__getitem__,
            index=list(_REACHES).index(before.reach),
        )
        threshold, precision = _threshold(before) if reach != "exact" else (None, 0.99)
        scope = _scope(before.scope)
        policy = _policy(before.policy)
        try:
            return DedupOptions(
                reach,
                threshold,
                precision,
                Scope(**scope),
                KeeperPolicy(**policy, reference=scope["reference"]),
            )
        except SimsearchError as exc:
            problem = str(exc)
    look.problem(problem)
    return None


def _threshold(before: DedupOptions) -> tuple[float | str | None, float]:
    """The threshold and, for one that is worked out, its precision."""
    own = before.threshold
    known = "shipped" if own is None else AUTO if own == AUTO else "own"
    which = st.radio(
        "From which score on two pictures are copies",
        list(_THRESHOLDS),
        horizontal=True,
        format_func=_THRESHOLDS.__getitem__,
        index=list(_THRESHOLDS).index(known),
        help="A score is the probability that two pictures are copies. What lies a little lower is shown as "
        "probably a copy and is never set aside.",
    )
    if which == AUTO:
        share = st.number_input(
            "Of 1,000 pairs that are called copies, so many have to be",
            500,
            999,
            round(before.precision * 1000),
            help="Edited copies of 10 to 40 of your pictures are made in memory and looked for. Your answers "
            "in Teach count too.",
        )
        return AUTO, share / 1000
    if which == "own":
        value = own if isinstance(own, float) else shipped().threshold
        usual_one = threshold_words(shipped().threshold)
        return float(
            st.number_input(
                f"Score (the usual one is {usual_one})", 0.01, 1.0, round(value, 4), 0.001, format="%.4f"
            )
        ), before.precision
    return None, before.precision


def _scope(before: Scope) -> dict[str, Any]:
    left, right = st.columns(2)
    within = left.text_area("Only below these folders, one a line", "\n".join(before.within), height=80)
    reference = right.text_area(
        "Folders that are never touched, one a line",
        "\n".join(before.reference),
        height=80,
        help="Other files are held against theirs. Of two files in them nothing is said.",
    )
    folders = st.radio(
        "Which files are held against each other",
        list(_FOLDERS),
        horizontal=True,
        format_func=_FOLDERS.__getitem__,
        index=list(_FOLDERS).index(before.folders),
    )
    return {"within": _lines(within), "folders": folders, "reference": _lines(reference)}


def _policy(before: KeeperPolicy) -> dict[str, Any]:
    policies = st.multiselect(
        "What to keep, the first that differs decides",
        list(DEFAULT),
        [*before.policies] or list(DEFAULT),
        format_func=_KEEP.__getitem__,
    )
    left, right = st.columns(2)
    prefer = left.text_area(
        "Keep what lies below these folders, one a line", "\n".join(before.prefer), height=80
    )
    pattern = right.text_input(
        "Keep what has a name like this",
        " ".join(before.pattern),
        placeholder="*original*",
    )
    return {"policies": tuple(policies), "prefer": _lines(prefer), "pattern": (pattern,) if pattern else ()}


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.splitlines() if line.strip())
