"""Decisions -> a plan; a plan -> verdicts written and files set aside; and a run taken back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from simsearch.dedup.acts.apply import apply_plan
from simsearch.dedup.acts.plan import make_plan
from simsearch.dedup.acts.records import ActReport, Left, Plan, PlanOptions
from simsearch.dedup.acts.undo import undo
from simsearch.dedup.records import DuplicateGroup
from simsearch.dedup.verdicts import Verdicts
from simsearch.engine.index import Index
from simsearch.ui.pages.duplicates.acting.working import Progress
from simsearch.ui.pages.duplicates.deciding.decisions import SET_ASIDE, Answers, Decision, answers, to_plan
from simsearch.ui.pages.duplicates.deciding.heading import headed
from simsearch.ui.pages.duplicates.finding import Found

Decided = Mapping[str, tuple[DuplicateGroup, Decision]]


@dataclass(frozen=True, slots=True)
class Draft:
    """What decisions come to, file by file; nothing is done.

    Attributes:
        decided: the groups and what was decided, by key.
        plan: what goes; of no group where nothing does.
        stays: by path of a group's keeper, what stays by the decision, and why.
        answers: what is told to the verdicts.
    """

    decided: Decided
    plan: Plan
    stays: Mapping[str, tuple[Left, ...]]
    answers: Answers


@dataclass(frozen=True, slots=True)
class Done:
    """What was done: the run of files (None where none went), and the contents that were answered about."""

    report: ActReport | None
    answered: frozenset[bytes]
    verdicts: int


def draft(
    index: Index, found: Found, decided: Decided, options: PlanOptions, progress: Progress | None = None
) -> Draft:
    """What would happen. Every file is read, and members are held against the file that is kept for them.

    Raises ActRefused for a folder that will not do, IndexDamaged.
    """
    groups: list[DuplicateGroup] = []
    stays: dict[str, tuple[Left, ...]] = {}
    stay: set[str] = set()
    for number, (group, decision) in enumerate(decided.values(), 1):
        planned, left = to_plan(headed(index, found, group, decision.keep), decision)
        groups += [] if planned is None else [planned]
        if left:
            stays[decision.keep] = left
        stay |= {item.path for item in left} if decision.kind == SET_ASIDE else {p.path for p in group.photos}
        if progress is not None:
            progress(number, len(decided))
    plan = make_plan(index, groups, replace(options, stay=frozenset(stay)))
    return Draft(dict(decided), plan, stays, answers(decided.values()))


def carry_out(index: Index, found: Found, drafted: Draft, progress: Progress) -> Done:
    """Write the verdicts, do the plan, and take the groups off the list.

    Raises what `apply_plan` and `Verdicts` raise; verdicts that were written by then stay.
    """
    said = drafted.answers
    if said.different or said.keep_all:
        with Verdicts.open(index.path) as verdicts:
            for shas in said.different:
                verdicts.different(shas)
            for shas in said.keep_all:
                verdicts.keep_all(shas)
    report = None
    if drafted.plan.files:
        report = apply_plan(index, drafted.plan, yes=True, progress=progress)
    run = "" if report is None else report.run
    left = set() if report is None else {item.path for item in report.left}
    units = [file for group in drafted.plan.groups for file in group.files if file.facts.path not in left]
    gone = {facts.path for unit in units for facts in (unit.facts, *(item.facts for item in unit.companions))}
    # Half of a shot goes with the other half, whose group may be another one.
    going = {
        key
        for key, (group, decision) in drafted.decided.items()
        if decision.kind == SET_ASIDE and any(photo.path in gone for photo in group.photos)
    }
    found.answer(
        {
            key: run if key in going else ""
            for key, (_, decision) in drafted.decided.items()
            if decision.kind != SET_ASIDE or key in going or decision.stay or decision.others
        }
    )
    contents = frozenset(sha for shas in (*said.different, *said.keep_all) for sha in shas)
    return Done(report, contents, len(said.different) + len(said.keep_all))


def take_back(index: Index, found: Found | None, run: str, progress: Progress) -> ActReport:
    """Undo a run, and put its groups back on the list. Raises what `undo` raises."""
    report = undo(index, run, progress=progress)
    if found is not None:
        found.reopen(run)
    return report


def forget(index: Index, found: Found | None, contents: frozenset[bytes]) -> int:
    """Take back all that was said about these contents; how many verdicts and labels that were."""
    with Verdicts.open(index.path) as verdicts:
        count = verdicts.forget(contents)
    if found is not None:
        found.worked_out.clear()
        found.reopen_about(contents)
    return count
