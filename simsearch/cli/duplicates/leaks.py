"""simsearch leaks: pictures of a test set that the training set holds as well."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from simsearch.cli.duplicates.showing import (
    check_threshold,
    plain_thumbnail,
    tell_calibration,
    threshold_of,
    told,
)
from simsearch.cli.options import Common, common_options
from simsearch.cli.output import answer, answer_text, check_page, form_of, note, screen, write_page

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
@click.option("--strict", is_flag=True, help="Exit with 3 also when a picture could not be read.")
@click.option(
    "--exact", is_flag=True, help="Only the same bytes and the same pixels; no score, so no --threshold."
)
@click.option(
    "--threshold",
    metavar="auto|SCORE",
    callback=threshold_of,
    help="Scores from here on are copies; auto finds it on edited copies of your own pictures.",
)
@click.option(
    "--precision",
    type=click.FloatRange(0.5, 1, max_open=True),
    metavar="SHARE",
    help="With --threshold auto: the share of what is called a copy that has to be one. [default: 0.99]",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "csv"]),
    help="What to write to stdout. [default: table]",
)
@click.option("--html", metavar="FILE", help="Also write a page with the pictures.")
@click.option("--open", "browse", is_flag=True, help="Open that page in the browser.")
@common_options
def command(
    common: Common,
    train: str,
    test: str,
    most: int,
    strict: bool,
    exact: bool,
    threshold: float | str | None,
    precision: float | None,
    form: str | None,
    html: str | None,
    browse: bool,
) -> None:
    """Find the pictures of TEST that are in TRAIN too, edited or not; exits with 3 when there are any.

    TRAIN and TEST are folders, archives, URLs or indexes. Only copies count for --max; what is probably a
    copy is listed to be looked at. Of pictures that could not be read nothing is known: with --strict they
    count too.
    """
    form = form_of(form, common)
    reach = "exact" if exact else "near"
    check_threshold(reach, threshold, precision)
    check_page(html)
    from simsearch.dedup.leaks import find_leaks
    from simsearch.dedup.options import DedupOptions
    from simsearch.report.duplicates.page import leaks_page
    from simsearch.report.lines import skipped_lines

    options = DedupOptions(reach, threshold, 0.99 if precision is None else precision)
    with told(common) as shown:
        report = find_leaks(
            train, test, options, index=common.index, progress=shown.progress, note=shown.note
        )
    for line in skipped_lines(report.failed, more="--json"):
        note(line)
    tell_calibration(report.calibration, common)
    if html is not None or browse:
        write_page(leaks_page(report, plain_thumbnail), html, browse, "leaks.html")
    _print(report, form)
    if report.leaked > most or (strict and report.failed):
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
