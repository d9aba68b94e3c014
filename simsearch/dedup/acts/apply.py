"""Carries out a plan: each file checked again, each step in the journal before and after it."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from simsearch.dedup.acts.disk import facts as disk
from simsearch.dedup.acts.disk import rows
from simsearch.dedup.acts.disk.places import Places, free_names
from simsearch.dedup.acts.disk.renaming import make_folder, missing_folders
from simsearch.dedup.acts.disk.steps import perform, refusal, restore
from simsearch.dedup.acts.journal import Journal
from simsearch.dedup.acts.planning.checking import (
    check_mounted,
    check_plan,
    company_objection,
    is_picture,
    place_objection,
)
from simsearch.dedup.acts.planning.companions import Folders
from simsearch.dedup.acts.records import (
    LINKS,
    ActReport,
    FileFacts,
    Left,
    Plan,
    PlannedFile,
    PlannedGroup,
    PlannedMerge,
    Step,
)
from simsearch.dedup.acts.runs import command, journal_path, over, report_of, save_plan, stopped
from simsearch.engine.index import Index
from simsearch.errors import ActRefused, ActStopped, SimsearchError
from simsearch.paths import text
from simsearch.storage import catalog
from simsearch.storage.lock import WriterLock

Progress = Callable[[int, int], None]


def apply_plan(index: Index, plan: Plan, *, yes: bool, progress: Progress | None = None) -> ActReport:
    """Do what a plan says, or go on with it where it was interrupted.

    Each file and what stays for it is read again just before: what is not as it was is left and reported.
    Rows of files that went are forgotten.

    Args:
        yes: that a person has seen the plan.
        progress: is told (files done, files in all).

    Raises ActRefused before anything was touched, RootMissing likewise (an unmounted disk?), ActStopped where
    the disk refuses in the middle, IndexLocked, PlanUnreadable for a damaged journal.
    """
    if not yes:
        raise ActRefused(
            f"{plan.files} files would go; nothing was touched. Look at the plan, then run again with --yes."
        )
    with WriterLock(index.path):
        with index.database.read() as connection:
            roots = [root.path for root in catalog.read_roots(connection)]
        places = Places(roots, plan.run, None if plan.to is None else os.fsencode(plan.to))
        check_plan(plan, places, index.path)
        save_plan(index.path, plan)
        with Journal(journal_path(index.path, plan.run)) as journal:
            if journal.history.phase not in ("", "applied"):
                raise over(index.path, plan.run, journal.history.phase)
            left: tuple[Left, ...] = ()
            if journal.history.phase != "applied":
                check_mounted(plan, places, begun=bool(journal.history.run))
                left = _Applying(index, plan, places, journal, progress).run()
            return report_of(journal.history, left)


@dataclass(frozen=True, slots=True)
class _Part:
    """One file of a unit: what it is, where it goes, what stays for it."""

    facts: FileFacts
    target: str
    keeper: FileFacts


@dataclass(slots=True)
class _Applying:
    index: Index
    plan: Plan
    places: Places
    journal: Journal
    progress: Progress | None
    keepers: disk.Keepers = field(default_factory=disk.Keepers)
    folders: Folders = field(default_factory=Folders)
    merges: dict[str, PlannedMerge] = field(init=False)
    """By path of the keeper."""

    def __post_init__(self) -> None:
        self.merges = {group.keep: group.merge for group in self.plan.groups if group.merge is not None}

    def run(self) -> tuple[Left, ...]:
        left: list[Left] = []
        done = 0
        try:
            self.journal.begin(self.plan.run, self.plan.action, os.fspath(self.index.path))
            for group in self.plan.groups:
                for file in group.files:
                    reason = self._unit(group, file)
                    left += [] if reason is None else [Left(file.facts.path, reason)]
                    done += 1
                    if self.progress is not None:
                        self.progress(done, self.plan.files)
            self._forget()
            self.journal.enter_phase("applied")
        except OSError as exc:
            raise self._stopped(exc) from exc
        except BaseException:
            with contextlib.suppress(SimsearchError):
                self._forget()
            raise
        return tuple(left)

    def _forget(self) -> None:
        gone = [s.source for s in self.journal.history.in_state("done") if s.what in ("rename", "carry")]
        rows.forget(self.index, gone)

    def _stopped(self, exc: OSError) -> ActStopped:
        with contextlib.suppress(SimsearchError):
            self._forget()
        done = sum(step.picture for step in self.journal.history.in_state("done"))
        run, path = self.plan.run, self.index.path
        return stopped(
            exc,
            f"{done} of {self._pictures()} files are done, and nothing is lost",
            f"go on with: {command('dedup --apply', run, path)}",
            f"take back what was done with: {command('undo', run, path)}",
        )

    def _pictures(self) -> int:
        """How many pictures the plan takes, those that go with another one too."""
        files = [file for group in self.plan.groups for file in group.files]
        beside = (companion for file in files for companion in file.companions)
        return len(files) + sum(is_picture(companion.facts) for companion in beside)

    def _unit(self, group: PlannedGroup, file: PlannedFile) -> str | None:
        """A picture with its company, all or nothing; why it was left."""
        parts = [_Part(c.facts, c.target, c.keeper or file.keeper) for c in file.companions]
        # The picture goes last: where it is gone, all that belongs to it is.
        parts.append(_Part(file.facts, file.target, file.keeper))
        states = self.journal.history.states
        pending = [part for part in parts if (s := self._step(part)) is None or states[s.number] != "done"]
        if not pending:
            return None
        reason = self._objection(file, pending) or self._merges(group, parts)
        if reason is None:
            fresh = [part for part in pending if self._step(part) is None]
            names = free_names([os.fsencode(part.target) for part in fresh], ()) if fresh else []
            named = {part.facts.path: text(name) for part, name in zip(fresh, names, strict=True)}
            for part in pending:
                reason = self._act(replace(part, target=named.get(part.facts.path, part.target)))
                if reason is not None:
                    break
        if reason is not None:
            self._put_back(parts)
        return reason

    def _objection(self, file: PlannedFile, pending: Sequence[_Part]) -> str | None:
        for part in pending:
            step = self._step(part)
            reason = place_objection(self.plan.action, part.facts, part.target, self.places)
            went = step is not None and disk.is_at(step.target, part.facts)
            half = step is not None and step.what == "carry" and os.path.lexists(part.facts.path)
            if reason is None and (half or not went):
                reason = disk.objection(part.facts)
            if reason is not None:
                return reason if part.facts is file.facts else f"{part.facts.path}: {reason}"
            place = step.target if step is not None and went else part.facts.path
            reason = self.keepers.objection(part.keeper, place)
            if reason is not None:
                return reason
        return None if self.plan.action in LINKS else company_objection(file, self.folders.family)

    def _act(self, part: _Part) -> str | None:
        what = {"set-aside": "rename", "move": "rename"}.get(self.plan.action, self.plan.action)
        path, kept = os.fsencode(part.facts.path), os.fsencode(part.keeper.path)
        step = self._step(part) or Step(
            len(self.journal.history.steps) + 1,
            what,
            part.facts.path,
            part.target,
            part.facts,
            part.keeper,
            is_picture(part.facts),
            self.places.link_text(path, kept) if what == "symlink" else None,
        )
        reason = self._do(step)
        if reason is disk.OTHER_DISK and step.what == "rename" and self.plan.action == "move":
            return self._do(replace(step, number=len(self.journal.history.steps) + 1, what="carry"))
        return reason

    def _do(self, step: Step, data: bytes = b"") -> str | None:
        """A step between its two lines; why it was not done after all."""
        trash = self._trash(step)
        if trash is None:
            return "it would go to a place that is not of this run"
        try:
            self._make(trash, None)
            self.journal.enter_trash(trash)
            self._make(os.path.dirname(os.fsencode(step.target)), trash)
        except OSError as exc:
            if exc.errno == errno.ENAMETOOLONG:
                return disk.TOO_LONG
            raise
        if step.number not in self.journal.history.steps:
            self.journal.intend(step, trash)
        try:
            perform(step, self.plan.run, data)
        except OSError as exc:
            taken = exc.errno == errno.EEXIST
            if taken and step.facts is not None and disk.is_at(step.target, step.facts):
                return f"something else has taken its place meanwhile; it stays at {step.target}"
            reason = refusal(step, exc)
            # A call that failed late may have done its part, which is taken back first.
            if reason is None or (restore(step, self.plan.run, sure=False) is not None and not taken):
                raise
            self.journal.mark("undone", step.number, trash)
            return reason
        self.journal.mark("done", step.number, trash)
        if step.facts is not None and not disk.is_at(step.target, step.facts):
            # Another file took the place of the one that was looked at, in the moment before the rename.
            return disk.CHANGED
        return None

    def _merges(self, group: PlannedGroup, parts: Sequence[_Part]) -> str | None:
        """Write the sidecars that get notes of a unit's pictures, of each half of a shot its own."""
        for part in parts:
            keep = group.keep if part is parts[-1] else part.keeper.path
            merge = self.merges.get(keep) if is_picture(part.facts) else None
            reason = None if merge is None else self._merge(merge, part.keeper)
            if reason is not None:
                return reason
        return None

    def _merge(self, merge: PlannedMerge, keeper: FileFacts) -> str | None:
        before = merge.before
        known = self._known(merge.sidecar, merge=True)
        digest = hashlib.sha256(merge.xmp).hexdigest()
        if known is not None and known.text != digest:
            return f"the keeper's sidecar {merge.sidecar} got the notes of another group; make a new plan"
        if known is not None and self.journal.history.states[known.number] == "done":
            return None
        if known is None:
            reason = disk.objection(before) if before is not None else None
            if reason is not None or (before is None and os.path.lexists(merge.sidecar)):
                return f"the keeper's sidecar {merge.sidecar} has changed since the plan was made"
        [target] = free_names([os.fsencode(merge.target)], ())
        step = known or Step(
            len(self.journal.history.steps) + 1,
            "merge",
            merge.sidecar,
            text(target),
            before,
            keeper,
            False,
            digest,
        )
        return self._do(step, merge.xmp)

    def _put_back(self, parts: Sequence[_Part]) -> None:
        """Take back what was done of a unit that cannot go as a whole."""
        for part in reversed(parts):
            step = self._step(part)
            if step is not None:
                sure = self.journal.history.states[step.number] == "done"
                if restore(step, self.plan.run, sure=sure) is None:
                    self.journal.mark("undone", step.number, self._trash(step))

    def _make(self, folder: bytes, trash: bytes | None) -> None:
        for missing in missing_folders(folder):
            self.journal.write({"kind": "folder", "path": text(missing)}, trash)
            make_folder(missing)

    def _step(self, part: _Part) -> Step | None:
        """The step that was begun or done with a file."""
        return self._known(part.facts.path, merge=False)

    def _known(self, source: str, *, merge: bool) -> Step | None:
        number = self.journal.history.begun.get((source, merge))
        return None if number is None else self.journal.history.steps[number]

    def _trash(self, step: Step) -> bytes | None:
        return self.places.trash_for(os.fsencode(step.target))
