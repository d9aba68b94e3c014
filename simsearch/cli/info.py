"""simsearch info: what an index holds, how it was made and what it had to leave out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from simsearch.cli.options import Common, common_options
from simsearch.cli.output import answer, answer_text, note, screen
from simsearch.errors import SimsearchError

if TYPE_CHECKING:
    from simsearch.records import IndexInfo


@click.command("info")
@click.argument("photos", nargs=-1, metavar="[PHOTO]...")
@click.option("--skipped", is_flag=True, help="List the images that are not in the index, and why.")
@common_options
def command(common: Common, photos: tuple[str, ...], skipped: bool) -> None:
    """Show what an index holds, or what it knows of a PHOTO.

    Of an index also how it is searched; of a photo its labels, with their probabilities. Without -i and
    without a default index, every index that can be found by name is shown.
    """
    if photos and skipped:
        raise click.UsageError("--skipped lists files of the index, so no PHOTO goes with it.")
    from simsearch.paths import DATABASE, existing_index, list_indexes, resolve_index

    named = common.index is not None or bool(os.environ.get("SIMSEARCH_INDEX"))
    if named or skipped or photos or (resolve_index(common.index) / DATABASE).exists():
        folder = existing_index(common.index)
        if photos:
            _show_photos(folder, photos, common)
        elif skipped:
            _show_skipped(folder, common)
        else:
            _show_one(folder, common)
    else:
        _show_all(list_indexes(), common)


def _show_one(folder: Path, common: Common) -> None:
    from simsearch.report.machine import to_json
    from simsearch.report.table import info_table

    info = _read(folder)
    if common.json:
        answer([to_json(info)])
    else:
        answer_text([info_table(info, screen())])


def _show_photos(folder: Path, photos: Sequence[str], common: Common) -> None:
    from simsearch.engine.index import Index
    from simsearch.engine.labels.facts import photo_facts
    from simsearch.errors import NotIndexed
    from simsearch.report.machine import to_json
    from simsearch.report.table import photo_table

    found = []
    with Index.open(folder) as index:
        for photo in photos:
            try:
                found.append(photo_facts(index, photo))
            except NotIndexed as exc:
                note(f"Error: {exc}")
    if common.json:
        answer([to_json(found)])
    else:
        answer_text(("\n" if n else "") + photo_table(facts, screen()) for n, facts in enumerate(found))
    if len(found) < len(photos):
        raise click.exceptions.Exit(1)


def _show_skipped(folder: Path, common: Common) -> None:
    from simsearch.engine.index import Index
    from simsearch.report.machine import to_json
    from simsearch.report.table import skipped_table

    with Index.open(folder) as index:
        skipped = index.skipped()
    if common.json:
        answer([to_json(skipped)])
    elif skipped:
        answer_text([skipped_table(skipped, screen())])
    else:
        note("No image was skipped.")


def _show_all(folders: list[Path], common: Common) -> None:
    from simsearch.report.machine import to_json
    from simsearch.report.table import info_table

    found, failed = [], False
    for folder in folders:
        try:
            found.append(_read(folder))
        except SimsearchError as exc:
            failed = True
            note(f"Error: {exc}")
    if common.json:
        answer([to_json(found)])
    else:
        answer_text(("\n" if n else "") + info_table(info, screen()) for n, info in enumerate(found))
        if not folders:
            note("There is no index yet. Make one with: simsearch index FOLDER")
    if failed:
        raise click.exceptions.Exit(1)


def _read(folder: Path) -> IndexInfo:
    from simsearch.engine.index import Index

    with Index.open(folder) as index:
        return index.info()
