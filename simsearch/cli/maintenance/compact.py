"""simsearch compact: give back the room of photos that no file has any more."""

from __future__ import annotations

import click

from simsearch.cli.options import Common, common_options
from simsearch.cli.output import answer, answer_text, note


@click.command("compact", short_help="Give back the room of forgotten photos.")
@common_options
def command(common: Common) -> None:
    """Drop the vectors and thumbnails of pruned, removed or replaced photos, and what dedup found in them.

    Until then a photo that comes back is taken up again without embedding it. Queries go on meanwhile.
    """
    from simsearch.dedup.features.store import keep_only
    from simsearch.engine.maintenance.compact import compact
    from simsearch.report.lines import compact_line
    from simsearch.report.machine import to_json

    report = compact(common.index, note=None if common.quiet else note, beside=[keep_only])
    if common.json:
        answer([to_json(report)])
    else:
        answer_text([compact_line(report)])
