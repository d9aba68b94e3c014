"""Says what a folder holds before it is indexed: a job that counts and measures, and its outcome in words."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from simsearch.ui.jobs import running, showing
from simsearch.ui.jobs.job import DONE

if TYPE_CHECKING:
    from simsearch.ui.jobs.looking import Look

_LAST = "welcome.looked"


def show(folder: Path) -> None:
    """What the folder holds and how long it will take; counted when it is first asked for."""
    before = st.session_state.get(_LAST)
    if before is not None and before != folder:
        stop(before)
    st.session_state[_LAST] = folder
    job = running.current("look", folder) or running.start_look(folder)
    showing.show(job, what="Looking at the folder")
    if job.state().phase == DONE:
        for line in in_words(running.looked(job)):
            st.text(line)
        st.button("Count again", key="welcome.again", on_click=running.forget, args=(job,), type="tertiary")


def stop(folder: Path) -> None:
    """A look that nobody waits for any more ends."""
    job = running.running("look", folder)
    if job is not None:
        job.cancel()


def in_words(seen: Look) -> list[str]:
    """What was seen, in one to three lines."""
    if not seen.photos:
        return ["There seem to be no photos in this folder. Choose another one."]
    least = "" if seen.whole else "at least "
    lines = [
        f"This folder seems to hold {least}{seen.photos:,} photo{'s' * (seen.photos != 1)}. "
        f"Indexing takes {showing.duration(seen.seconds)}{'' if seen.whole else ' or more'}."
    ]
    other = seen.files - seen.photos
    if other:
        lines.append(
            "1 other file is looked into as well, in case it is a picture."
            if other == 1
            else f"{other:,} other files are looked into as well, in case they are pictures."
        )
    if not seen.at_hand:
        lines.append(
            f"The weights of {seen.model} are not on this machine. They are fetched once; where that fails, "
            "efficientnet_lite2 is used, which comes with simsearch. The time is that of the latter."
        )
    return lines
