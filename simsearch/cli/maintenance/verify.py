"""simsearch verify: check every byte of an index that counts."""

from __future__ import annotations

import click

from simsearch.cli.options import Common, common_options
from simsearch.cli.output import answer, answer_text, screen


@click.command("verify")
@common_options
def command(common: Common) -> None:
    """Check an index for damage; exits with 3 when there is any.

    Every row, every vector and the search view are compared with their checksums. Nothing is changed.
    """
    from simsearch.engine.maintenance.verify import verify
    from simsearch.report.machine import verify_json
    from simsearch.report.table import verify_table

    report = verify(common.index)
    if common.json:
        answer([verify_json(report)])
    else:
        answer_text([verify_table(report, screen())])
    if not report.ok:
        raise click.exceptions.Exit(3)
