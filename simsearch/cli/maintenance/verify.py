"""simsearch verify: check every byte of an index that counts."""

from __future__ import annotations

import sys

import click

from simsearch.cli.options import Common, common_options
from simsearch.cli.output import answer, answer_text, is_terminal, screen


@click.command("verify")
@click.option("--deep", is_flag=True, help="Also read every photo again and compare its bytes.")
@common_options
def command(common: Common, deep: bool) -> None:
    """Check an index for damage; exits with 3 when there is any.

    Every row, every vector, every verdict and the search view are compared with their checksums, with --deep
    every photo as well. Nothing is changed; each problem is listed with what mends it.
    """
    from simsearch.engine.maintenance.verify import verify
    from simsearch.report.machine import verify_json
    from simsearch.report.table import verify_table

    if deep and not common.quiet and is_terminal(sys.stderr):
        from simsearch.report.progress import CountProgress

        with CountProgress(sys.stderr, "Reading", "files") as progress:
            report = verify(common.index, deep=True, progress=progress.update)
    else:
        report = verify(common.index, deep=deep)
    if common.json:
        answer([verify_json(report)])
    else:
        answer_text([verify_table(report, screen())])
    if not report.ok:
        raise click.exceptions.Exit(3)
