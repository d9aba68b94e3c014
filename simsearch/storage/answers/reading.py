"""Opens verdicts.db and reads its rows as far as they are what was written."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from simsearch.errors import FormatUnknown, IndexDamaged
from simsearch.storage.answers.tables import APPLICATION_ID, FORMAT, sealed_names
from simsearch.storage.database import Database
from simsearch.storage.schema import seal

Row = dict[str, Any]


class AnswersDatabase(Database):
    """A database without generations: whoever reads it reads it whole."""

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """One write transaction, committed at the end, rolled back on any error."""
        while True:
            # A mended file may have come in the place of the one that was opened, also while it was locked.
            self._follow()
            with self._guard(), self._engine.connect() as connection:
                writing = connection.execution_options(simsearch_write=True)
                with writing.begin():
                    if self._is_current():
                        yield writing
                        return


@dataclass(frozen=True, slots=True)
class Found:
    """The rows of a table that are what was written; ids of those that are not; whether all could be read."""

    rows: list[Row]
    damaged: list[int]
    whole: bool


def identity(connection: sa.Connection) -> tuple[int, int, int]:
    """Application id, format, number of tables and indexes."""
    queries = ("PRAGMA application_id", "PRAGMA user_version", "SELECT count(*) FROM sqlite_master")
    application, version, tables = (int(connection.exec_driver_sql(q).scalar() or 0) for q in queries)
    return application, version, tables


def is_made(database: Database) -> bool:
    """Whether the tables are there: no where making them was cut off. Raises IndexDamaged, FormatUnknown."""
    with database.read() as connection:
        found = identity(connection)
    if not any(found):
        return False
    if found[0] != APPLICATION_ID:
        raise IndexDamaged(
            f"{database.path} does not hold verdicts, or its header is damaged. "
            f"Run: simsearch verify -i {database.path.parent}"
        )
    if found[1] != FORMAT:
        raise FormatUnknown(
            f"{database.path} has format {found[1]}; this version reads {FORMAT}. Update simsearch; "
            f"if it is no older than the file, run: simsearch verify -i {database.path.parent}"
        )
    return True


def read_table(database: Database, table: sa.Table) -> Found:
    """The rows of a table by id, past what cannot be read: from both ends where the middle is damaged."""
    rows, whole = _rows(database, table, up=True)
    if not whole:
        seen = {row["id"] for row in rows}
        rows += [row for row in reversed(_rows(database, table, up=False)[0]) if row["id"] not in seen]
    return sorted_out(table, rows, whole=whole)


def sorted_out(table: sa.Table, rows: Iterable[Row], *, whole: bool = True) -> Found:
    """Rows apart by whether their seal holds."""
    names, found = sealed_names(table), Found([], [], whole)
    for row in rows:
        if seal(row[name] for name in names) == row["seal"]:
            found.rows.append(row)
        else:
            found.damaged.append(row["id"])
    return found


def untyped(table: sa.Table) -> sa.Select[Any]:
    """All columns by id, as they are, though a damaged value be of another type."""
    columns: list[sa.ColumnElement[Any]] = [sa.column(column.name) for column in table.columns]
    return sa.select(*columns).select_from(sa.table(table.name)).order_by(sa.column("id"))


def _rows(database: Database, table: sa.Table, *, up: bool) -> tuple[list[Row], bool]:
    """What can be read from one end on, and whether that is all."""
    rows: list[Row] = []
    query = untyped(table) if up else untyped(table).order_by(None).order_by(sa.column("id").desc())
    with contextlib.suppress(IndexDamaged), database.read() as connection:
        # One at a time: a row that cannot be read takes none with it that was read before.
        for row in connection.execute(query.execution_options(yield_per=1)).mappings():
            rows.append(dict(row))
        return rows, True
    return rows, False
