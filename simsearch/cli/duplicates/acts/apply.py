"""simsearch dedup --apply: shows what a plan comes to, asks, and carries it out."""

from __future__ import annotations

import os
import shlex

import click

from simsearch.cli.duplicates.showing import confirm, interruptible, refuse_beside, told
from simsearch.cli.options import Common
from simsearch.cli.output import answer, answer_text, note
from simsearch.errors import NotIndexed

_GO_WITH_APPLY = {"apply", "yes", "form"}
DONE = {
    "set-aside": "set aside",
    "move": "moved",
    "hardlink": "replaced by hard links",
    "symlink": "replaced by symbolic links",
}


def apply_named(named: str, common: Common, form: str, yes: bool) -> None:
    """Carry out the plan in a file, whose index it is for unless another is named, or that of a run."""
    refuse_beside(_GO_WITH_APPLY, "is for making a plan, and --apply carries one out.")
    from simsearch.dedup.acts.apply import apply_plan
    from simsearch.dedup.acts.reading import read_plan
    from simsearch.dedup.acts.records import RUN
    from simsearch.dedup.acts.runs import plan_path
    from simsearch.engine.index import Index
    from simsearch.paths import existing_index
    from simsearch.report.duplicates.acts import act_lines, act_words, left_lines, plan_line
    from simsearch.report.machine import to_json

    if form not in ("table", "json"):
        raise click.UsageError(f"What was done is shown as a table or as JSON, not as {form}.")
    of_run = RUN.fullmatch(named) is not None
    folder = existing_index(common.index) if of_run else None
    place = named if folder is None else os.fsdecode(plan_path(folder, named))
    if folder is not None and not os.path.lexists(place):
        raise NotIndexed(f"{folder} has no run {named}. See them with: simsearch undo{common.index_flag}")
    plan = read_plan(place)
    flag = common.index_flag if of_run or common.index is not None else f" -i {shlex.quote(plan.index)}"
    with Index.open(folder or common.index or plan.index) as index:
        if not common.quiet:
            note(plan_line(plan))
        words = act_words(plan)
        confirm(f"{words[:1].upper()}{words[1:]}?", yes)
        go_on = (
            f"simsearch dedup --apply {plan.run}{flag}; or take it back with: simsearch undo {plan.run}{flag}"
        )
        with told(common) as shown, interruptible(go_on):
            report = apply_plan(index, plan, yes=True, progress=shown.counted("files"))
    for line in left_lines(report.left):
        note(line)
    if common.json:
        answer([to_json(report)])
    else:
        answer_text(act_lines(report, DONE[report.action]))
    note(f"Take it back with: simsearch undo {report.run}{flag}")
