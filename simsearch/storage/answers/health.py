"""Checks verdicts.db, and makes a damaged one whole with all of it that can still be read."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
import tempfile
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import sqlalchemy as sa

from simsearch.errors import FormatUnknown, IndexDamaged, IndexUnwritable
from simsearch.records import Problem
from simsearch.storage.answers.reading import Found
from simsearch.storage.answers.store import Answers, refuse_link
from simsearch.storage.answers.tables import TABLES, VERDICTS
from simsearch.storage.disk.durable import BINARY, sync_folder, write_at

ASIDE = f"{VERDICTS}.damaged"
"""What mending leaves of a damaged file; a second one has "-2" behind that."""


@dataclass(frozen=True, slots=True)
class Mended:
    """What came of mending: answers kept, answers known to be lost, and where the damaged file lies.

    `aside` is None where every page could be read; elsewhere more may be lost than is known.
    """

    kept: int
    lost: int
    aside: Path | None


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


def mend(folder: Path) -> Mended | None:
    """Keep of damaged verdicts what can still be read; None where nothing is wrong.

    Single damaged rows are deleted; where pages cannot be read, the rest goes into a new file and the damaged
    one stays beside it as `verdicts.db.damaged`. What is lost is asked again. Whoever wants to write
    meanwhile waits, and then finds the new file. Raises IndexUnwritable, also for a link, and FormatUnknown.
    """
    path = folder / VERDICTS
    refuse_link(path)
    if not path.exists():
        return None
    with contextlib.ExitStack() as held:
        found: dict[sa.Table, Found] = {}
        whole = False
        # What cannot even be locked nobody else can write to either.
        with contextlib.suppress(IndexDamaged):
            answers = held.enter_context(Answers(folder))
            connection = held.enter_context(answers.writing())
            found = {table: answers.found(table) for table in TABLES}
            whole = all(rows.whole for rows in found.values()) and not answers.check()
        kept = sum(len(rows.rows) for rows in found.values())
        lost = sum(len(rows.damaged) for rows in found.values())
        if whole:
            for table, rows in found.items():
                answers.drop_rows(connection, table, rows.damaged)
            return Mended(kept, lost, None) if lost else None
        try:
            with tempfile.TemporaryDirectory(prefix=".verdicts-", dir=folder) as place:
                with Answers(Path(place)) as fresh:
                    fresh.put_rows({table: rows.rows for table, rows in found.items()})
                if sys.platform == "win32":
                    # It replaces no file that is open.
                    held.close()
                return Mended(kept, lost, _swap(folder, Path(place) / VERDICTS))
        except OSError as exc:
            raise IndexUnwritable(
                f"Cannot mend {path}: {exc.strerror or exc}. Check permissions and free space."
            ) from exc


def _swap(folder: Path, new: Path) -> Path:
    """Put a new file in the place of the damaged one; where that lies now."""
    path, journal = folder / VERDICTS, folder / f"{VERDICTS}-journal"
    for number in count(1):
        aside = folder / (ASIDE if number == 1 else f"{ASIDE}-{number}")
        if _put_aside(path, aside):
            break
    if os.path.lexists(journal):
        # The new file would be rolled back to what the old one was.
        os.replace(journal, f"{aside}-journal")
    os.replace(new, path)
    sync_folder(folder)
    return aside


def _put_aside(path: Path, aside: Path) -> bool:
    """Give a file a second name, or make a copy where there are none; False where that name is taken."""
    try:
        os.link(path, aside)
    except FileExistsError:
        return False
    except OSError:
        try:
            fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | BINARY, 0o644)
        except FileExistsError:
            return False
        try:
            write_at(fd, path.read_bytes(), 0)
            os.fsync(fd)
        except OSError:
            aside.unlink()
            raise
        finally:
            os.close(fd)
    return True
