"""simsearch export: the vectors and their photos as plain files."""

from __future__ import annotations

from pathlib import Path

import click

from simsearch.cli.options import Common, common_options, home
from simsearch.cli.output import answer, answer_text


@click.command("export", short_help="Write vectors and photos as plain files.")
@click.argument("folder", metavar="FOLDER", type=click.Path(path_type=Path))
@click.option("--parquet", is_flag=True, help="Write photos.parquet instead of photos.csv.")
@common_options
def command(common: Common, folder: Path, parquet: bool) -> None:
    """Write vectors.npy, photos.csv and spec.json into a new FOLDER.

    vectors.npy holds float32 (n, dim), of length 1, as stored; row r of photos.csv (row, id, path, sha256,
    width, height, format, taken_at, copies) belongs to row r of it. simsearch import FOLDER takes it in.
    """
    from simsearch.engine.exchange.export import export
    from simsearch.report.lines import export_line
    from simsearch.report.machine import to_json

    report = export(home(folder), common.index, parquet=parquet)
    if common.json:
        answer([to_json(report)])
    else:
        answer_text([export_line(report)])
