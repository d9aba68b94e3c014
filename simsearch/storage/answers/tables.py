"""The tables of verdicts.db: verdicts on sets of contents, and labels of pairs, each row with its seal."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from simsearch.storage.schema import seal

VERDICTS = "verdicts.db"
FORMAT = 1
APPLICATION_ID = 0x51E5EA7D

DIFFERENT, KEEP_ALL = "different", "keep-all"

metadata = sa.MetaData()

verdicts = sa.Table(
    "verdicts",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    # One row holds the whole set, so that it is there or not: of each content SHA-256 and number of files.
    sa.Column("contents", sa.LargeBinary, nullable=False),
    sa.Column("at", sa.Text, nullable=False),
    sa.Column("seal", sa.Integer, nullable=False),
)

labels = sa.Table(
    "labels",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("first", sa.LargeBinary, nullable=False),
    sa.Column("second", sa.LargeBinary, nullable=False),
    sa.Column("same", sa.Boolean, nullable=False),
    sa.Column("at", sa.Text, nullable=False),
    sa.Column("seal", sa.Integer, nullable=False),
    sa.UniqueConstraint("first", "second"),
)

TABLES = (verdicts, labels)


def sealed_names(table: sa.Table) -> list[str]:
    """The columns under the seal: all but the id, which SQLite gives."""
    return [column.name for column in table.columns if column.name not in ("id", "seal")]


def sealed(table: sa.Table, values: dict[str, Any]) -> dict[str, Any]:
    """A row with the seal over it."""
    return {**values, "seal": seal(values[name] for name in sealed_names(table))}
