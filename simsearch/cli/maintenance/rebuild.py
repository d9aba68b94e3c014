"""simsearch rebuild: make the search view of an index anew from its vectors."""

from __future__ import annotations

import click

from simsearch.cli.options import Common, common_options
from simsearch.cli.output import answer, answer_text, note


def _share(_: click.Context, parameter: click.Parameter, value: float) -> float:
    if not 0 < value <= 1:
        raise click.BadParameter(f"{value} is not a share between 0 and 1.", param=parameter)
    return value


@click.command("rebuild", short_help="Make the search view of an index anew.")
@click.option(
    "--view",
    type=click.Choice(["auto", "exact", "ivf"]),
    default="auto",
    show_default=True,
    help="exact compares every photo, ivf is quicker for many; auto chooses by their number.",
)
@click.option(
    "--recall",
    type=float,
    callback=_share,
    default=0.99,
    show_default=True,
    help="Share of the true ten best that an ivf view has to find, measured when it is built.",
)
@common_options
def command(common: Common, view: str, recall: float) -> None:
    """Make the search view anew, without embedding a photo again."""
    from simsearch.engine.maintenance.view import rebuild
    from simsearch.report.machine import to_json
    from simsearch.report.table import view_line

    info = rebuild(common.index, view=view, recall=recall, note=None if common.quiet else note)
    if common.json:
        answer([to_json(info)])
    else:
        answer_text([f"{view_line(info)}\n"])
