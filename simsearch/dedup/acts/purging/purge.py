"""Purges a run: what was set aside goes to the system's trash, or is deleted, if what stays still stays."""

from __future__ import annotations

import os
from collections.abc import Callable

from simsearch.dedup.acts.disk.facts import Keepers, is_at
from simsearch.dedup.acts.disk.renaming import remove_name
from simsearch.dedup.acts.journal import Journal
from simsearch.dedup.acts.purging import system_trash
from simsearch.dedup.acts.records import ActReport, Left, Step
from simsearch.dedup.acts.runs import command, journal_path, report_of, run_folder, stopped
from simsearch.dedup.acts.undo import clear_trash
from simsearch.engine.index import Index
from simsearch.errors import ActRefused, NotIndexed
from simsearch.storage.disk.durable import sync_names
from simsearch.storage.lock import WriterLock

Progress = Callable[[int, int], None]


def purge(
    index: Index, run: str, *, permanently: bool = False, progress: Progress | None = None
) -> ActReport:
    """Give what a run set aside to the system's trash, or delete it; again after an interruption.

    Before each file what was kept in its stead is looked at once more: where that is gone or has changed,
    the file is left and reported, since it may be the last of its kind.

    Args:
        permanently: delete instead.

    Raises NotIndexed for a run that is not there, ActRefused for one that is not applied, or that moved
    files to a folder, ExtraMissing without send2trash, ActStopped where the disk refuses, IndexLocked.
    """
    if not os.path.isdir(run_folder(index.path, run)):
        raise NotIndexed(f"{index.path} has no run {run}. See them with: simsearch undo")
    with WriterLock(index.path), Journal(journal_path(index.path, run)) as journal:
        history = journal.history
        if history.phase not in ("applied", "purging", "purged"):
            raise ActRefused(
                f"The run {run} is not applied ({history.state}), so nothing of it was purged. "
                f"Apply it first: {command('dedup --apply', run, index.path)}; or take it back: "
                f"{command('undo', run, index.path)}"
            )
        if history.action == "move":
            raise ActRefused(
                f"The run {run} moved its files to a folder; nothing of it is in a trash. Nothing was purged."
            )
        if not permanently:
            system_trash.check()
        try:
            left = _purge(journal, permanently, progress)
        except OSError as exc:
            for_good = command("purge --permanently", run, index.path)
            ways = [f"go on with: {for_good if permanently else command('purge', run, index.path)}"]
            if isinstance(exc, system_trash.TrashRefused):
                ways.append(f"delete for good with: {for_good}")
            raise stopped(exc, "What is not purged is still set aside", *ways) from exc
        return report_of(history, left, "purged")


def _purge(journal: Journal, permanently: bool, progress: Progress | None) -> list[Left]:
    history, keepers = journal.history, Keepers()
    if history.phase != "purged":
        journal.enter_phase("purging")
    # What the keeper's sidecar was goes last: as long as no copy is purged, all of a merge can be undone.
    todo = sorted(history.in_state("done", "purge"), key=lambda step: step.what == "merge")
    left: list[Left] = []
    for done, step in enumerate(todo, 1):
        reason = _objection(step, keepers, begun=history.states[step.number] == "purge")
        if reason is not None:
            left.append(Left(step.target, reason))
        else:
            _dispose(journal, step, permanently)
        if progress is not None:
            progress(done, len(todo))
    for trash in history.trash:
        clear_trash(os.fsencode(trash))
    if not left:
        journal.enter_phase("purged")
    return left


def _objection(step: Step, keepers: Keepers, *, begun: bool) -> str | None:
    if not os.path.lexists(step.target):
        if begun or step.facts is None:
            return None
        return "it is not where it was set aside"
    if step.facts is None or not is_at(step.target, step.facts):
        return "it is not the file that was set aside"
    return keepers.objection(step.keeper, step.target)


def _dispose(journal: Journal, step: Step, permanently: bool) -> None:
    journal.mark("purge", step.number)
    if os.path.lexists(step.target):
        if permanently:
            remove_name(os.fsencode(step.target))
        else:
            system_trash.give(step.target)
            sync_names(os.path.dirname(os.fsencode(step.target)))
    journal.mark("purged", step.number)
