"""simsearch purge: give what a run of dedup set aside to the system's trash."""

from __future__ import annotations

import click

from simsearch.cli.duplicates.showing import confirm, interruptible, told
from simsearch.cli.options import Common, common_options
from simsearch.cli.output import answer, answer_text, note


@click.command("purge", short_help="Throw away what dedup set aside.")
@click.argument("run")
@click.option("--permanently", is_flag=True, help="Delete it rather than give it to the system's trash.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@common_options
def command(common: Common, run: str, permanently: bool, yes: bool) -> None:
    """Give the copies that a RUN set aside to the system's trash. simsearch undo cannot put them back then.

    Each file is looked at first: one whose keeper is not there any more stays, and is told of on
    stderr; the exit code is 0 all the same.
    """
    from simsearch.dedup.acts.purging.purge import purge
    from simsearch.dedup.acts.runs import list_runs
    from simsearch.engine.index import Index
    from simsearch.report.duplicates.acts import act_lines, left_lines
    from simsearch.report.duplicates.words import counted
    from simsearch.report.lines import human_bytes
    from simsearch.report.machine import to_json

    how = "Delete" if permanently else "Give to the system's trash"
    with Index.open(common.index) as index:
        for known in list_runs(index):
            # What cannot be purged is refused below, and there is nothing to ask.
            if known.run == run and known.state not in ("planned", "undone", "purged"):
                confirm(f"{how} {counted(known.files, 'picture')}, {human_bytes(known.bytes)}?", yes)
        flags = " --permanently" * permanently + common.index_flag
        with told(common) as shown, interruptible(f"simsearch purge {run}{flags}"):
            report = purge(index, run, permanently=permanently, progress=shown.counted("files"))
    for line in left_lines(report.left):
        note(line)
    if common.json:
        answer([to_json(report)])
    else:
        answer_text(act_lines(report, "deleted" if permanently else "given to the trash"))
