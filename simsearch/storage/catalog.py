"""What the database says: typed reads over a connection, each row checked against its seal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from simsearch.errors import IndexDamaged
from simsearch.paths import join
from simsearch.records import FileStat
from simsearch.storage.schema import SEALED, contents, files, roots, seal, settings, vectors

CHUNK = 500
WHOLE = "whole"
YOUNG_NS = 2_000_000_000


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


@dataclass(frozen=True, slots=True)
class ContentRow:
    """A picture's bytes: SHA-256 (32 bytes) and facts."""

    id: int
    sha256: bytes
    width: int
    height: int
    format: str
    taken_at: str | None


@dataclass(frozen=True, slots=True)
class VectorTable:
    """Vector rows as columns, ascending by id; all arrays have the same length."""

    ids: NDArray[np.int64]
    contents: NDArray[np.int64]
    segments: NDArray[np.int64]
    rows: NDArray[np.int64]
    crcs: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ids)

    def columns(self) -> tuple[NDArray[np.int64], ...]:
        """The five arrays."""
        return self.ids, self.contents, self.segments, self.rows, self.crcs

    def pick(self, places: NDArray[np.int64]) -> VectorTable:
        """The rows at `places`."""
        return VectorTable(*(column[places] for column in self.columns()))

    def joined(self, other: VectorTable) -> VectorTable:
        """These rows, then those of `other`."""
        pairs = zip(self.columns(), other.columns(), strict=True)
        return VectorTable(*(np.concatenate(pair) for pair in pairs))


def sealed_rows(
    connection: sa.Connection, table: sa.Table, query: sa.Select[Any]
) -> Iterator[dict[str, Any]]:
    """The rows of a query over all columns of `table`. Raises IndexDamaged where a seal does not hold."""
    names = SEALED[table.name]
    for row in connection.execute(query).mappings():
        if seal(row[name] for name in names) != row["seal"]:
            raise IndexDamaged(
                f"A row of the table {table.name} in index.db is not what was written ({_label(row)}). "
                "Run: simsearch verify"
            )
        yield dict(row)


def read_settings(connection: sa.Connection) -> dict[str, str]:
    """All settings."""
    return {row["key"]: row["value"] for row in sealed_rows(connection, settings, sa.select(settings))}


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


def files_of(connection: sa.Connection, content_ids: Sequence[int]) -> dict[int, list[FileRow]]:
    """The files of each content, by id of the content."""
    found: dict[int, list[FileRow]] = {}
    for chunk in _chunks(content_ids):
        query = sa.select(files).where(files.c.content_id.in_(chunk))
        for row in sealed_rows(connection, files, query):
            found.setdefault(row["content_id"], []).append(file_row(row))
    return found


def skipped_files(connection: sa.Connection) -> list[tuple[bytes, str, bool]]:
    """(absolute path, reason, transient) of every skipped file, by path."""
    places = {root.id: root.path for root in read_roots(connection)}
    rows = sealed_rows(connection, files, sa.select(files).where(files.c.content_id.is_(None)))
    return sorted((join(places[r["root_id"]], r["relpath"]), r["reason"], bool(r["transient"])) for r in rows)


def content_by_digest(connection: sa.Connection, digest: bytes) -> int | None:
    """The id of the content with this SHA-256."""
    return connection.execute(sa.select(contents.c.id).where(contents.c.sha256 == digest)).scalar()


def contents_by_id(connection: sa.Connection, ids: Sequence[int]) -> dict[int, ContentRow]:
    """Contents by id."""
    found: dict[int, ContentRow] = {}
    for chunk in _chunks(ids):
        for row in sealed_rows(connection, contents, sa.select(contents).where(contents.c.id.in_(chunk))):
            found[row["id"]] = ContentRow(
                row["id"], row["sha256"], row["width"], row["height"], row["format"], row["taken_at"]
            )
    return found


def live_vectors(connection: sa.Connection, *, after: int = 0) -> VectorTable:
    """The whole-picture vectors of every content that has a file, with ids past `after`."""
    has_file = sa.exists().where(files.c.content_id == vectors.c.content_id)
    return _table(connection, sa.and_(vectors.c.id > after, vectors.c.part == WHOLE, has_file))


def vectors_where(connection: sa.Connection, column: str, values: Sequence[int]) -> VectorTable:
    """The whole-picture vectors with `column` ("id" or "content_id") among `values` that have a file."""
    has_file = sa.exists().where(files.c.content_id == vectors.c.content_id)
    found = _as_table([])
    for chunk in _chunks(values):
        where = sa.and_(vectors.c[column].in_(chunk), vectors.c.part == WHOLE, has_file)
        found = found.joined(_table(connection, where))
    return found.pick(np.argsort(found.ids))


def all_vectors(connection: sa.Connection, *, after: int = 0, limit: int = 100_000) -> VectorTable:
    """Every vector row, those without a file too, a page at a time."""
    return _table(connection, vectors.c.id > after, limit=limit)


def count(connection: sa.Connection, what: str) -> int:
    """How many "files" are indexed or "skipped", how many "vectors" there are, or "photos" with a file."""
    queries: dict[str, sa.Select[Any]] = {
        "files": sa.select(sa.func.count()).where(files.c.content_id.is_not(None)),
        "skipped": sa.select(sa.func.count()).where(files.c.id.is_not(None), files.c.content_id.is_(None)),
        "vectors": sa.select(sa.func.count(vectors.c.id)),
        "photos": sa.select(sa.func.count(files.c.content_id.distinct())),
    }
    return int(connection.execute(queries[what]).scalar() or 0)


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


def _table(
    connection: sa.Connection, where: sa.ColumnElement[bool], *, limit: int | None = None
) -> VectorTable:
    query = sa.select(vectors).where(where).order_by(vectors.c.id)
    if limit is not None:
        query = query.limit(limit)
    picked = []
    names = SEALED["vectors"]
    for row in connection.execute(query):
        if seal(getattr(row, name) for name in names) != row.seal:
            raise IndexDamaged(
                f"The row of vector {row.id} in index.db is not what was written. Run: simsearch verify"
            )
        picked.append((row.id, row.content_id, row.segment, row.row, row.crc32))
    return _as_table(picked)


def _as_table(rows: list[tuple[int, int, int, int, int]]) -> VectorTable:
    columns = np.array(rows, dtype=np.int64).reshape(-1, 5).T
    return VectorTable(*(np.ascontiguousarray(column) for column in columns))


def _chunks(values: Iterable[int]) -> Iterator[list[int]]:
    items = [int(value) for value in values]
    for start in range(0, len(items), CHUNK):
        yield items[start : start + CHUNK]


def _label(row: Any) -> str:
    key = row.get("id", row.get("key"))
    return f"row {key}"
