"""simsearch query: the photos of an index that look most like the ones given."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from simsearch.cli.options import Common, common_options
from simsearch.cli.output import answer, answer_text, note, screen
from simsearch.errors import NotIndexed, PhotoUnreadable, SimsearchError

if TYPE_CHECKING:
    from simsearch.engine.search import QueryOptions, Searcher
    from simsearch.records import QueryResult


def _score(_: click.Context, parameter: click.Parameter, value: float | None) -> float | None:
    if value is not None and not -1 <= value <= 1:
        raise click.BadParameter(f"{value} is not a cosine, which lies from -1 to 1.", param=parameter)
    return value


@click.command("query")
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
    form: str | None,
    null: bool,
    html: str | None,
    browse: bool,
) -> None:
    """Find the photos that look most like each IMAGE.

    An IMAGE is a file, indexed or not; - is a picture on standard input. The score is the cosine, higher is
    closer. Files with the same bytes are one hit.
    """
    form = _form(form, null, common)
    if not images and not ids:
        raise click.UsageError("Give an IMAGE, - for standard input, or --id.")
    if min_score is not None and max_score is not None and min_score > max_score:
        raise click.UsageError("--min-score is above --max-score, so that nothing can match.")
    if images.count("-") > 1:
        raise click.UsageError("Standard input holds one picture: give - once.")
    from simsearch.engine.search import QueryOptions, Searcher

    options = QueryOptions(k, min_score, max_score, include_self, center)
    with Searcher(common.index, note=note) as searcher:
        asked = _Asked(searcher, options)
        results: Iterable[QueryResult] = asked.answers(images, ids)
        if html is not None or browse:
            results = list(results)
            _write_page(results, searcher, asked.pictures, html, browse)
        _print(results, form, null)
    if asked.failed:
        raise click.exceptions.Exit(1)


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
        queries: list[str | int] = [*images, *ids]
        for query in queries:
            try:
                yield self._answer(query)
            except (PhotoUnreadable, NotIndexed) as exc:
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


def _form(form: str | None, null: bool, common: Common) -> str:
    if common.json and form not in (None, "json"):
        raise click.UsageError(f"--json and --format {form} contradict each other.")
    form = "json" if common.json else form or "table"
    if null and form != "paths":
        raise click.UsageError("-0 goes with --format paths.")
    return form


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
    import tempfile

    from simsearch.report.html import query_page

    shown = dict(pictures)
    shown.update((hit.path, hit.path) for result in results for hit in result.hits)
    thumbnails = {name: data for name, source in shown.items() if (data := searcher.thumbnail(source))}
    page = query_page(
        results, thumbnails, subtitle=f"Index {searcher.index.path}, {searcher.index.spec.backbone}"
    )
    try:
        if html is None:
            html = str(Path(tempfile.mkdtemp(prefix="simsearch-")) / "hits.html")
        Path(html).write_text(page, encoding="utf-8")
    except OSError as exc:
        raise SimsearchError(f"The page {html} cannot be written: {exc.strerror or exc}.") from exc
    note(f"Wrote {html}")
    if browse:
        import webbrowser

        if not webbrowser.open(Path(html).absolute().as_uri()):
            note(f"No browser could be started; open {html} yourself.")
