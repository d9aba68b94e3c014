"""simsearch dedup --action: makes a plan, keeps it, shows it, and says how it is carried out."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from simsearch.cli.options import Common
from simsearch.cli.output import answer, answer_text, check_folder, note, screen
from simsearch.errors import PlanUnreadable, SimsearchError

if TYPE_CHECKING:
    from simsearch.dedup.records import DuplicateReport
    from simsearch.engine.index import Index


@dataclass(frozen=True, slots=True)
class Planning:
    """The options of a plan."""

    action: str | None
    to: str | None
    merge_metadata: bool
    file: str | None
    reference: tuple[str, ...]

    def check(self, form: str) -> None:
        """Refuse what does not go together."""
        if self.action is None and (self.to or self.merge_metadata or self.file):
            raise click.UsageError("--to, --merge-metadata and --plan go with --action.")
        if (self.action == "move") != (self.to is not None):
            raise click.UsageError("--action move and --to DIR go together.")
        if self.action is not None and form not in ("table", "json"):
            raise click.UsageError(f"A plan is shown as a table or as JSON, not as {form}.")
        if self.file is not None:
            _check_place(self.file)

    def make(self, index: Index, report: DuplicateReport, common: Common) -> None:
        """Make the plan, keep it with the index, and show it and how to go on."""
        from simsearch.dedup.acts.plan import make_plan
        from simsearch.dedup.acts.reading import plan_text, write_plan
        from simsearch.dedup.acts.records import PlanOptions
        from simsearch.dedup.acts.runs import save_plan
        from simsearch.report.duplicates.acts import plan_table

        options = PlanOptions(self.action or "", self.to, self.merge_metadata, self.reference)
        plan = make_plan(index, report.groups, options)
        if plan.files:
            save_plan(index.path, plan)
        if plan.files and self.file is not None:
            _check_place(self.file)
            write_plan(plan, self.file)
            note(f"Wrote {self.file}")
        if common.json:
            answer([plan_text(plan).encode()])
        else:
            answer_text([plan_table(plan, screen())])
        if not plan.files:
            note(
                f"There is nothing to do{'' if self.file is None else f', and {self.file} was not written'}."
            )
            return
        name = plan.run if self.file is None else shlex.quote(self.file)
        note(f"Nothing was touched. Do it with: simsearch dedup --apply {name}{common.index_flag}")


def _check_place(file: str) -> None:
    """Raises SimsearchError where a plan would take the place of what is no plan, or has no place."""
    from simsearch.dedup.acts.reading import read_plan

    check_folder("plan", file)
    if not os.path.lexists(file):
        return
    refused = f"{file} is there already and is no plan, so it is not replaced. Name another file."
    # What is no file, such as a pipe, may never end.
    if not os.path.isfile(file):
        raise SimsearchError(refused)
    try:
        read_plan(file)
    except PlanUnreadable as exc:
        raise SimsearchError(refused) from exc
