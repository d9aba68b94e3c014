"""simsearch leaks: pictures of a test set that the training set holds as well."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from simsearch.cli.duplicates.showing import form_of, plain_thumbnail, threshold_of, told, write_page
from simsearch.cli.options import Common, common_options
from simsearch.cli.output import answer, answer_text, note, screen

if TYPE_CHECKING:
    from simsearch.dedup.records import LeakReport


@click.command("leaks", short_help="Find test pictures among the training pictures.")
@click.argument("train")
@click.argument("test")
@click.option(
    "--max",
    "most",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="N",
    help="Exit with 3 when there are more leaks.",
)
@click.option("--exact", is_flag=True, help="Only the same bytes and the same pixels.")
@click.option(
    "--threshold",
    metavar="auto|SCORE",
    callback=threshold_of,
    help="Scores from here on are copies; auto finds it on edited copies of your own pictures.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "csv"]),
    help="What to write to stdout. [default: table]",
)
@click.option("--html", metavar="FILE", help="Also write a page with the pictures.")
@common_options
def command(
    common: Common,
    train: str,
    test: str,
    most: int,
    exact: bool,
    threshold: float | str | None,
    form: str | None,
    html: str | None,
) -> None:
    """Find the pictures of TEST that are in TRAIN too, edited or not; exits with 3 when there are any.

    TRAIN and TEST are folders or indexes. Only copies count for --max; what is probably a copy is listed to
    be looked at.
    """
    form = form_of(form, common)
    from simsearch.dedup.leaks import find_leaks
    from simsearch.dedup.options import DedupOptions
    from simsearch.report.duplicates.page import leaks_page
    from simsearch.report.duplicates.words import is_copy
    from simsearch.report.lines import skipped_lines

    options = DedupOptions(reach="exact" if exact else "near", threshold=threshold)
    with told(common) as shown:
        report = find_leaks(
            train, test, options, index=common.index, progress=shown.progress, note=shown.note
        )
    for line in skipped_lines(report.failed, more="--json"):
        note(line)
    if html is not None:
        write_page(leaks_page(report, plain_thumbnail), html, False, "leaks.html")
    _print(report, form)
    if len({leak.test for leak in report.leaks if is_copy(leak.level)}) > most:
        raise click.exceptions.Exit(3)


def _print(report: LeakReport, form: str) -> None:
    from simsearch.report.duplicates.machine import leaks_csv
    from simsearch.report.duplicates.table import leaks_table
    from simsearch.report.machine import to_json

    if form == "table":
        answer_text([leaks_table(report, screen())])
    elif form == "json":
        answer([to_json(report)])
    else:
        answer(leaks_csv(report))
