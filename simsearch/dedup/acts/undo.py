"""Takes a run back: from its journal in the index, or from a trash folder alone."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import nullcontext

from simsearch.dedup.acts.disk import rows
from simsearch.dedup.acts.disk.places import NOTES
from simsearch.dedup.acts.disk.renaming import drop_folder
from simsearch.dedup.acts.disk.steps import restore
from simsearch.dedup.acts.journal import Journal, trash_above
from simsearch.dedup.acts.records import RUN, ActReport, FileFacts, Left, Step
from simsearch.dedup.acts.runs import journal_path, report_of, run_folder
from simsearch.engine.index import Index
from simsearch.errors import ActRefused, ActStopped, NotIndexed
from simsearch.paths import canonical, join, relative
from simsearch.storage.lock import WriterLock

Progress = Callable[[int, int], None]


def undo(index: Index | None, run: str | os.PathLike[str], *, progress: Progress | None = None) -> ActReport:
    """Bring everything back that a run took away, as far as it is not purged; again after an interruption.

    Every file gets its old name by a rename, so that its times, permissions, attributes and inode are what
    they were; one that was moved to another disk is copied back and compared. Nothing that has come to lie
    at an old place is replaced: such a file stays where it is and is reported. Rows are entered again where
    the index still has the vectors.

    Args:
        index: None where it is lost and `run` is a folder of a trash.
        run: the name of a run of `index`, or its folder in a trash, `.../.simsearch-trash/<run>`.

    Raises NotIndexed for a run that is not there, ActRefused for one that was purged, ActStopped where the
    disk refuses, PlanUnreadable for a damaged journal, IndexLocked.
    """
    name = os.fspath(run)
    if index is not None and RUN.fullmatch(name):
        if not os.path.isdir(run_folder(index.path, name)):
            raise NotIndexed(f"{index.path} has no run {name}. See them with: simsearch undo")
        with WriterLock(index.path), Journal(journal_path(index.path, name), lenient=True) as journal:
            return _Undoing(journal, name, index, progress).run()
    folder = canonical(name)
    home = trash_above(folder)
    if home is None or not os.path.isdir(folder):
        raise NotIndexed(
            f"{name} is neither a run nor a folder of one in a trash. See them with: simsearch undo"
        )
    with WriterLock(index.path) if index is not None else nullcontext():
        with Journal(os.path.join(folder, NOTES), lenient=True) as journal:
            history = journal.history = journal.history.rebased(os.fsdecode(home))
            history.trash = [os.fsdecode(folder)]
            history.folders = [f for f in history.folders if relative(os.fsencode(f), home)]
            for step in history.steps.values():
                _stay_inside(step, home, history.action)
            return _Undoing(journal, os.path.basename(os.fsdecode(folder)), index, progress).run()


def _stay_inside(step: Step, home: bytes, action: str) -> None:
    """Raises ActRefused for a step that leads out of the folder whose trash tells of it."""
    places = [step.target] if action == "move" else [step.source, step.target]
    for place in places:
        folder, name = os.path.split(os.fsencode(place))
        if not relative(join(canonical(folder), name), home):
            raise ActRefused(
                f"This trash tells of {place}, which lies outside of {os.fsdecode(home)}. Nothing was "
                "touched; undo it from the index: simsearch undo RUN"
            )


class _Undoing:
    def __init__(self, journal: Journal, run: str, index: Index | None, progress: Progress | None) -> None:
        self._journal, self._run, self._index, self._progress = journal, run, index, progress
        self._restored: list[FileFacts] = []

    def run(self) -> ActReport:
        history = self._journal.history
        if history.phase == "purged":
            raise ActRefused(
                f"The run {self._run} was purged. What went to the system's trash can be restored from there."
            )
        if history.phase != "undone" and history.run:
            self._journal.enter_phase("undoing")
        todo = list(history.in_state("intent", "done", "undo", "purge"))[::-1]
        left = [Left(step.source, "it was purged") for step in history.in_state("purged")]
        try:
            for done, step in enumerate(todo, 1):
                left += self._take_back(step)
                if self._progress is not None:
                    self._progress(done, len(todo))
            self._clear()
        except OSError as exc:
            self._remember()
            where = f" ({os.fsdecode(exc.filename)})" if exc.filename is not None else ""
            raise ActStopped(
                f"Stopped: {exc.strerror or exc}{where}. {len(self._restored)} files are back, and nothing "
                f"is lost. Mend that and go on with: simsearch undo {self._run}"
            ) from exc
        self._remember()
        if history.run and not left:
            self._journal.enter_phase("undone")
        return report_of(history, left, "undone")

    def _take_back(self, step: Step) -> list[Left]:
        journal = self._journal
        sure = step.number in journal.history.done
        if step.what == "merge" and self._is_purged_for(step.keeper.path):
            return [Left(step.source, "copies were purged, so what they told stays in the sidecar")]
        journal.mark("undo", step.number)
        reason = restore(step, self._run, sure=sure)
        if reason is not None:
            return [Left(step.source, reason)]
        journal.mark("undone", step.number)
        if step.facts is not None and step.what != "merge":
            self._restored.append(step.facts)
        return []

    def _is_purged_for(self, keeper: str) -> bool:
        """Whether a copy for which this file was kept cannot come back."""
        gone = self._journal.history.in_state("purge", "purged")
        return any(step.what != "merge" and step.keeper.path == keeper for step in gone)

    def _remember(self) -> None:
        if self._index is not None:
            rows.remember(self._index, self._restored)

    def _clear(self) -> None:
        """Remove the folders that the run made and that are empty now, and its notes in empty trashes."""
        history = self._journal.history
        for trash in history.trash:
            clear_trash(os.fsencode(trash))
        for folder in reversed(history.folders):
            drop_folder(os.fsencode(folder))


def clear_trash(folder: bytes) -> None:
    """Remove a run's folder from a trash where nothing is in it any more but its notes."""
    for place, _, _ in os.walk(folder, topdown=False):
        if place != folder:
            drop_folder(place)
    if os.path.isdir(folder) and set(os.listdir(folder)) <= {NOTES}:
        if os.path.lexists(os.path.join(folder, NOTES)):
            os.unlink(os.path.join(folder, NOTES))
        drop_folder(folder)
    # Also where a crash came in between: it holds nothing, or is not removed.
    drop_folder(os.path.dirname(folder))
