"""The last search for copies of each index: what it found, by which options, and what was answered since."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from simsearch.dedup.options import DedupOptions
from simsearch.dedup.records import DuplicateGroup, DuplicateReport
from simsearch.ui.jobs import running
from simsearch.ui.jobs.job import DONE, Job
from simsearch.ui.pages.duplicates.deciding.decisions import key_of


@dataclass(frozen=True, slots=True)
class Found:
    """One search and what is known beside it; any number of sessions read it at once.

    Attributes:
        job: names the job that found it.
        report: what it found.
        options: what it was asked.
        groups: the groups by `key_of`, in the report's order.
        answered: by key of a group, the run by which it was answered; "" where no file went.
        worked_out: what costs time and is asked again, by what it is of.
    """

    job: str
    report: DuplicateReport
    options: DedupOptions
    groups: Mapping[str, DuplicateGroup]
    answered: dict[str, str] = field(default_factory=dict)
    worked_out: dict[tuple[str, ...], Any] = field(default_factory=dict)

    def open_groups(self) -> dict[str, DuplicateGroup]:
        """The groups that were not answered yet."""
        with _lock:
            return {key: group for key, group in self.groups.items() if key not in self.answered}

    def answer(self, keys: Mapping[str, str]) -> None:
        """Take groups off the list, each by a run or ""."""
        with _lock:
            self.answered.update(keys)

    def reopen(self, run: str) -> None:
        """Put the groups back on the list that this run took off."""
        self._reopen(lambda _, by: by == run)

    def reopen_about(self, contents: frozenset[bytes]) -> None:
        """Put the groups of these contents back on the list of which no file went."""

        def are_about(key: str) -> bool:
            return any(bytes.fromhex(photo.sha256) in contents for photo in self.groups[key].photos)

        self._reopen(lambda key, by: not by and are_about(key))

    def _reopen(self, which: Callable[[str, str], bool]) -> None:
        with _lock:
            for key in [key for key, by in self.answered.items() if which(key, by)]:
                del self.answered[key]


_lock = threading.RLock()
_found: dict[Path, Found] = {}
_asked: dict[str, DedupOptions] = {}


def start(index: Path, options: DedupOptions) -> Job:
    """Begin a search. Raises IndexLocked where another one runs with other options."""
    job = running.start_dedup(index, asdict(options))
    with _lock:
        _asked[job.id] = options
    return job


def job_of(index: Path) -> Job | None:
    """The search that runs or was the last; one that is done is in `last_found`, and not here."""
    job = running.current("dedup", index)
    return None if job is None or job.state().phase == DONE else job


def last_found(index: Path) -> Found | None:
    """What the last search that came to its end found; kept while the server runs."""
    place = index.resolve()
    job = running.current("dedup", place)
    with _lock:
        known = _found.get(place)
        if job is None or job.state().phase != DONE or (known is not None and known.job == job.id):
            return known
        report = running.dedup_report(job)
        groups = {key_of(group): group for group in report.groups}
        _found[place] = Found(job.id, report, _asked.get(job.id, DedupOptions()), groups)
        return _found[place]
