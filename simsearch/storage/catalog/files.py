"""Roots, files and settings as the database has them; every row is checked against its seal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import sqlalchemy as sa

from simsearch.errors import IndexDamaged
from simsearch.paths import join, relative
from simsearch.records import FileStat
from simsearch.storage.schema import SEALED, files, roots, seal

CHUNK = 500
YOUNG_NS = 2_000_000_000
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Root:
    """A folder (or single file) that was indexed."""

    id: int
    path: bytes


@dataclass(frozen=True, slots=True)
class FileRow:
    """A file below a root as it was when last read; exactly one of content_id and reason is set."""

    id: int
    root_id: int
    relpath: bytes
    stat: FileStat
    read_ns: int
    content_id: int | None
    reason: str | None
    transient: bool

    def is_unchanged(self, stat: FileStat | None) -> bool:
        """Whether a file is as it was read: same size, mtime, inode, and not written within 2 s of the read.

        A file written again within the clock's grain keeps its mtime, so a young one is not believed. The
        device number is left out, since it changes when disks are plugged in another order.
        """
        if stat is None:
            return False
        same = (stat.size, stat.mtime_ns, stat.inode) == (self.stat.size, self.stat.mtime_ns, self.stat.inode)
        return same and self.stat.mtime_ns < self.read_ns - YOUNG_NS


def sealed_rows(
    connection: sa.Connection, table: sa.Table, query: sa.Select[Any]
) -> Iterator[dict[str, Any]]:
    """The rows of a query over all columns of `table`. Raises IndexDamaged where a seal does not hold."""
    result = connection.execute(query)
    keys = list(result.keys())
    sealed, own = [keys.index(name) for name in SEALED[table.name]], keys.index("seal")
    for values in typed(table.name, result):
        row = dict(zip(keys, values, strict=True))
        if seal([values[place] for place in sealed]) != values[own]:
            raise IndexDamaged(
                f"A row of the table {table.name} in index.db is not what was written ({_label(row)}). "
                "Run: simsearch verify"
            )
        yield row


def typed(table: str, found: Iterable[R]) -> Iterator[R]:
    """The rows of a result. Raises IndexDamaged where a value has become one of another type."""
    try:
        yield from found
    except (TypeError, ValueError, AttributeError, OverflowError) as exc:
        raise IndexDamaged(
            f"A row of the table {table} in index.db is not what was written ({exc}). Run: simsearch verify"
        ) from exc


def read_roots(connection: sa.Connection) -> list[Root]:
    """All roots, by path."""
    query = sa.select(roots).order_by(roots.c.path)
    return [Root(row["id"], row["path"]) for row in sealed_rows(connection, roots, query)]


def files_after(
    connection: sa.Connection, root_id: int, below: bytes, after: bytes | None, limit: int = 2000
) -> list[FileRow]:
    """Up to `limit` files of a root, at or below `below`, past the relpath `after`, in bytewise order."""
    query = sa.select(files).where(files.c.root_id == root_id)
    if below:
        within = sa.and_(files.c.relpath >= below + b"/", files.c.relpath < below + b"0")
        query = query.where(sa.or_(files.c.relpath == below, within))
    if after is not None:
        query = query.where(files.c.relpath > after)
    query = query.order_by(files.c.relpath).limit(limit)
    return [file_row(row) for row in sealed_rows(connection, files, query)]


def file_at(connection: sa.Connection, root_id: int, relpath: bytes) -> FileRow | None:
    """The row of one file."""
    query = sa.select(files).where(files.c.root_id == root_id, files.c.relpath == relpath)
    return next((file_row(row) for row in sealed_rows(connection, files, query)), None)


def row_at(connection: sa.Connection, path: bytes) -> FileRow | None:
    """The row of the file at an absolute path."""
    for root in read_roots(connection):
        inside = relative(path, root.path)
        row = file_at(connection, root.id, inside) if inside is not None else None
        if row is not None:
            return row
    return None


def files_of(connection: sa.Connection, content_ids: Sequence[int]) -> dict[int, list[FileRow]]:
    """The files of each content, by id of the content."""
    found: dict[int, list[FileRow]] = {}
    for chunk in chunks(content_ids):
        query = sa.select(files).where(files.c.content_id.in_(chunk))
        for row in sealed_rows(connection, files, query):
            found.setdefault(row["content_id"], []).append(file_row(row))
    return found


def skipped_files(connection: sa.Connection) -> list[tuple[bytes, str, bool]]:
    """(absolute path, reason, transient) of every skipped file, by path."""
    places = {root.id: root.path for root in read_roots(connection)}
    rows = sealed_rows(connection, files, sa.select(files).where(files.c.content_id.is_(None)))
    return sorted((join(places[r["root_id"]], r["relpath"]), r["reason"], bool(r["transient"])) for r in rows)


def files_below(connection: sa.Connection, root_id: int, below: bytes) -> list[int]:
    """The ids of all rows of files at or below `below` of a root."""
    query = sa.select(files.c.id).where(files.c.root_id == root_id)
    if below:
        within = sa.and_(files.c.relpath >= below + b"/", files.c.relpath < below + b"0")
        query = query.where(sa.or_(files.c.relpath == below, within))
    return list(connection.execute(query).scalars())


def count_below(connection: sa.Connection, root_id: int) -> int:
    """How many rows of files a root has."""
    return int(
        connection.execute(
            sa.select(sa.func.count()).select_from(files).where(files.c.root_id == root_id)
        ).scalar_one()
    )


def file_row(row: dict[str, Any]) -> FileRow:
    """A checked row of the table files as a record."""
    stat = FileStat(row["size"], row["mtime_ns"], row["inode"], row["device"])
    return FileRow(
        row["id"],
        row["root_id"],
        row["relpath"],
        stat,
        row["read_ns"],
        row["content_id"],
        row["reason"],
        bool(row["transient"]),
    )


def chunks(values: Iterable[int]) -> Iterator[list[int]]:
    """The values in lists short enough for one statement."""
    items = [int(value) for value in values]
    for start in range(0, len(items), CHUNK):
        yield items[start : start + CHUNK]


def _label(row: Any) -> str:
    key = row.get("id", row.get("key"))
    return f"row {key}"
