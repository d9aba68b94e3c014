"""Labels as the database has them: the most probable classes of a picture; an index may have none."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import sqlalchemy as sa

from simsearch.storage.catalog.files import chunks, sealed_rows
from simsearch.storage.schema import contents, labels

SETTING, KEPT = "labels", "kept"

Labels = tuple[tuple[int, int], ...]
"""Classes with their probabilities in millionths, the most probable first."""


def why_no_labels(settings: Mapping[str, str]) -> str | None:
    """Why an index of these settings keeps no labels; None where it does."""
    said = settings.get(SETTING, "the index was made by an import, or before labels were kept")
    return None if said == KEPT else said


def has_labels(connection: sa.Connection) -> bool:
    """Whether this database has the table of labels."""
    query = sa.text("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'labels'")
    return connection.execute(query).first() is not None


def labels_of(connection: sa.Connection, content_ids: Sequence[int]) -> dict[int, Labels]:
    """The labels of those contents that have any."""
    found: dict[int, list[tuple[int, int]]] = {}
    if not has_labels(connection):
        return {}
    for chunk in chunks(content_ids):
        query = sa.select(labels).where(labels.c.content_id.in_(chunk))
        for row in sealed_rows(connection, labels, query):
            found.setdefault(row["content_id"], []).append((row["class"], row["millionths"]))
    return {
        content_id: tuple(sorted(rows, key=lambda row: (-row[1], row[0])))
        for content_id, rows in found.items()
    }


def contents_labelled(connection: sa.Connection, classes: Collection[int]) -> dict[int, int]:
    """The contents with one of these labels, and the sum of their probabilities in millionths."""
    found: dict[int, int] = {}
    if not has_labels(connection):
        return {}
    for chunk in chunks(classes):
        query = sa.select(labels).where(labels.c["class"].in_(chunk))
        for row in sealed_rows(connection, labels, query):
            found[row["content_id"]] = found.get(row["content_id"], 0) + row["millionths"]
    return found


def classes_kept(connection: sa.Connection) -> list[int]:
    """Every class that a picture of the index has among its labels, ascending."""
    if not has_labels(connection):
        return []
    return sorted(connection.execute(sa.select(labels.c["class"]).distinct()).scalars())


def is_labelled(classes: Collection[int] | None) -> sa.ColumnElement[bool]:
    """Whether the content in question has one of these labels; None is any. The table has to be there."""
    if classes is None:
        return sa.exists().where(labels.c.content_id == contents.c.id).correlate(contents)
    return contents.c.id.in_(sa.select(labels.c.content_id).where(labels.c["class"].in_(sorted(classes))))
