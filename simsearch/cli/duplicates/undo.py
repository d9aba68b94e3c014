"""simsearch undo: put back what a run of dedup set aside, moved or linked."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from simsearch.cli.duplicates.showing import interruptible, told
from simsearch.cli.options import Common, common_options
from simsearch.cli.output import answer, answer_text, note, screen
from simsearch.errors import SimsearchError

if TYPE_CHECKING:
    from simsearch.engine.index import Index


@click.command("undo", short_help="Put back what dedup set aside.")
@click.argument("run", required=False, metavar="[RUN|FOLDER]")
@common_options
def command(common: Common, run: str | None) -> None:
    """Put every file back where it was before a RUN of simsearch dedup --apply.

    Without a RUN the runs of the index are listed. Where the index is gone, name the run's FOLDER in a
    .simsearch-trash instead. Where something has taken a file's place meanwhile, both are left and told of on
    stderr; the exit code is 0 all the same.
    """
    if run is None:
        _list(common)
        return
    from simsearch.dedup.acts.records import RUN
    from simsearch.dedup.acts.undo import undo
    from simsearch.report.duplicates.acts import act_lines, left_lines
    from simsearch.report.machine import to_json

    again = interruptible(f"simsearch undo {shlex.quote(run)}{common.index_flag}")
    with _index(common, needed=RUN.fullmatch(run) is not None) as index, told(common) as shown, again:
        report = undo(index, run, progress=shown.counted("files"))
    for line in left_lines(report.left):
        note(line)
    if common.json:
        answer([to_json(report)])
    else:
        answer_text(act_lines(report, "put back"))


@contextmanager
def _index(common: Common, *, needed: bool) -> Iterator[Index | None]:
    """The index; None where it cannot be opened and neither is `needed` nor was named."""
    from simsearch.engine.index import Index

    try:
        index = Index.open(common.index)
    except SimsearchError:
        if needed or common.index is not None:
            raise
        yield None
        return
    with index:
        yield index


def _list(common: Common) -> None:
    from simsearch.dedup.acts.runs import list_runs
    from simsearch.engine.index import Index
    from simsearch.report.duplicates.acts import runs_table
    from simsearch.report.machine import to_json

    with Index.open(common.index) as index:
        runs = list_runs(index)
    if common.json:
        answer([to_json(runs)])
    elif runs:
        answer_text([runs_table(runs, screen())])
    else:
        note("There is no run yet. Plan one with: simsearch dedup --action set-aside")
