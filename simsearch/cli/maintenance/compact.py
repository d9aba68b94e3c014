"""simsearch compact: give back the room of photos that no file has any more."""

from __future__ import annotations

import click

from simsearch.cli.options import Common, common_options
from simsearch.cli.output import answer, answer_text, note


@click.command("compact", short_help="Give back the room of forgotten photos.")
@common_options
def command(common: Common) -> None:
    """Drop the vectors and thumbnails of photos that were pruned, removed or replaced.

    Until then a photo that comes back is taken up again without embedding it. Queries go on meanwhile.
    """
    from simsearch.engine.maintenance.compact import compact
    from simsearch.report.lines import compact_line
    from simsearch.report.machine import to_json

    report = compact(common.index, note=None if common.quiet else note)
    if common.json:
        answer([to_json(report)])
    else:
        answer_text([compact_line(report)])
