"""simsearch import: embeddings that were made elsewhere."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from simsearch.cli.options import Common, common_options, home
from simsearch.cli.output import answer, answer_text, is_terminal, note


@click.command("import", short_help="Take in embeddings made elsewhere.")
@click.argument("vectors", type=click.Path(path_type=Path))
@click.argument("photos", type=click.Path(path_type=Path), required=False)
@click.option("--model", metavar="NAME", help="The model that made them; a few are made again to check.")
@click.option("--weights", metavar="FILE", help="Its checkpoint, where it is not the usual one.")
@click.option(
    "--pooling",
    type=click.Choice(["avg", "max", "gem"]),
    default="avg",
    show_default=True,
    help="How its last feature map became a vector.",
)
@click.option("--spec", "name", metavar="NAME", help="A name for vectors of a model unknown here.")
@common_options
def command(
    common: Common,
    vectors: Path,
    photos: Path | None,
    model: str | None,
    weights: str | None,
    pooling: str,
    name: str | None,
) -> None:
    """Add ready embeddings: VECTORS is .npy of shape (n, dim), PHOTOS a .csv or .parquet with a column path.

    Row r of PHOTOS belongs to row r of VECTORS. A folder that simsearch export wrote is taken by itself.
    Each photo is read once; one that is not there, or whose bytes are not those of a column sha256, is left
    out and listed. With --spec, only indexed photos can be searched by.
    """
    if name is not None and (model is not None or weights is not None or pooling != "avg"):
        raise click.UsageError("--spec is for an unknown model: leave out --model and --weights.")
    from simsearch.engine.exchange.importing import import_embeddings
    from simsearch.engine.exchange.origin import Origin
    from simsearch.models.choice import ModelChoice
    from simsearch.report.lines import import_line, skipped_lines
    from simsearch.report.machine import to_json
    from simsearch.report.progress import CountProgress

    said = model is not None or weights is not None or pooling != "avg"
    choice = ModelChoice(model or "auto", weights, pooling) if said else None
    origin = Origin(home(vectors), home(photos) if photos else None, choice, name)
    if common.quiet or not is_terminal(sys.stderr):
        report = import_embeddings(origin, common.index, note=note)
    else:
        with CountProgress(sys.stderr, "Reading", "photos") as progress:
            report = import_embeddings(origin, common.index, note=progress.note, progress=progress.update)
    for line in skipped_lines(report.skipped, more="the same with --json"):
        note(line)
    if common.json:
        answer([to_json(report)])
    else:
        answer_text([import_line(report)])
    if report.skipped and not report.added + report.known:
        raise click.exceptions.Exit(1)
