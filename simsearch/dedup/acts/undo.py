"""Takes a run back: from its journal in the index, or from a trash folder alone."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

from simsearch.dedup.acts.disk import rows
from simsearch.dedup.acts.disk.facts import is_at
from simsearch.dedup.acts.disk.places import NOTES, trash_of
from simsearch.dedup.acts.disk.renaming import drop_folder
from simsearch.dedup.acts.disk.steps import restore
from simsearch.dedup.acts.journal import History, Journal, read_history, trash_above
from simsearch.dedup.acts.records import RUN, ActReport, FileFacts, Left, Step
from simsearch.dedup.acts.runs import command, journal_path, report_of, run_folder, stopped
from simsearch.engine.index import Index
from simsearch.errors import ActRefused, IndexUnwritable, NotIndexed, PlanUnreadable, SimsearchError
from simsearch.paths import canonical, join, relative, text
from simsearch.storage import catalog
from simsearch.storage.lock import WriterLock

Progress = Callable[[int, int], None]


def undo(index: Index | None, run: str | os.PathLike[str], *, progress: Progress | None = None) -> ActReport:
    """Bring everything back that a run took away, as far as it is there; again after an interruption.

    Every file gets its old name by a rename, so that its times, permissions, attributes and inode are what
    they were; one that was moved to another disk is copied back and compared. Nothing that has come to lie
    at an old place is replaced: such a file stays where it is and is reported. Rows are entered again where
    the index still has the vectors. What was purged comes back once the system's trash has restored it.

    Args:
        index: None where it is lost and `run` is a folder of a trash.
        run: the name of a run of `index`, or its folder in a trash, `.../.simsearch-trash/<run>`. Such a
            folder brings files back to below the folder that holds the trash and to folders of `index` only.
            Where the journal of the run's index is there, the whole run is undone by that.

    Raises NotIndexed for a run that is not there, ActRefused for one that was purged or never begun and for
    files from elsewhere, ActStopped where the disk refuses, PlanUnreadable for a damaged journal,
    IndexLocked.
    """
    name = os.fspath(run)
    if index is not None and RUN.fullmatch(name):
        if not os.path.isdir(run_folder(index.path, name)):
            raise NotIndexed(f"{index.path} has no run {name}. See them with: simsearch undo")
        with WriterLock(index.path), Journal(journal_path(index.path, name), lenient=True) as journal:
            if not journal.history.run:
                raise ActRefused(
                    f"The run {name} is only planned: nothing of it was done, and there is nothing to undo. "
                    f"Do it with: {command('dedup --apply', name, index.path)}"
                )
            return _Undoing(journal, command("undo", name, index.path), index, progress).run()
    folder = canonical(name)
    home = trash_above(folder)
    if home is None or not os.path.isdir(folder):
        raise NotIndexed(
            f"{name} is neither a run nor a folder of one in a trash. See them with: simsearch undo"
        )
    return _from_trash(index, folder, home, progress)


def _from_trash(index: Index | None, folder: bytes, home: bytes, progress: Progress | None) -> ActReport:
    """Undo by a folder of a trash, and by the journal of its index where that is there."""
    run, notes = os.path.basename(text(folder)), os.path.join(folder, NOTES)
    told = read_history(notes)
    owner = _owner(index, told, run)
    with ExitStack() as held:
        for place in {path for path in (owner, None if index is None else index.path) if path is not None}:
            held.enter_context(WriterLock(place))
        path = notes if owner is None else journal_path(owner, run)
        journal = held.enter_context(Journal(path, lenient=True))
        history = replace(journal.history, home=told.home).rebased(text(home))
        history.trash = history.trash if owner is not None else [text(folder)]
        if owner is None or index is None or owner != index.path:
            history = _within(
                history, home, index, command("undo", run, owner) if owner is not None else None
            )
        if not history.run:
            return _without_notes(folder, run)
        journal.history = history
        words = command("undo", text(folder), None if index is None else index.path)
        return _Undoing(journal, words, index, progress).run()


def _owner(index: Index | None, notes: History, run: str) -> Path | None:
    """The index whose journal tells of this trash: the one that is open, or the one that the notes name."""
    if notes.home is None:
        return None
    trash = text(trash_of(os.fsencode(notes.home), run))
    named = [] if notes.index is None else [Path(notes.index)]
    for path in named if index is None else [index.path, *named]:
        # Where its journal is damaged or behind a link, the notes have to do.
        with suppress(PlanUnreadable, IndexUnwritable):
            if trash in read_history(journal_path(path, run)).trash:
                return path
    return None


def _within(history: History, home: bytes, index: Index | None, advice: str | None) -> History:
    """A run of which nobody but a trash tells, and who made that is not known: it may do nothing elsewhere.

    Files come from below `home`, the folder with the trash, and go back to below that or a folder of the
    index that is open, but for the index itself. Raises ActRefused.
    """
    roots: list[bytes] = []
    if index is not None:
        with index.database.read() as connection:
            roots = [root.path for root in catalog.read_roots(connection)]
    for step in history.steps.values():
        for place, allowed in ((step.target, [home]), (step.source, [home, *roots])):
            folder, name = os.path.split(os.fsencode(place))
            real = join(canonical(folder), name)
            inside = any(relative(real, top) for top in allowed)
            if not inside or (index is not None and relative(real, canonical(index.path)) is not None):
                raise ActRefused(
                    f"This trash tells of {place}, which lies outside of {text(home)}, and nothing was "
                    "touched: a trash alone puts files back below its own folder only. Undo it with an index "
                    f"of the folder where they were: {advice or 'simsearch undo FOLDER -i INDEX'}"
                )
    folders = [folder for folder in history.folders if relative(os.fsencode(folder), home)]
    trash = [t for t in history.trash if relative(raw := os.fsencode(t), home) and trash_above(raw)]
    return replace(history, folders=folders, trash=trash)


def _without_notes(folder: bytes, run: str) -> ActReport:
    """A folder of a trash without a journal: one that a crash left empty goes, any other is refused."""
    clear_trash(folder)
    if os.path.lexists(folder):
        raise ActRefused(
            f"{text(folder)} has no journal ({text(NOTES)}), and nothing was touched. Each file in it lies "
            "by the path that it had: move it back by hand."
        )
    return ActReport(run, "", "undone", 0, 0, 0, (), ())


class _Undoing:
    """Takes back what a journal tells, as far as it is not purged.

    `again` is the command by which this goes on after an interruption.
    """

    def __init__(self, journal: Journal, again: str, index: Index | None, progress: Progress | None) -> None:
        self._journal, self._again, self._index, self._progress = journal, again, index, progress
        self._restored: list[FileFacts] = []
        gone = (s for s in journal.history.in_state("purge", "purged") if s.what != "merge")
        self._gone = Counter(step.keeper.path for step in gone)
        """By what was kept for them, how many copies are purged."""

    def run(self) -> ActReport:
        history = self._journal.history
        purged = list(history.in_state("purged"))
        # The system puts what is restored from its trash where it was: into the trash of the run.
        back = [step for step in purged if step.facts is not None and is_at(step.target, step.facts)]
        if history.phase == "purged" and not back:
            raise ActRefused(
                f"The run {history.run} was purged, and nothing was touched. What the system's trash still "
                f"has it restores to the hidden folder {' or '.join(history.trash)}; from there it comes "
                f"back to its place with: {self._again}"
            )
        if history.phase != "undone":
            self._journal.enter_phase("undoing")
        back += [step for step in purged if step.facts is None]
        numbers = {step.number for step in (*history.in_state("intent", "done", "undo", "purge"), *back)}
        left = [Left(step.source, "it was purged") for step in purged if step.number not in numbers]
        todo = [history.steps[number] for number in sorted(numbers, reverse=True)]
        try:
            for done, step in enumerate(todo, 1):
                left += self._take_back(step)
                if self._progress is not None:
                    self._progress(done, len(todo))
            self._clear()
        except OSError as exc:
            self._remember()
            how_far = f"{len(self._restored)} files are back, and nothing is lost"
            raise stopped(exc, how_far, f"go on with: {self._again}") from exc
        except BaseException:
            with suppress(SimsearchError):
                self._remember()
            raise
        self._remember()
        if not left:
            self._journal.enter_phase("undone")
        return report_of(history, left, "undone")

    def _take_back(self, step: Step) -> list[Left]:
        journal = self._journal
        sure, gone = step.number in journal.history.done, journal.history.states[step.number]
        if step.what == "merge" and self._gone[step.keeper.path]:
            return [Left(step.source, "copies were purged, so what they told stays in the sidecar")]
        journal.mark("undo", step.number)
        reason = restore(step, self._journal.history.run, sure=sure)
        if reason is not None:
            return [Left(step.source, reason)]
        journal.mark("undone", step.number)
        if step.what != "merge":
            self._gone[step.keeper.path] -= gone in ("purge", "purged")
            if step.facts is not None:
                self._restored.append(step.facts)
        return []

    def _remember(self) -> None:
        if self._index is not None:
            # Those too that came back in an earlier try, which may have been killed before this. A move
            # to another disk may have two steps.
            undone = self._journal.history.in_state("undone")
            facts = [step.facts for step in undone if step.what != "merge" and step.facts is not None]
            rows.remember(self._index, [*{each.path: each for each in facts}.values()])

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
