"""simsearch rebuild: make the search view of an index anew from its vectors."""

from __future__ import annotations

import sys

import click

from simsearch.cli.options import Common, common_options
from simsearch.cli.output import answer, answer_text, is_terminal, note


def _share(_: click.Context, parameter: click.Parameter, value: float) -> float:
    if not 0 < value <= 1:
        raise click.BadParameter(f"{value} is not a share between 0 and 1.", param=parameter)
    return value


class _View(click.Choice[str]):
    """A kind of view, or the address of a server that holds one."""

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from simsearch.views.remote.address import is_milvus

        return value if is_milvus(value) else super().convert(value, param, ctx)


@click.command("rebuild", short_help="Make the search view of an index anew.")
@click.option(
    "--view",
    type=_View(["auto", "exact", "ivf", "hnsw"]),
    metavar="[auto|exact|ivf|hnsw|milvus://HOST:PORT/COLLECTION]",
    default="auto",
    show_default=True,
    help="exact compares every photo, ivf is quicker for many, hnsw somewhat quicker still for five times "
    "the memory; auto is exact up to 20,000 vectors and for --recall 1, else ivf. milvus:// feeds a Milvus "
    "server, whose token is in $SIMSEARCH_MILVUS_TOKEN.",
)
@click.option(
    "--recall",
    type=float,
    callback=_share,
    default=0.99,
    show_default=True,
    help="Share of the true ten best that the view has to find, measured on photos of the index.",
)
@click.option(
    "--robust",
    is_flag=True,
    help="Search harder than --recall asks for: for pictures that are unlike those of the index.",
)
@click.option(
    "--center/--no-center",
    default=None,
    help="Whether queries score by vectors seen from the middle of the collection; remembered.",
)
@click.option("--thumbnails", is_flag=True, help="Make the missing thumbnails instead, for the browser.")
@common_options
def command(
    common: Common, view: str, recall: float, robust: bool, center: bool | None, thumbnails: bool
) -> None:
    """Make the search view anew, without embedding a photo again.

    With --thumbnails the view stays, and the small pictures that pages show, which are otherwise made when
    they are first looked at, are made for all photos.
    """
    if thumbnails:
        if (view, recall, robust, center) != ("auto", 0.99, False, None):
            raise click.UsageError("--thumbnails leaves the view alone: leave out the other options.")
        _make_thumbnails(common)
        return
    from simsearch.engine.maintenance.view import rebuild
    from simsearch.report.lines import view_line
    from simsearch.report.machine import to_json

    shown = None if common.quiet else note
    info = rebuild(common.index, view=view, recall=recall, robust=robust, center=center, note=shown)
    if common.json:
        answer([to_json(info)])
    else:
        answer_text([f"{view_line(info)}\n"])


def _make_thumbnails(common: Common) -> None:
    from simsearch.engine.maintenance.thumbnails import make_thumbnails
    from simsearch.report.lines import thumbnails_line
    from simsearch.report.machine import to_json

    if common.quiet or not is_terminal(sys.stderr):
        report = make_thumbnails(common.index)
    else:
        from simsearch.report.progress import CountProgress

        with CountProgress(sys.stderr, "Thumbnails", "photos") as progress:
            report = make_thumbnails(common.index, progress=progress.update)
    if common.json:
        answer([to_json(report)])
    else:
        answer_text([thumbnails_line(report)])
