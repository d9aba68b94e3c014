"""Reads and writes what people answered; every answer is one row, in one transaction of its own."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import sqlalchemy as sa

from simsearch.errors import IndexUnwritable
from simsearch.storage.answers.reading import (
    AnswersDatabase,
    Found,
    Row,
    identity,
    is_made,
    read_table,
    sorted_out,
    untyped,
)
from simsearch.storage.answers.tables import (
    APPLICATION_ID,
    FORMAT,
    TABLES,
    VERDICTS,
    labels,
    metadata,
    sealed,
    verdicts,
)
from simsearch.storage.disk.durable import sync_folder

DIGEST = 32
_ENTRY = DIGEST + 4


@dataclass(frozen=True, slots=True)
class Decision:
    """A person's verdict on a set of contents.

    Attributes:
        id: its row.
        kind: "different" or "keep-all".
        contents: by SHA-256 (32 bytes), how many files had this content at that time.
        at: when, as "YYYY-MM-DDTHH:MM:SSZ".
    """

    id: int
    kind: str
    contents: Mapping[bytes, int]
    at: str


@dataclass(frozen=True, slots=True)
class Label:
    """A person's answer whether two contents, by SHA-256 with `first` < `second`, are copies."""

    first: bytes
    second: bytes
    same: bool
    at: str


class Answers:
    """The `verdicts.db` of one index, made when the first answer is written; any process may write.

    Rows that are not what was written are left out, and `simsearch verify` tells of them. Raises IndexDamaged
    where the file cannot be read at all, FormatUnknown where it is of a newer version, IndexUnwritable.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / VERDICTS
        self._database: AnswersDatabase | None = None
        self._made = False
        try:
            self._reading()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        if self._database is not None:
            self._database.close()

    def decisions(self) -> list[Decision]:
        """All verdicts, the oldest first."""
        return _decisions(self.found(verdicts))

    def labels(self) -> list[Label]:
        """All labels, the oldest first."""
        rows = self.found(labels).rows
        return [Label(row["first"], row["second"], bool(row["same"]), row["at"]) for row in rows]

    def put_decision(self, kind: str, contents: Mapping[bytes, int]) -> None:
        """Add a verdict; those of the same kind that it covers go, since it says all that they said."""
        with self.writing() as connection:
            for earlier in _decisions(_inside(connection, verdicts)):
                covered = all(files <= contents.get(sha, 0) for sha, files in earlier.contents.items())
                if earlier.kind == kind and covered:
                    connection.execute(sa.delete(verdicts).where(verdicts.c.id == earlier.id))
            values = {"kind": kind, "contents": _packed(contents), "at": _now()}
            connection.execute(sa.insert(verdicts), sealed(verdicts, values))

    def forget(self, contents: Iterable[bytes]) -> int:
        """Drop the verdicts and labels that any of these contents is part of; how many there were."""
        named = frozenset(contents)
        if not any(_on(self.found(table), named) for table in TABLES):
            return 0
        with self.writing() as connection:
            gone = {table: _on(_inside(connection, table), named) for table in TABLES}
            for table, numbers in gone.items():
                for number in numbers:
                    connection.execute(sa.delete(table).where(table.c.id == number))
        return sum(map(len, gone.values()))

    def put_label(self, one: bytes, other: bytes, same: bool) -> None:
        """Keep the answer about a pair of contents in place of an earlier one."""
        first, second = sorted((one, other))
        values = {"first": first, "second": second, "same": same, "at": _now()}
        with self.writing() as connection:
            pair = sa.and_(labels.c.first == first, labels.c.second == second)
            connection.execute(sa.delete(labels).where(pair))
            connection.execute(sa.insert(labels), sealed(labels, values))

    def drop_label(self, one: bytes, other: bytes) -> None:
        """Take back the answer about a pair of contents, if there is one."""
        first, second = sorted((one, other))
        with self.writing() as connection:
            pair = sa.and_(labels.c.first == first, labels.c.second == second)
            connection.execute(sa.delete(labels).where(pair))

    def found(self, table: sa.Table) -> Found:
        """The rows of a table, past what cannot be read."""
        database = self._reading()
        return Found([], [], True) if database is None else read_table(database, table)

    def check(self) -> list[str]:
        """What SQLite's own check finds. Raises IndexDamaged."""
        database = self._reading()
        if database is None:
            return []
        with database.read() as connection:
            lines = connection.exec_driver_sql("PRAGMA integrity_check").scalars()
            return [line for line in lines if line != "ok"]

    def drop_rows(self, connection: sa.Connection, table: sa.Table, ids: Iterable[int]) -> None:
        """Delete rows by id, with the connection of `writing`."""
        for number in ids:
            connection.execute(sa.delete(table).where(table.c.id == number))

    def put_rows(self, rows: Mapping[sa.Table, Iterable[Row]]) -> None:
        """Add rows as they were read, in one transaction."""
        with self.writing() as connection:
            for table, values in rows.items():
                for row in values:
                    connection.execute(sa.insert(table), row)

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """One transaction that keeps every other writer out; it is committed at the end."""
        refuse_link(self.path)
        if self._database is None or not self.path.exists():
            self.close()
            self._database = AnswersDatabase(self.path, create=True)
        with self._database.write() as connection:
            if not any(identity(connection)):
                metadata.create_all(connection)
                connection.exec_driver_sql(f"PRAGMA application_id={APPLICATION_ID}")
                connection.exec_driver_sql(f"PRAGMA user_version={FORMAT}")
            yield connection
        if not self._made:
            sync_folder(self.path.parent)

    def _reading(self) -> AnswersDatabase | None:
        """The database once its tables are there, which another process may make at any moment."""
        if self._database is None and self.path.exists():
            self._database = AnswersDatabase(self.path)
        if not self._made and self._database is not None:
            self._made = is_made(self._database)
        return self._database if self._made else None


def refuse_link(path: Path) -> None:
    """Raises IndexUnwritable for a link: writing would change a file outside of the index."""
    if path.is_symlink():
        raise IndexUnwritable(
            f"{path} is a link, and nothing outside of an index is written. Put the file itself there."
        )


def _inside(connection: sa.Connection, table: sa.Table) -> Found:
    """The rows of a table as a writer sees them, which nobody else changes meanwhile."""
    return sorted_out(table, (dict(row) for row in connection.execute(untyped(table)).mappings()))


def _on(found: Found, named: frozenset[bytes]) -> list[int]:
    """The ids of the rows that any of these contents is part of."""
    return [row["id"] for row in found.rows if not named.isdisjoint(_contents_of(row))]


def _contents_of(row: Row) -> Iterable[bytes]:
    return (row["first"], row["second"]) if "first" in row else _unpacked(row["contents"])


def _decisions(found: Found) -> list[Decision]:
    return [Decision(row["id"], row["kind"], _unpacked(row["contents"]), row["at"]) for row in found.rows]


def _packed(contents: Mapping[bytes, int]) -> bytes:
    return b"".join(sha + contents[sha].to_bytes(4, "little") for sha in sorted(contents))


def _unpacked(packed: bytes) -> dict[bytes, int]:
    entries = (packed[at : at + _ENTRY] for at in range(0, len(packed), _ENTRY))
    return {entry[:DIGEST]: int.from_bytes(entry[DIGEST:], "little") for entry in entries}


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
