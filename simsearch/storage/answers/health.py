"""Checks verdicts.db, and makes a damaged one whole with all of it that can still be read."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import tempfile
from pathlib import Path

import sqlalchemy as sa

from simsearch.errors import FormatUnknown, IndexDamaged, IndexUnwritable
from simsearch.records import Problem
from simsearch.storage.answers.reading import Found
from simsearch.storage.answers.store import Answers
from simsearch.storage.answers.tables import TABLES, VERDICTS
from simsearch.storage.disk.durable import sync_folder

ASIDE = f"{VERDICTS}.damaged"
"""What mending leaves of a damaged file."""


def problems(folder: Path) -> tuple[Problem, ...]:
    """What is wrong with the verdicts of an index: SQLite's check and every row's seal."""
    advice = f"simsearch index --repair -i {shlex.quote(str(folder))}"
    try:
        with Answers(folder) as answers:
            found = [f"SQLite: {line}" for line in answers.check()]
            for table in TABLES:
                rows = answers.found(table)
                if rows.damaged:
                    found.append(f"{len(rows.damaged)} of its {table.name} are not what was written")
                if not rows.whole:
                    found.append(f"some of its {table.name} cannot be read")
    except IndexDamaged as exc:
        found = [str(exc).partition(" Run: simsearch verify")[0]]
    except FormatUnknown as exc:
        return (Problem(VERDICTS, str(exc).partition(" Update simsearch")[0], "see there"),)
    return tuple(Problem(VERDICTS, what, advice) for what in found)


def mend(folder: Path) -> int:
    """Keep of damaged verdicts what can still be read; how many rows are known to be lost.

    Nothing is done where nothing is wrong. Single damaged rows are deleted; where pages cannot be read, the
    rest goes into a new file and the damaged one stays beside it as `verdicts.db.damaged`. What is lost is
    asked again. Raises IndexUnwritable, FormatUnknown.
    """
    if not problems(folder):
        return 0
    found: dict[sa.Table, Found] = {}
    with contextlib.suppress(IndexDamaged), Answers(folder) as answers:
        found = {table: answers.found(table) for table in TABLES}
        if all(rows.whole for rows in found.values()) and not answers.check():
            for table, rows in found.items():
                answers.drop_rows(table, rows.damaged)
            return sum(len(rows.damaged) for rows in found.values())
    try:
        with tempfile.TemporaryDirectory(prefix=".verdicts-", dir=folder) as place:
            with Answers(Path(place)) as fresh:
                fresh.put_rows({table: rows.rows for table, rows in found.items()})
            _swap(folder, Path(place) / VERDICTS)
    except OSError as exc:
        raise IndexUnwritable(
            f"Cannot mend {folder / VERDICTS}: {exc.strerror or exc}. Check permissions and free space."
        ) from exc
    return sum(len(rows.damaged) for rows in found.values())


def _swap(folder: Path, new: Path) -> None:
    """Put a new file in the place of the damaged one, of which a copy stays."""
    path, journal = folder / VERDICTS, folder / f"{VERDICTS}-journal"
    shutil.copyfile(path, folder / ASIDE)
    # The new file would be rolled back to what the old one was.
    journal.unlink(missing_ok=True)
    os.replace(new, path)
    sync_folder(folder)
