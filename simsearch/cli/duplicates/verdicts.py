"""simsearch verdicts: what was said about copies, so that nothing is asked twice."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from simsearch.cli.options import Common, common_options, home
from simsearch.cli.output import answer, answer_text, note, screen
from simsearch.errors import PhotoUnreadable
from simsearch.paths import canonical

if TYPE_CHECKING:
    from simsearch.dedup.verdicts import Verdicts

_PATHS = click.Path(path_type=Path)


@click.group("verdicts", short_help="Say that photos are no copies, or all stay.")
def command() -> None:
    """Say that photos are no copies of each other or all stay; simsearch dedup asks no more then.

    A verdict is on what files hold and not on their names: it stays in force when they are moved or renamed,
    and when the index is made anew. A new copy is shown once.
    """


@click.command("list", short_help="List what was said.")
@common_options
def list_verdicts(common: Common) -> None:
    """List all verdicts and labels, the oldest first, with the indexed files that they are on."""
    from simsearch.report.duplicates.verdicts import verdict_rows, verdicts_table
    from simsearch.report.machine import to_json

    with _opened(common) as verdicts:
        decisions, labels = verdicts.all(), verdicts.labels()
    digests = {sha for item in decisions for sha in item.contents}
    digests |= {sha for label in labels for sha in (label.first, label.second)}
    rows = verdict_rows(decisions, labels, _files(common, digests))
    if common.json:
        answer([to_json(rows)])
    elif rows:
        answer_text([verdicts_table(rows, screen())])
    else:
        note("There is no verdict yet.")


@click.command("different", short_help="Say that no two of these are copies.")
@click.argument("paths", nargs=-1, required=True, metavar="PATH PATH...", type=_PATHS)
@common_options
def different(common: Common, paths: tuple[Path, ...]) -> None:
    """Say that no two of these files are copies of each other."""
    paths = _at_least_two(paths)
    with _opened(common) as verdicts:
        verdicts.different(_digests(paths))
    _tell(common, f"{len(paths)} files are not copies of each other.")


@click.command("keep-all", short_help="Say that all of these stay.")
@click.argument("paths", nargs=-1, required=True, metavar="PATH PATH...", type=_PATHS)
@common_options
def keep_all(common: Common, paths: tuple[Path, ...]) -> None:
    """Say that all of these files stay, copies or not."""
    paths = _at_least_two(paths)
    with _opened(common) as verdicts:
        verdicts.keep_all(_digests(paths))
    _tell(common, f"{len(paths)} files all stay.")


@click.command("label", short_help="Say whether two are copies.")
@click.argument("first", type=_PATHS)
@click.argument("second", type=_PATHS)
@click.argument("said", type=click.Choice(["copies", "different"]))
@common_options
def label(common: Common, first: Path, second: Path, said: str) -> None:
    """Say whether two files are copies of each other, for simsearch dedup --threshold auto.

    That is what simsearch dedup --label asks. It takes the place of an earlier answer, it tells the threshold
    for all pictures, and unlike verdicts different it takes these two out of no group by itself. simsearch
    verdicts list shows it, verdicts forget takes it back.
    """
    one, other = _digests(_at_least_two((first, second)))
    with _opened(common) as verdicts:
        verdicts.put_label(one, other, said == "copies")
    told = "copies" if said == "copies" else "different pictures"
    _tell(common, f"Kept that these are {told}; simsearch dedup --threshold auto{common.index_flag} uses it.")


@click.command("forget", short_help="Take back what was said of these.")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=_PATHS)
@common_options
def forget(common: Common, paths: tuple[Path, ...]) -> None:
    """Take back every verdict and every label that one of these files is part of."""
    from simsearch.report.duplicates.words import counted
    from simsearch.report.machine import to_json

    with _opened(common) as verdicts:
        forgotten = verdicts.forget(_digests(paths))
    if common.json:
        answer([to_json({"forgotten": forgotten})])
    else:
        answer_text([f"{counted(forgotten, 'verdict or label', 'verdicts or labels')} taken back.\n"])


def _opened(common: Common) -> Verdicts:
    from simsearch.dedup.verdicts import Verdicts

    return Verdicts.open(common.index)


def _at_least_two(paths: tuple[Path, ...]) -> tuple[Path, ...]:
    """The files, each once by whatever spelling, link or hard link it is named."""
    files: dict[object, Path] = {}
    for path in paths:
        place = canonical(home(path))
        try:
            found = os.stat(place)
        except OSError:
            # In a store or an archive, or not there, of which reading it will tell.
            files[place] = path
        else:
            files.setdefault((found.st_dev, found.st_ino), path)
    if len(files) < 2:
        raise click.UsageError("Give two files or more; links to one file are that file.")
    return tuple(files.values())


def _digests(paths: tuple[Path, ...]) -> list[bytes]:
    """The SHA-256 of each file, object or member of an archive. Raises PhotoUnreadable."""
    from simsearch.media.sources.held import digest_of

    found = []
    for path in paths:
        try:
            found.append(digest_of(canonical(home(path)))[0])
        except PhotoUnreadable as exc:
            raise PhotoUnreadable(f"{path} {exc}. Name a file that is there.") from exc
    return found


def _files(common: Common, wanted: set[bytes]) -> dict[bytes, tuple[str, ...]]:
    """The paths of indexed files with these digests."""
    from simsearch.engine.index import Index

    if not wanted:
        return {}
    with Index.open(common.index) as index:
        digests = ((bytes.fromhex(photo.sha256), photo.paths) for photo in index.photos())
        return {digest: paths for digest, paths in digests if digest in wanted}


def _tell(common: Common, line: str) -> None:
    from simsearch.report.machine import to_json

    if common.json:
        answer([to_json({"ok": True})])
    else:
        answer_text([f"{line}\n"])


for subcommand in (list_verdicts, different, keep_all, label, forget):
    command.add_command(subcommand)
