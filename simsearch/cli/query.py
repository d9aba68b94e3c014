"""simsearch query: the photos of an index that look most like the ones given."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import click

from simsearch.cli.options import Common, common_options
from simsearch.cli.output import answer, answer_text, check_page, form_of, note, screen, write_page
from simsearch.cli.querying.arguments import (
    USUAL,
    QueryCommand,
    bounds,
    box,
    examples,
    score,
    wrong_usage,
)
from simsearch.cli.querying.asking import Asked, looked_at
from simsearch.cli.querying.bundles import Levers, Output, lever_options, output_options

if TYPE_CHECKING:
    from simsearch.engine.search import Searcher
    from simsearch.records import QueryResult


Names = tuple[str, ...]


@click.command("query", cls=QueryCommand)
@click.argument("images", nargs=-1, metavar="[IMAGE|-]...")
@click.option("-k", type=click.IntRange(min=1), default=10, show_default=True, help="Hits a query.")
@click.option("--min-score", type=float, callback=score, help="Only hits with at least this cosine.")
@click.option("--max-score", type=float, callback=score, help="Only hits with at most this cosine.")
@click.option(
    "--one-in",
    type=click.IntRange(min=1),
    metavar="N",
    help="Only hits that score as at most one in N pairs of this index's own photos do, e.g. 10000.",
)
@click.option("--include-self", is_flag=True, help="Let the query's own file be among its hits.")
@click.option(
    "--center/--no-center",
    default=None,
    help="Score by vectors seen from the middle of the collection. [default: as the index is set]",
)
@click.option("--id", "ids", type=int, multiple=True, help="Query by the id of an indexed photo; repeatable.")
@click.option(
    "--plus",
    metavar="IMAGE[=WEIGHT]",
    multiple=True,
    help="Be like this photo too; an IMAGE weighs 1, as this does unless told otherwise; repeatable.",
)
@click.option(
    "--minus",
    metavar="IMAGE[=WEIGHT]",
    multiple=True,
    help="Be unlike this photo, which weighs 0.25 unless told otherwise; repeatable.",
)
@click.option(
    "--crop",
    metavar="X,Y,W,H",
    help="Query by a region of each IMAGE: left, top, width and height, as fractions of it or in pixels.",
)
@click.option(
    "--where",
    metavar="CONDITION",
    help="Only photos that fulfil it, e.g. \"width > 2000 and path like '%2023%'\"; see docs/queries.md.",
)
@click.option(
    "--label",
    metavar="NAME",
    multiple=True,
    help="Only photos with this label of ImageNet's; without IMAGE by its probability; repeatable.",
)
@click.option("--folder", metavar="DIR", multiple=True, help="Only photos below DIR; repeatable.")
@click.option("--since", metavar="DATE", help="Only photos from DATE on: 2023, 2023-05, 2023-05-17 …")
@click.option("--until", metavar="DATE", help="Only photos up to the end of DATE.")
@click.option(
    "--type",
    "formats",
    metavar="FORMAT",
    multiple=True,
    help="Only photos of this format, e.g. jpeg; repeatable.",
)
@click.option(
    "--diverse",
    type=click.FloatRange(0, 1),
    is_flag=False,
    flag_value=USUAL,
    metavar="[SHARE]",
    help="Choose hits among the best 500 that are also unlike each other; likeness to IMAGE counts SHARE. "
    f"[default: {USUAL}]",
)
@click.option(
    "--parts",
    type=click.Choice(["all", "whole"]),
    default="all",
    show_default=True,
    help="In an index with tiles: find photos by all their parts, or as wholes alone.",
)
@lever_options
@output_options
@common_options
def command(
    common: Common,
    images: tuple[str, ...],
    k: int,
    min_score: float | None,
    max_score: float | None,
    one_in: int | None,
    include_self: bool,
    center: bool | None,
    ids: tuple[int, ...],
    plus: Names,
    minus: Names,
    crop: str | None,
    where: str | None,
    label: Names,
    folder: Names,
    since: str | None,
    until: str | None,
    formats: Names,
    diverse: float | None,
    parts: str,
    levers: Levers,
    output: Output,
) -> None:
    """Find the photos that look most like each IMAGE.

    An IMAGE is a file, indexed or not; - is a picture on standard input. The score is the cosine, higher is
    closer. Files with the same bytes are one hit.

    --plus and --minus are added to each IMAGE, and their files are no hits. What --where, --label, --folder,
    --since, --until and --type say has to hold all together.
    """
    form = form_of(output.form, common, output.null)
    check_page(output.html)
    _check_queries(images, ids, label)
    _check_likeness(bool(images or ids), one_in, levers, crop, (*plus, *minus, diverse))
    from simsearch.engine.queries.filters import PhotoFilter
    from simsearch.engine.search import QueryOptions, Searcher

    with wrong_usage():
        photos = PhotoFilter(folder, formats, since=since, until=until, where=where, labels=label)
        options = QueryOptions(
            *(k, *bounds(min_score, max_score), include_self, center),
            photos=photos,
            diverse=diverse,
            plus=examples(plus),
            minus=examples(minus),
            box=box(crop),
            one_in=one_in,
            tiles=parts == "all",
            expand=levers.expand,
        )
    with Searcher(common.index, note=note) as searcher:
        asked = Asked(searcher, looked_at(searcher, options), levers.geometry)
        results: Iterable[QueryResult] = asked.answers(images, ids)
        if output.html is not None or output.browse:
            results = _write_page(list(results), searcher, asked.pictures, output)
        _print(results, form, output.null)
    if asked.failed:
        raise click.exceptions.Exit(1)


def _check_queries(images: Names, ids: tuple[int, ...], labels: Names) -> None:
    if not images and not ids and not labels:
        raise click.UsageError("Give an IMAGE, - for standard input, --id, or --label.")
    if images.count("-") > 1:
        raise click.UsageError("Standard input holds one picture: give - once.")


def _check_likeness(
    asked: bool, one_in: int | None, levers: Levers, crop: str | None, others: tuple[str | float | None, ...]
) -> None:
    """What is about likeness wants a picture, and geometry all of it."""
    if not asked and any(given is not None for given in (crop, *others)):
        raise click.UsageError("--plus, --minus, --crop and --diverse need a picture: give an IMAGE or --id.")
    if not asked and (one_in is not None or levers.expand or levers.geometry):
        raise click.UsageError(
            "--one-in, --preset, --expand and --geometry are about likeness: give an IMAGE or --id with them."
        )
    if levers.geometry and crop is not None:
        raise click.UsageError("--geometry looks at whole pictures: leave out --crop or --geometry.")


def _print(results: Iterable[QueryResult], form: str, null: bool) -> None:
    from simsearch.report import machine

    if form == "table":
        from simsearch.report.table import query_tables

        answer_text(query_tables(results, screen()))
    elif form == "json":
        # Whole, so that an error on the way leaves no half of a value on stdout.
        answer([machine.to_json(list(results))])
    elif form == "jsonl":
        answer(machine.to_jsonl(results))
    elif form == "csv":
        answer(machine.to_csv(results))
    else:
        answer(machine.to_paths(results, end=b"\0" if null else b"\n"))


def _write_page(
    results: Sequence[QueryResult],
    searcher: Searcher,
    pictures: dict[str, str | bytes],
    output: Output,
) -> Sequence[QueryResult]:
    """Write the page; the results are given back."""
    from simsearch.report.html import query_page

    shown = dict(pictures)
    shown.update((hit.path, hit.path) for result in results for hit in result.hits)
    thumbnails = {name: data for name, source in shown.items() if (data := searcher.thumbnail(source))}
    subtitle = f"Index {searcher.index.path}, {searcher.index.spec.backbone}"
    write_page([query_page(results, thumbnails, subtitle=subtitle)], output.html, output.browse, "hits.html")
    return results
