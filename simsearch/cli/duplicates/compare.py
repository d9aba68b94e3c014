"""simsearch compare: whether two files show the same picture."""

from __future__ import annotations

from pathlib import Path

import click

from simsearch.cli.options import Common, common_options
from simsearch.cli.output import answer, answer_text


@click.command("compare", short_help="Compare two pictures.")
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@common_options
def command(common: Common, first: Path, second: Path) -> None:
    """Say what two pictures are to each other; exits with 3 when they are copies.

    Copies have the same bytes, the same pixels, or are one picture that was resized, cropped, turned or
    otherwise edited. The score is the probability of that. No index is used, so that -i is refused.
    """
    if common.index is not None:
        raise click.UsageError("compare looks at two files and uses no index: leave -i out.")
    from simsearch.dedup.compare import compare
    from simsearch.report.duplicates.table import comparison_lines
    from simsearch.report.duplicates.words import is_copy
    from simsearch.report.machine import to_json

    comparison = compare(first, second)
    if common.json:
        answer([to_json(comparison)])
    else:
        answer_text([comparison_lines(comparison)])
    if is_copy(comparison.level):
        raise click.exceptions.Exit(3)
