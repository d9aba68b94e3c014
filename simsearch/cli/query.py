"""simsearch query: the photos of an index that look most like the ones given."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import click

from simsearch.cli.options import Common, common_options
from simsearch.cli.output import answer, answer_text, check_page, form_of, note, screen, write_page
from simsearch.errors import NotIndexed, PhotoUnreadable

if TYPE_CHECKING:
    from simsearch.engine.queries.examples import Example
    from simsearch.engine.queries.region import Box
    from simsearch.engine.search import QueryOptions, Searcher
    from simsearch.records import QueryResult


Names = tuple[str, ...]

USUAL = 0.7
"""What relevance counts with --diverse alone; `simsearch.engine.queries.diversity.BALANCE`."""


class QueryCommand(click.Command):
    """A command whose --diverse takes the word after it only where that is a number, and else an IMAGE."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments."""
        end = args.index("--") if "--" in args else len(args)
        for place in range(end):
            following = args[place + 1] if place + 1 < len(args) else ""
            if args[place] == "--diverse" and _number(following) is None:
                args[place] = f"--diverse={USUAL}"
        return super().parse_args(ctx, args)


def _number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None


def _score(_: click.Context, parameter: click.Parameter, value: float | None) -> float | None:
    if value is not None and not -1 <= value <= 1:
        raise click.BadParameter(f"{value} is not a cosine, which lies from -1 to 1.", param=parameter)
    return value


@click.command("query", cls=QueryCommand)
@click.argument("images", nargs=-1, metavar="[IMAGE|-]...")
@click.option("-k", type=click.IntRange(min=1), default=10, show_default=True, help="Hits a query.")
@click.option("--min-score", type=float, callback=_score, help="Only hits with at least this cosine.")
@click.option("--max-score", type=float, callback=_score, help="Only hits with at most this cosine.")
@click.option("--include-self", is_flag=True, help="Let the query's own file be among its hits.")
@click.option(
    "--center/--no-center",
    default=None,
    help="Score by vectors seen from the middle of the collection. [default: as rebuild was told, else not]",
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
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "jsonl", "csv", "paths"]),
    help="What to write to stdout. [default: table]",
)
@click.option("-0", "--null", is_flag=True, help="With --format paths: a NUL after each path, for xargs -0.")
@click.option("--html", metavar="FILE", help="Also write a page with the pictures.")
@click.option("--open", "browse", is_flag=True, help="Open that page in the browser.")
@common_options
def command(
    common: Common,
    images: tuple[str, ...],
    k: int,
    min_score: float | None,
    max_score: float | None,
    include_self: bool,
    center: bool | None,
    ids: tuple[int, ...],
    plus: Names,
    minus: Names,
    crop: str | None,
    where: str | None,
    folder: Names,
    since: str | None,
    until: str | None,
    formats: Names,
    diverse: float | None,
    parts: str,
    form: str | None,
    null: bool,
    html: str | None,
    browse: bool,
) -> None:
    """Find the photos that look most like each IMAGE.

    An IMAGE is a file, indexed or not; - is a picture on standard input. The score is the cosine, higher is
    closer. Files with the same bytes are one hit.

    --plus and --minus are added to each IMAGE, and their files are no hits. What --where, --folder, --since,
    --until and --type say has to hold all together.
    """
    form = form_of(form, common, null)
    check_page(html)
    _check_queries(images, ids)
    if min_score is not None and max_score is not None and min_score > max_score:
        raise click.UsageError("--min-score is above --max-score, so that nothing can match.")
    from simsearch.engine.queries.filters import PhotoFilter
    from simsearch.engine.search import QueryOptions, Searcher

    with _wrong_usage():
        photos = PhotoFilter(folder, formats, since=since, until=until, where=where)
        options = QueryOptions(
            *(k, min_score, max_score, include_self, center),
            photos=photos,
            diverse=diverse,
            plus=_examples(plus),
            minus=_examples(minus),
            box=_box(crop),
            tiles=parts == "all",
        )
    with Searcher(common.index, note=note) as searcher:
        asked = _Asked(searcher, _looked_at(searcher, options))
        results: Iterable[QueryResult] = asked.answers(images, ids)
        if html is not None or browse:
            results = list(results)
            _write_page(results, searcher, asked.pictures, html, browse)
        _print(results, form, null)
    if asked.failed:
        raise click.exceptions.Exit(1)


def _check_queries(images: Names, ids: tuple[int, ...]) -> None:
    if not images and not ids:
        raise click.UsageError("Give an IMAGE, - for standard input, or --id.")
    if images.count("-") > 1:
        raise click.UsageError("Standard input holds one picture: give - once.")


@contextmanager
def _wrong_usage() -> Iterator[None]:
    from simsearch.errors import QueryInvalid

    try:
        yield
    except QueryInvalid as exc:
        raise click.UsageError(str(exc)) from exc


def _box(crop: str | None) -> Box | None:
    from simsearch.engine.queries.region import Box

    return Box.parse(crop) if crop is not None else None


def _examples(items: Names) -> tuple[Example, ...]:
    """The example of each IMAGE[=WEIGHT]; a file that is really called so is an IMAGE."""
    from simsearch.engine.queries.examples import Example

    found = []
    for item in items:
        path, _, weight = item.rpartition("=")
        number = _number(weight)
        weighted = path and number is not None and not os.path.lexists(item)
        found.append(Example(path, number) if weighted else Example(item))
    return tuple(found)


def _looked_at(searcher: Searcher, options: QueryOptions) -> QueryOptions:
    """The options with their examples looked at once, and not for each IMAGE."""
    plus, minus = (tuple(searcher.look_at(one) for one in side) for side in (options.plus, options.minus))
    return replace(options, plus=plus, minus=minus)


@dataclass(slots=True)
class _Asked:
    """Asks one query after another; a bad one costs its own line on stderr and not the others."""

    searcher: Searcher
    options: QueryOptions
    failed: int = 0
    # The file, or on standard input the bytes, behind the name of a query.
    pictures: dict[str, str | bytes] = field(default_factory=dict)

    def answers(self, images: Sequence[str], ids: Sequence[int]) -> Iterator[QueryResult]:
        """The results of those queries that have one, in order."""
        from simsearch.errors import RegionOutside

        queries: list[str | int] = [*images, *ids]
        for query in queries:
            try:
                yield self._answer(query)
            except (PhotoUnreadable, NotIndexed, RegionOutside) as exc:
                self.failed += 1
                note(f"Error: {exc}")

    def _answer(self, query: str | int) -> QueryResult:
        if isinstance(query, int):
            result = self.searcher.query_id(query, self.options)
            self.pictures[result.query] = self.searcher.index.paths_of(query)[0]
        elif query == "-":
            data = sys.stdin.buffer.read()
            if not data:
                raise PhotoUnreadable("There is nothing on standard input; - reads a picture from there.")
            result = self.searcher.query_bytes(data, "-", self.options)
            self.pictures[result.query] = data
        else:
            result = self.searcher.query_path(query, self.options)
            self.pictures[result.query] = result.query
        return result


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
    html: str | None,
    browse: bool,
) -> None:
    from simsearch.report.html import query_page

    shown = dict(pictures)
    shown.update((hit.path, hit.path) for result in results for hit in result.hits)
    thumbnails = {name: data for name, source in shown.items() if (data := searcher.thumbnail(source))}
    subtitle = f"Index {searcher.index.path}, {searcher.index.spec.backbone}"
    write_page([query_page(results, thumbnails, subtitle=subtitle)], html, browse, "hits.html")
