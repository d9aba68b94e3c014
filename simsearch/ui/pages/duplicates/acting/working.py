"""Acts on files beside the pages, so that no click and no closed tab stops one in the middle."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st

from simsearch.errors import IndexLocked, SimsearchError
from simsearch.ui import look

Progress = Callable[[int, int], None]


class Work:
    """One act in a thread of its own; any thread may read how far it is.

    Attributes:
        what: what is done, for a person.
        done, total: how far it is; 0 in all while that is not known.
        error: why it ended early, in words.
        result: what came of it.
    """

    def __init__(self, what: str, act: Callable[[Progress], Any]) -> None:
        self.what = what
        self.done, self.total = 0, 0
        self.error: str | None = None
        self.result: Any = None
        self._act = act
        # Where the server ends meanwhile, an act's journal is what it goes on from or is undone by.
        self._thread = threading.Thread(target=self._run, name=what, daemon=True)

    @property
    def is_over(self) -> bool:
        """Whether it has ended, well or not."""
        return not self._thread.is_alive()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wait(self, seconds: float) -> bool:
        """Wait until it is over, at most so long; whether it is."""
        self._thread.join(seconds)
        return self.is_over

    def _run(self) -> None:
        try:
            self.result = self._act(self._told)
        except SimsearchError as exc:
            self.error = str(exc)
        except Exception:
            logging.getLogger(__name__).exception("%s failed", self.what)
            self.error = (
                "Something went wrong that simsearch knows nothing of. What was begun can be undone in "
                "History; what it was is in the terminal that simsearch runs in."
            )

    def _told(self, done: int, total: int) -> None:
        self.done, self.total = done, total


_lock = threading.Lock()
_works: dict[Path, Work] = {}


def begin(index: Path, what: str, act: Callable[[Progress], Any]) -> Work:
    """Start an act on the files of an index. Raises IndexLocked while another one is going on."""
    place = index.resolve()
    with _lock:
        known = _works.get(place)
        if known is not None and not known.is_over:
            raise IndexLocked(
                f"{known.what} is going on already, perhaps in another window. Wait until it is done."
            )
        work = _works[place] = Work(what, act)
        work.start()
        return work


def going_on(index: Path) -> Work | None:
    """The act on the files of an index that goes on now, whoever began it."""
    with _lock:
        work = _works.get(index.resolve())
    return None if work is None or work.is_over else work


def show(work: Work) -> None:
    """How far an act is, until it is over and the page is run again."""
    # Most are over before anybody could read anything.
    if work.wait(0.3):
        st.rerun()
    st.fragment(_live, run_every=0.5)(work)


def _live(work: Work) -> None:
    if work.is_over:
        st.rerun()
    share = min(1.0, work.done / work.total) if work.total else 0.0
    count = f": {work.done:,} of {work.total:,}" if work.total else " …"
    st.progress(share, text=look.plain(f"{work.what}{count}"))
