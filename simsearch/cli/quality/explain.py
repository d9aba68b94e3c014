"""simsearch explain: which regions made two pictures alike."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from simsearch.cli.options import Common, common_options, home
from simsearch.cli.output import answer, answer_text, check_page, form_of, note, screen, write_page
from simsearch.errors import SimsearchError

if TYPE_CHECKING:
    from simsearch.quality.why.explain import Basis
    from simsearch.quality.why.records import Explanation

_START = 4096


@click.command("explain", short_help="Show which regions made two pictures alike.")
@click.argument("first", metavar="A", type=click.Path(path_type=Path))
@click.argument("second", metavar="B", type=click.Path(path_type=Path))
@click.option(
    "--model", metavar="NAME", help="Explain by this model and not by an index; see simsearch models."
)
@click.option("--weights", metavar="FILE", help="Explain by this checkpoint (.pth or .safetensors).")
@click.option(
    "--center/--no-center",
    default=None,
    help="Score by vectors seen from the middle of the collection. [default: as the index is set]",
)
@click.option("--png", metavar="FILE", help="Also write a picture: both side by side under their heat.")
@click.option("--html", metavar="FILE", help="Also write a page that shows what matches what.")
@click.option("--open", "browse", is_flag=True, help="Open that page in the browser.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json"]),
    help="What to write to stdout. [default: table]",
)
@common_options
def command(
    common: Common,
    first: Path,
    second: Path,
    model: str | None,
    weights: str | None,
    center: bool | None,
    png: str | None,
    html: str | None,
    browse: bool,
    form: str | None,
) -> None:
    """Show which regions made two pictures, A and B, alike to the search.

    The vector of a picture is a sum over the places of a grid, so that the score splits exactly into what
    each place adds. Told are, for each picture, the boxes of the places that make half of the score; --json
    has all places. The model, weights and centring of the index are used, whether the pictures are in it or
    not; with --model or --weights no index is. See docs/explain.md.
    """
    form = form_of(form, common)
    _check_model(common, model, weights, center)
    check_page(html)
    _check_png(png)
    from simsearch.quality.why.explain import explain

    first, second = home(first), home(second)
    basis = _basis(common, model, weights, center)
    explanation = explain(first, second, basis=basis)
    if png is not None or html is not None or browse:
        _draw(explanation, basis, png, html, browse)
    _show(explanation, form)


def _check_model(common: Common, model: str | None, weights: str | None, center: bool | None) -> None:
    if model is None and weights is None:
        return
    if common.index is not None:
        raise click.UsageError("--model and --weights explain without an index: leave -i out, or them.")
    if center:
        raise click.UsageError("--center is of an index: it does not go with --model and --weights.")


def _check_png(png: str | None) -> None:
    """Raises SimsearchError where a picture would take the place of a file that was not made here."""
    if png is None or not os.path.lexists(png):
        return
    from simsearch.report.quality.explanation.image import is_explanation

    try:
        with open(png, "rb") as file:
            ours = is_explanation(file.read(_START))
    except OSError as exc:
        raise SimsearchError(f"The picture {png} cannot be written: {exc.strerror or exc}.") from exc
    if not ours:
        raise SimsearchError(
            f"{png} is there already and was not made by simsearch explain, so it is not replaced. "
            "Name another file."
        )


def _basis(common: Common, model: str | None, weights: str | None, center: bool | None) -> Basis:
    from simsearch.engine.index import Index
    from simsearch.models.choice import ModelChoice
    from simsearch.quality.why.explain import basis_of, basis_of_model

    if model is not None or weights is not None:
        return basis_of_model(ModelChoice.from_environment(model, weights), note=note)
    with Index.open(common.index) as index:
        return basis_of(index, center=center)


def _draw(explanation: Explanation, basis: Basis, png: str | None, html: str | None, browse: bool) -> None:
    from simsearch.framing import Fitting
    from simsearch.quality.why.explain import decoded
    from simsearch.report.quality.explanation.image import SIDE, explanation_png, jpeg
    from simsearch.report.quality.explanation.page import explanation_page

    # Twice as large: the last step is then done by a filter that keeps lines smooth.
    files = (explanation.first.path, explanation.second.path)
    pictures = [found.pixels for found in decoded(files, Fitting(2 * SIDE), basis.limits)]
    if png is not None:
        try:
            Path(png).write_bytes(explanation_png(explanation, pictures))
        except OSError as exc:
            raise SimsearchError(f"The picture {png} cannot be written: {exc.strerror or exc}.") from exc
        note(f"Wrote {png}")
    if html is not None or browse:
        page = explanation_page(explanation, [jpeg(pixels) for pixels in pictures])
        write_page(page, html, browse, "explanation.html")


def _show(explanation: Explanation, form: str) -> None:
    from simsearch.report.quality.explanation.machine import explanation_json
    from simsearch.report.quality.explanation.table import explanation_table

    if form == "json":
        answer([explanation_json(explanation)])
    else:
        answer_text([explanation_table(explanation, screen())])
