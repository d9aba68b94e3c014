"""Starts jobs and finds them again: one of a kind for an index at a time, shared by all sessions."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from simsearch.errors import IndexLocked
from simsearch.ui.jobs.job import RUNNING, Job

if TYPE_CHECKING:
    from simsearch.dedup.records import Doubt, DuplicateReport
    from simsearch.records import IndexReport, VerifyReport, ViewInfo
    from simsearch.ui.jobs.looking import Look

KEPT = 64
"""So many jobs are remembered; of those that have ended, the oldest are forgotten first."""

_lock = threading.Lock()
_jobs: dict[tuple[str, Path], Job] = {}


def start_index(
    folders: Sequence[str], index: Path, *, model: str | None = None, retry_skipped: bool = False
) -> Job:
    """Index what is below `folders`, or the folders of the index again when there are none.

    Args:
        folders: absolute paths.
        index: folder of the index, which is made when it is not there.
        model: of a new index; None is "auto".
        retry_skipped: read again what was skipped for a permanent reason.

    Raises IndexLocked when other work of this kind runs for the index, as all `start_…` do.
    """
    task = {"folders": list(folders), "model": model, "retry_skipped": retry_skipped}
    return _start("index", index, task)


def start_dedup(index: Path, options: Mapping[str, object]) -> Job:
    """Look for copies. `options`: the fields of `simsearch.dedup.options.DedupOptions`, or some of them.

    `scope` and `policy` are mappings as well; `dataclasses.asdict` of the options is all of this.
    """
    return _start("dedup", index, {"options": dict(options)})


def start_pairs(index: Path, options: Mapping[str, object], *, wanted: int = 10) -> Job:
    """Look for pairs of which a person's answer would help most. `options`: as for `start_dedup`."""
    return _start("pairs", index, {"options": dict(options), "wanted": wanted})


def start_verify(index: Path, *, deep: bool = False) -> Job:
    """Check an index; `deep` reads every photo again."""
    return _start("verify", index, {"deep": deep})


def start_rebuild(index: Path, *, view: str = "auto", robust: bool = False) -> Job:
    """Make the search view anew, see `simsearch.engine.maintenance.view.rebuild`."""
    return _start("rebuild", index, {"view": view, "robust": robust})


def start_look(folder: Path) -> Job:
    """Count the photos below a folder, and estimate how long they take."""
    return _start("look", folder, {"folder": str(folder)})


def current(kind: str, index: Path) -> Job | None:
    """The job of this kind for this index (of kind "look": for this folder) that runs or was the last."""
    with _lock:
        return _jobs.get((kind, index.resolve()))


def running(kind: str, index: Path) -> Job | None:
    """Like `current`, only while it runs."""
    job = current(kind, index)
    return job if job is not None and job.state().phase == RUNNING else None


def forget(job: Job) -> None:
    """Let go of a job that has ended, and of what came out of it."""
    with _lock:
        for key in [key for key, known in _jobs.items() if known is job and _over(known)]:
            del _jobs[key]


def index_report(job: Job) -> IndexReport:
    """What a job of kind "index" did. Raises SimsearchError unless it is done, as all of these do."""
    from simsearch.records import IndexReport

    return job.result(IndexReport)


def dedup_report(job: Job) -> DuplicateReport:
    """What a job of kind "dedup" found."""
    from simsearch.dedup.records import DuplicateReport

    return job.result(DuplicateReport)


def doubts(job: Job) -> tuple[Doubt, ...]:
    """What a job of kind "pairs" found."""
    from simsearch.dedup.records import Doubt

    return job.result(tuple[Doubt, ...])


def verify_report(job: Job) -> VerifyReport:
    """What a job of kind "verify" found."""
    from simsearch.records import VerifyReport

    return job.result(VerifyReport)


def view_info(job: Job) -> ViewInfo:
    """The view that a job of kind "rebuild" made."""
    from simsearch.records import ViewInfo

    return job.result(ViewInfo)


def looked(job: Job) -> Look:
    """What a job of kind "look" saw."""
    from simsearch.ui.jobs.looking import Look

    return job.result(Look)


def _start(kind: str, place: Path, facts: Mapping[str, object]) -> Job:
    place = place.resolve()
    task = {"kind": kind, "index": str(place), **facts}
    with _lock:
        known = _jobs.get((kind, place))
        if known is not None and not _over(known):
            if known.task == task:
                return known
            raise IndexLocked(
                f"Other work of this kind is going on at {place} already, perhaps in another window. "
                "Wait until it is done, or cancel it."
            )
        _jobs.pop((kind, place), None)
        job = _jobs[kind, place] = Job(task)
        ended = [key for key, other in _jobs.items() if _over(other)]
        for key in ended[: max(0, len(_jobs) - KEPT)]:
            del _jobs[key]
        return job


def _over(job: Job) -> bool:
    return job.state().phase != RUNNING
