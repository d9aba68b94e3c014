"""Takes what is intact out of a damaged database: every row that can still be read and whose seal holds."""

from __future__ import annotations

import shutil
import struct
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from simsearch.errors import IndexDamaged, IndexUnwritable
from simsearch.storage.database import Database
from simsearch.storage.schema import APPLICATION_ID, FORMAT, SEALED, TABLES, seal, settings

PAGE = 512
LAST = 1 << 40
"""Past any row id that counting up from 1 has reached."""

Row = dict[str, Any]


@contextmanager
def damaged(path: Path) -> Iterator[Database]:
    """A database as far as it can be read; with damaged first 100 bytes, a copy that has them anew."""
    with closing(Database(path)) as database:
        if _has_header(database):
            yield database
            return
    with tempfile.TemporaryDirectory(prefix="simsearch-") as place:
        copy = Path(place) / path.name
        _copy(path, copy)
        with closing(Database(copy)) as database:
            yield database


def _copy(path: Path, copy: Path) -> None:
    try:
        for suffix in ("", "-wal", "-journal"):
            source = path.with_name(path.name + suffix)
            if source.exists():
                shutil.copyfile(source, copy.with_name(copy.name + suffix))
        with copy.open("r+b") as file:
            file.write(_header(copy.stat().st_size))
    except OSError as exc:
        raise IndexUnwritable(
            f"Cannot copy {path} to {copy.parent} to look at it: {exc.strerror or exc}. "
            "Make room, or name another place by $TMPDIR."
        ) from exc


def sound_rows(database: Database, table: sa.Table) -> Iterator[Row]:
    """The rows of a table that are what was written, by row id, past whatever cannot be read."""
    names = SEALED[table.name]
    for row in _walk(database, table):
        if seal(row[name] for name in names) == row["seal"]:
            yield {column.name: row[column.name] for column in table.columns}


def count_lost(database: Database, table: sa.Table) -> int:
    """How many rows of a table can be read and are not what was written."""
    names = SEALED[table.name]
    return sum(seal(row[name] for name in names) != row["seal"] for row in _walk(database, table))


def lost_settings(database: Database) -> list[str]:
    """The names, as they can be read, of settings that are not what was written."""
    names = SEALED[settings.name]
    rows = (row for row in _walk(database, settings) if seal(row[name] for name in names) != row["seal"])
    return [str(row["key"]) for row in rows]


def sound_settings(database: Database) -> dict[str, str]:
    """The settings that are what was written."""
    return {row["key"]: row["value"] for row in sound_rows(database, settings)}


def _walk(database: Database, table: sa.Table) -> Iterator[Row]:
    """Every row that can be read: page by page, and around a place that cannot by ever longer leaps."""
    at, reached, limit, leap = 1, 0, PAGE, 1
    while at <= LAST:
        page = _page(database, table, at, limit)
        if page is None and limit > 1:
            limit //= 8
        elif page is None:
            at, leap = at + leap, 2 * leap
        else:
            if leap > 1:
                yield from _back(database, table, page[0]["rowid"] if page else at, reached)
            yield from page
            if len(page) < limit:
                return
            at, limit, leap = page[-1]["rowid"] + 1, PAGE, 1
            reached = at - 1
    yield from _back(database, table, LAST, reached)


def _back(database: Database, table: sa.Table, before: int, reached: int) -> Iterator[Row]:
    """The rows that the last leap went past, downward from `before` to what cannot be read."""
    limit = PAGE
    while limit:
        page = _page(database, table, before, limit, down=True)
        if page is None:
            limit //= 8
            continue
        yield from (row for row in page if row["rowid"] > reached)
        if len(page) < limit or page[-1]["rowid"] <= reached:
            return
        before = page[-1]["rowid"]


def _page(
    database: Database, table: sa.Table, at: int, limit: int, *, down: bool = False
) -> list[Row] | None:
    """Rows from id `at` upward or below it downward; None where they cannot be read.

    Ids that do not go on from each other are damage as well: whoever goes by them would never come to an end.
    """
    place: sa.ColumnElement[int] = sa.column("rowid")
    # Without types, so that a value that has become one of another kind is read as it is.
    columns = [place, *(sa.column(column.name) for column in table.columns)]
    query = sa.select(*columns).select_from(sa.table(table.name)).limit(limit)
    query = (
        query.where(place < at).order_by(place.desc()) if down else query.where(place >= at).order_by(place)
    )
    try:
        with database.read() as connection:
            rows = [dict(row) for row in connection.execute(query).mappings()]
    except IndexDamaged:
        return None
    ids = [at if down else at - 1, *(row["rowid"] for row in rows)]
    steady = all(before > after if down else before < after for before, after in pairwise(ids))
    return rows if steady else None


def _has_header(database: Database) -> bool:
    try:
        application, version = database.pragma("application_id"), database.pragma("user_version")
        with database.read() as connection:
            tables = set(connection.exec_driver_sql("SELECT name FROM sqlite_master").scalars())
    except IndexDamaged:
        return False
    wanted = {table.name for table in TABLES}
    return (application, version) == (APPLICATION_ID, FORMAT) and wanted <= tables


def _header(size: int) -> bytes:
    """The first 100 bytes of a database of `size` bytes as simsearch makes them.

    See https://www.sqlite.org/fileformat2.html#the_database_header
    """
    page = 4096
    head = b"SQLite format 3\0" + struct.pack(">H6B", page, 2, 2, 0, 64, 32, 32)
    # Change counter, pages, free list (none: nothing is written there), schema cookie and format, cache,
    # largest root, UTF-8, user_version, no incremental vacuum, application_id.
    numbers = (1, size // page, 0, 0, 1, 4, 0, 0, 1, FORMAT, 0, APPLICATION_ID)
    return head + struct.pack(">12I", *numbers) + bytes(20) + struct.pack(">2I", 1, 3_045_000)
