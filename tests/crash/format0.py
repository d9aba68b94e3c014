"""A made-up format 0, and the step from it: files without `read_ns`, settings without a number of commits."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa

from simsearch import Index
from simsearch.storage import migrations

OLD = ("root_id", "relpath", "size", "mtime_ns", "inode", "device", "content_id", "reason", "transient")
NEW = (*OLD[:6], "read_ns", *OLD[6:])


def seal(values: Sequence[int | bytes | str | None]) -> int:
    """CRC-32 over the columns of a row, as docs/format.md says it."""
    pieces = []
    for value in values:
        if value is None:
            pieces.append(b"n;")
        elif isinstance(value, int):
            pieces.append(b"i%d;" % value)
        else:
            raw = value if isinstance(value, bytes) else value.encode()
            pieces.append((b"b" if isinstance(value, bytes) else b"t") + b"%d:" % len(raw) + raw)
    return zlib.crc32(b"".join(pieces))


def make_old(index: Path) -> None:
    """Turn an index of format 1 into one of format 0."""
    with sqlite3.connect(index / "index.db") as connection:
        rows = connection.execute(f"SELECT id, {', '.join(OLD)} FROM files").fetchall()
        connection.execute("ALTER TABLE files DROP COLUMN read_ns")
        sealed = [(seal(values), row_id) for row_id, *values in rows]
        connection.executemany("UPDATE files SET seal = ? WHERE id = ?", sealed)
        connection.execute("DELETE FROM settings WHERE key IN ('generation', 'format')")
        connection.execute("PRAGMA user_version=0")


def step(connection: sa.Connection) -> None:
    """From format 0 to 1: when a file was read is not known, so that each is looked at once more."""
    connection.exec_driver_sql("ALTER TABLE files ADD COLUMN read_ns INTEGER NOT NULL DEFAULT 0")
    rows = connection.exec_driver_sql(f"SELECT id, {', '.join(NEW)} FROM files").fetchall()
    for row_id, *values in rows:
        connection.exec_driver_sql("UPDATE files SET seal = ? WHERE id = ?", (seal(values), row_id))


def open_old(index: Path) -> None:
    """Open an index of format 0 as a version that knows the step would."""
    migrations.STEPS[0] = step
    Index.open(index).close()
