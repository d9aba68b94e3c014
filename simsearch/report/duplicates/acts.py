"""Plans, what came of them, and runs -> tables and lines for a person at a terminal."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from simsearch.dedup.acts.disk.places import NOTES
from simsearch.dedup.acts.records import LINKS
from simsearch.report.duplicates.words import counted
from simsearch.report.lines import human_bytes
from simsearch.report.names import visible
from simsearch.report.table import PLAIN, Screen, new_table, render, shown_name

if TYPE_CHECKING:
    from rich.console import RenderableType

    from simsearch.dedup.acts.records import ActReport, Left, Plan, PlannedFile, PlannedGroup, Run

SHOWN_GROUPS = 20
SHOWN_LEFT = 20
PLANNED = {
    "set-aside": "set aside",
    "move": "move",
    "hardlink": "replace by a hard link",
    "symlink": "replace by a symbolic link",
}
STATE_WORDS = {"partly": "partly done"}
IN_ALL = {**PLANNED, "hardlink": "put hard links in place of", "symlink": "put symbolic links in place of"}


def plan_table(plan: Plan, screen: Screen = PLAIN) -> str:
    """What would be done in the first groups, what is left and why, and a line of all in all."""
    parts: list[RenderableType] = []
    for group in plan.groups[:SHOWN_GROUPS]:
        parts += _group(plan.action, group)
    more = len(plan.groups) - SHOWN_GROUPS
    if more > 0:
        parts.append(f"and {more:,} more groups; --json shows all\n")
    parts.append(plan_line(plan))
    return render(screen, *parts)


def plan_line(plan: Plan) -> str:
    """What a plan comes to, in one line; of one that does nothing there is no run to name."""
    left = sum(len(group.left) for group in plan.groups)
    if not plan.files:
        return f"Nothing to {IN_ALL[plan.action]}" + (f"; leave {counted(left, 'file')}" if left else "")
    beside = sum(len(file.companions) for group in plan.groups for file in group.files)
    merges = sum(group.merge is not None for group in plan.groups)
    parts = [act_words(plan)]
    if beside:
        parts[0] += f" with {counted(beside, 'file')} beside them"
    parts[0] += f", {human_bytes(plan.bytes)}"
    if merges:
        parts.append(f"write {counted(merges, 'sidecar')}")
    if left:
        parts.append(f"leave {counted(left, 'file')}")
    return f"Plan {plan.run}: {'; '.join(parts)}"


def act_words(plan: Plan) -> str:
    """What a plan does with how many copies."""
    to = "" if plan.to is None else f" to {visible(plan.to)}"
    return f"{IN_ALL[plan.action]} {counted(plan.files, 'copy', 'copies')}{to}"


def act_lines(report: ActReport, did: str) -> Iterator[str]:
    """What an act did, and the trash folders that hold anything; `did` is its word, as "put back"."""
    beside = f" and {counted(report.companions, 'file')} beside them" if report.companions else ""
    what = f"{counted(report.files, 'picture')}{beside} {did}, {human_bytes(report.bytes)}"
    yield f"{report.run}: {what}; it is {STATE_WORDS.get(report.state, report.state)} now\n"
    for folder in holding(report.trash):
        yield f"  in {visible(folder)}\n"


def holding(trash: Sequence[str]) -> Iterator[str]:
    """The trash folders that hold files, and not only the notes by which what was moved comes back."""
    for folder in trash:
        if os.path.isdir(folder) and os.listdir(os.fsencode(folder)) != [NOTES]:
            yield folder


def left_lines(left: Sequence[Left]) -> Iterator[str]:
    """The first files that were left, and why, and how many there are; nothing where none was."""
    for item in left[:SHOWN_LEFT]:
        yield f"Left {visible(item.path)}: {visible(item.reason)}"
    if len(left) > SHOWN_LEFT:
        yield f"… and {len(left) - SHOWN_LEFT} more: see --json"
    if left:
        yield f"{counted(len(left), 'file was', 'files were')} left."


def runs_table(runs: Sequence[Run], screen: Screen = PLAIN) -> str:
    """The runs of an index."""
    words, numbers = ("run", "made", "action", "state"), ("files", "bytes")
    table = new_table(*((word, "left") for word in words), *((number, "right") for number in numbers))
    for run in runs:
        numbers = (f"{run.files:,}", human_bytes(run.bytes))
        state = STATE_WORDS.get(run.state, run.state)
        table.add_row(shown_name(run.run), run.when, run.action, state, *numbers)
    return render(screen, table)


def _group(action: str, group: PlannedGroup) -> list[RenderableType]:
    table = new_table(("", "left"), ("", "left"), header=False)
    table.add_row("keep", shown_name(f"{group.keep} ({group.why})", "bold"))
    if group.merge is not None:
        for line in group.merge.lines:
            table.add_row("note", shown_name(f"{line}, in {group.merge.sidecar}"))
    for file in group.files:
        table.add_row(PLANNED[action], shown_name(_goes(action, file)))
        for companion in file.companions:
            table.add_row("with it", shown_name(f"{companion.facts.path} -> {companion.target}"))
    for item in group.left:
        table.add_row("leave", shown_name(f"{item.path}: {item.reason}"))
    return [table, ""]


def _goes(action: str, file: PlannedFile) -> str:
    """The path of a copy, and where it goes; of a link an arrow would seem to tell what it leads to."""
    if action in LINKS:
        return f"{file.facts.path} (the old file is kept as {file.target})"
    return f"{file.facts.path} -> {file.target}"
