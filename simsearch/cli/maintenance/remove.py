"""simsearch remove: forget files, folders and roots; the files themselves are not touched."""

from __future__ import annotations

import click

from simsearch.cli.options import Common, common_options
from simsearch.cli.output import answer, answer_text, note


@click.command("remove", short_help="Forget files, folders or roots.")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--dry-run", is_flag=True, help="Only say what would be forgotten.")
@click.option("--yes", is_flag=True, help="Also when it is more than a tenth of all files.")
@common_options
def command(common: Common, paths: tuple[str, ...], dry_run: bool, yes: bool) -> None:
    """Forget what is indexed at or below each PATH, there or not. No file is touched.

    simsearch index PATH takes it up again, without embedding it until simsearch compact has run. Below a
    folder that stays indexed, --exclude keeps it out for good.
    """
    from simsearch.engine.maintenance.remove import remove
    from simsearch.report.lines import remove_lines
    from simsearch.report.machine import to_json

    told = None if common.quiet else note
    report = remove(paths, common.index, yes=yes, dry_run=dry_run, note=told)
    if common.json:
        answer([to_json(report)])
    else:
        answer_text(remove_lines(report))
