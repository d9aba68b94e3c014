"""The tables of format 1, and the seal that tells when a row's bytes have changed."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

import sqlalchemy as sa

FORMAT = 1
APPLICATION_ID = 0x51E5EA7C

metadata = sa.MetaData()

roots = sa.Table(
    "roots",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("path", sa.LargeBinary, nullable=False, unique=True),
    sa.Column("seal", sa.Integer, nullable=False),
)

contents = sa.Table(
    "contents",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("sha256", sa.LargeBinary, nullable=False, unique=True),
    sa.Column("width", sa.Integer, nullable=False),
    sa.Column("height", sa.Integer, nullable=False),
    sa.Column("format", sa.Text, nullable=False),
    sa.Column("taken_at", sa.Text),
    sa.Column("hashes", sa.LargeBinary),
    sa.Column("seal", sa.Integer, nullable=False),
)

files = sa.Table(
    "files",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("root_id", sa.ForeignKey("roots.id"), nullable=False),
    sa.Column("relpath", sa.LargeBinary, nullable=False),
    sa.Column("size", sa.Integer, nullable=False),
    sa.Column("mtime_ns", sa.Integer, nullable=False),
    sa.Column("inode", sa.Integer, nullable=False),
    sa.Column("device", sa.Integer, nullable=False),
    sa.Column("read_ns", sa.Integer, nullable=False),
    sa.Column("content_id", sa.ForeignKey("contents.id"), index=True),
    sa.Column("reason", sa.Text),
    sa.Column("transient", sa.Boolean, nullable=False),
    sa.Column("seal", sa.Integer, nullable=False),
    sa.UniqueConstraint("root_id", "relpath"),
)

vectors = sa.Table(
    "vectors",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("content_id", sa.ForeignKey("contents.id"), nullable=False),
    sa.Column("part", sa.Text, nullable=False),
    sa.Column("segment", sa.Integer, nullable=False),
    sa.Column("row", sa.Integer, nullable=False),
    sa.Column("crc32", sa.Integer, nullable=False),
    sa.Column("seal", sa.Integer, nullable=False),
    sa.UniqueConstraint("content_id", "part"),
    sa.UniqueConstraint("segment", "row"),
    sqlite_autoincrement=True,
)

settings = sa.Table(
    "settings",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
    sa.Column("seal", sa.Integer, nullable=False),
)

TABLES = (roots, contents, files, vectors, settings)

# Made when it is first written to, so that a database may lack it; a version that does not know it leaves it
# alone, which is why it refers to contents by their ids and not by a foreign key.
labels = sa.Table(
    "labels",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("content_id", sa.Integer, nullable=False),
    sa.Column("class", sa.Integer, nullable=False, index=True),
    sa.Column("millionths", sa.Integer, nullable=False),
    sa.Column("seal", sa.Integer, nullable=False),
    sa.UniqueConstraint("content_id", "class"),
)

# The own id of a file or a label is left out: SQLite gives it, and a seal must be known before the row is
# written.
SEALED: dict[str, tuple[str, ...]] = {
    table.name: tuple(
        column.name
        for column in table.columns
        if column.name != "seal" and (table not in (files, labels) or column.name != "id")
    )
    for table in (*TABLES, labels)
}


def seal(values: Iterable[int | float | bytes | str | bool | None]) -> int:
    """CRC-32 over the values of a row, each with its type and length so that none can slide into the next."""
    pieces = []
    for value in values:
        if isinstance(value, int):
            piece = b"i%d;" % value
        elif value is None:
            piece = b"n;"
        elif isinstance(value, float):
            # No column is one; a damaged row may show one.
            piece = b"f"
        else:
            raw = value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")
            piece = (b"b" if isinstance(value, bytes) else b"t") + b"%d:" % len(raw) + raw
        pieces.append(piece)
    return zlib.crc32(b"".join(pieces))
