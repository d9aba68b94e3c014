"""simsearch eval: how good the answers of an index are, where it is known what is right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from simsearch.cli.duplicates.showing import plain_thumbnail, told
from simsearch.cli.options import Common, common_options
from simsearch.cli.output import answer, answer_text, check_page, form_of, screen, write_page

if TYPE_CHECKING:
    from simsearch.quality.grid import Grid
    from simsearch.quality.records import EvalOptions, EvalReport


@click.command("eval", short_help="Measure how good the answers are.")
@click.argument("settings", nargs=-1, metavar="[KEY=VALUE,...]...")
@click.option(
    "--truth",
    metavar="FILE|name:REGEX",
    help="What belongs together: a table with the columns path and group, or a pattern whose one group in "
    "parentheses has the same text in the names of files that do. [default: files in the same folder]",
)
@click.option(
    "--group-size",
    type=click.IntRange(min=2),
    metavar="N",
    help="With name:REGEX: the text is a number, and each N consecutive ones belong together.",
)
@click.option(
    "-k", type=click.IntRange(min=1), default=10, show_default=True, help="Answers for P@k and recall@k."
)
@click.option(
    "--queries",
    type=click.IntRange(min=1),
    metavar="N",
    help="Ask with N pictures, spread evenly. [default: with all; 10,000 of more than 100,000]",
)
@click.option(
    "--center/--no-center",
    default=None,
    help="Compare vectors seen from the middle of the collection. [default: as the index is set]",
)
@click.option(
    "--half",
    type=click.Choice(["choose", "report"]),
    help="Only this half of the classes, which is always the same: choose settings on one, report on the "
    "other.",
)
@click.option(
    "--grid",
    multiple=True,
    metavar="KEY=VALUE,...",
    help="Compare settings side by side: model=NAME,..., pooling=avg,max,gem, center=on,off; more of them "
    "may follow. Photos are embedded anew for each model and pooling that the index does not have.",
)
@click.option(
    "--worst",
    type=click.IntRange(min=0),
    default=10,
    show_default=True,
    metavar="N",
    help="Tell the N worst queries.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json"]),
    help="What to write to stdout. [default: table]",
)
@click.option("--html", metavar="FILE", help="Also write a page with the pictures of the worst queries.")
@click.option("--open", "browse", is_flag=True, help="Open that page in the browser.")
@common_options
def command(
    common: Common,
    settings: tuple[str, ...],
    truth: str | None,
    group_size: int | None,
    k: int,
    queries: int | None,
    center: bool | None,
    half: str | None,
    grid: tuple[str, ...],
    worst: int,
    form: str | None,
    html: str | None,
    browse: bool,
) -> None:
    """Measure how good the answers of the index are, from pictures of which it is known what is right.

    \b
    simsearch eval                                              pictures of one folder belong together
    simsearch eval --truth groups.csv
    simsearch eval --truth 'name:ukbench(\\d+)' --group-size 4
    simsearch eval --half choose --grid model=resnet50,efficientnet_lite2 center=on,off

    Each picture asks for those that belong to it, itself left out, on the stored vectors; every picture is
    compared. P@1 and P@k: right ones among the best 1 and k. recall@k: those found of all that are right.
    mAP: mean average precision, with its 95 % interval. N-S: right ones among the best 4, the picture
    itself being one, for classes of four. See docs/eval.md.
    """
    form = form_of(form, common)
    if settings and not grid:
        raise click.UsageError(f"{settings[0]} belongs to --grid.")
    if grid and (html is not None or browse):
        raise click.UsageError("A page shows one configuration: --html and --open do not go with --grid.")
    check_page(html)
    from simsearch.errors import EvalInvalid
    from simsearch.quality.grid import Grid
    from simsearch.quality.records import EvalOptions

    try:
        options = EvalOptions(
            truth=truth,
            group_size=group_size,
            k=k,
            center=center,
            queries=queries,
            half=half,
            worst=worst,
        )
        compared = Grid.parse((*grid, *settings)) if grid else None
        if compared is not None and compared.centers and center is not None:
            raise click.UsageError("--center and --no-center do not go with center= in --grid.")
        if compared is not None:
            _show_grid(_compare(common, compared, options), form)
        else:
            report = _measure(common, options)
            if html is not None or browse:
                _write_page(report, html, browse)
            _show(report, form)
    except EvalInvalid as exc:
        raise click.UsageError(str(exc)) from exc


def _measure(common: Common, options: EvalOptions) -> EvalReport:
    from simsearch.quality.evaluation import evaluate

    with told(common) as shown:
        return evaluate(common.index, options, progress=shown.progress, note=shown.note)


def _compare(common: Common, grid: Grid, options: EvalOptions) -> tuple[EvalReport, ...]:
    from simsearch.quality.grid import evaluate_grid

    with told(common) as shown:
        return evaluate_grid(grid, common.index, options, progress=shown.progress, note=shown.note)


def _write_page(report: EvalReport, html: str | None, browse: bool) -> None:
    from simsearch.report.quality.page import eval_page

    write_page(eval_page(report, plain_thumbnail), html, browse, "eval.html")


def _show(report: EvalReport, form: str) -> None:
    from simsearch.report.quality.machine import eval_json
    from simsearch.report.quality.table import eval_table

    if form == "json":
        answer([eval_json(report)])
    else:
        answer_text([eval_table(report, screen())])


def _show_grid(reports: Sequence[EvalReport], form: str) -> None:
    from simsearch.report.quality.machine import grid_json
    from simsearch.report.quality.table import grid_table

    if form == "json":
        answer([grid_json(reports)])
    else:
        answer_text([grid_table(reports, screen())])
