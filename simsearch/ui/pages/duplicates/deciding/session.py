"""What one visitor decided so far and is looking at, for each index; gone with the visit."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import streamlit as st

from simsearch.dedup.acts.records import ActReport
from simsearch.dedup.records import DuplicateGroup
from simsearch.ui.pages.duplicates.acting.carrying import Done
from simsearch.ui.pages.duplicates.acting.working import Work
from simsearch.ui.pages.duplicates.deciding.decisions import Decision, chosen
from simsearch.ui.pages.duplicates.deciding.laying import Lay
from simsearch.ui.pages.duplicates.finding import Found

GROUPS, SUMMARY, LOOK, TEACH, RUNS = "Groups", "Summary", "Look", "Teach", "History"
_SESSIONS = "duplicates.sessions"


@dataclass(slots=True)
class Session:
    """A visit to the duplicates of one index.

    Attributes:
        decisions: by key of the group.
        view: what is shown, one of the five above.
        base, shown: what was shown last by other means than choosing it, and how many times that was done.
        at: key of the group that is looked at; None for the list.
        level, order, page: which groups the list shows.
        first: number of the first member that is shown of a large group.
        heard: number of the last act of the browser that was taken in.
        work: an act on files that goes on.
        last: what the last act did; None where it was taken back.
        undone: what the last undo did.
        problem: why the last act ended early.
        lays: how the second picture of a pair lies on the first, by key of the pair.
        taught: answers about the pairs that the job `pairs` found, by number of the pair.
    """

    decisions: dict[str, Decision] = field(default_factory=dict)
    view: str = GROUPS
    base: str = GROUPS
    shown: int = 0
    at: str | None = None
    level: str | None = None
    order: str = "bytes"
    page: int = 0
    first: int = 0
    heard: int = 0
    work: Work | None = None
    last: Done | None = None
    undone: ActReport | None = None
    problem: str | None = None
    taught: dict[int, str] = field(default_factory=dict)
    pairs: str = ""
    lays: dict[str, Lay] = field(default_factory=dict)

    def listed(self, groups: dict[str, DuplicateGroup]) -> list[str]:
        """Keys of the groups in the list, in its order."""
        return chosen(groups, self.level, self.order)

    def show(self, view: str) -> None:
        """Make another view the one that is shown next."""
        self.view = self.base = view
        self.shown += 1

    def open_group(self, key: str | None) -> None:
        """Look at one group, or at the list."""
        self.at, self.first = key, 0

    def decided(self, found: Found) -> dict[str, tuple[DuplicateGroup, Decision]]:
        """The groups that were decided and are still open, with what was decided."""
        groups = found.open_groups()
        return {key: (groups[key], said) for key, said in self.decisions.items() if key in groups}


def session_of(index: Path) -> Session:
    """The visit of this session to an index."""
    sessions: dict[Path, Session] = st.session_state.setdefault(_SESSIONS, {})
    return sessions.setdefault(index.resolve(), Session())
