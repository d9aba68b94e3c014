"""Pictures as the database has them: one row for all files with the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from simsearch.storage.catalog.files import CHUNK, chunks, sealed_rows
from simsearch.storage.catalog.vectors import WHOLE
from simsearch.storage.schema import contents, files, vectors


@dataclass(frozen=True, slots=True)
class ContentRow:
    """A picture's bytes: SHA-256 (32 bytes) and facts."""

    id: int
    sha256: bytes
    width: int
    height: int
    format: str
    taken_at: str | None


def content_by_digest(connection: sa.Connection, digest: bytes) -> int | None:
    """The id of the content with this SHA-256."""
    return connection.execute(sa.select(contents.c.id).where(contents.c.sha256 == digest)).scalar()


def contents_by_id(connection: sa.Connection, ids: Sequence[int]) -> dict[int, ContentRow]:
    """Contents by id."""
    found: dict[int, ContentRow] = {}
    for chunk in chunks(ids):
        for row in sealed_rows(connection, contents, sa.select(contents).where(contents.c.id.in_(chunk))):
            found[row["id"]] = ContentRow(
                row["id"], row["sha256"], row["width"], row["height"], row["format"], row["taken_at"]
            )
    return found


def contents_without_file(connection: sa.Connection) -> list[int]:
    """The ids of pictures that no file has any more."""
    has_file = sa.exists().where(files.c.content_id == contents.c.id)
    return list(connection.execute(sa.select(contents.c.id).where(~has_file)).scalars())


def contents_without_vector(connection: sa.Connection) -> int:
    """How many pictures have no vector of the whole; in a sound index none."""
    has_vector = sa.exists().where(vectors.c.content_id == contents.c.id, vectors.c.part == WHOLE)
    return int(connection.execute(sa.select(sa.func.count(contents.c.id)).where(~has_vector)).scalar() or 0)


def contents_only_in(connection: sa.Connection, file_ids: set[int]) -> set[int]:
    """The ids of pictures all of whose files are among `file_ids`."""
    touched: set[int] = set()
    for chunk in chunks(file_ids):
        query = sa.select(files.c.content_id).where(files.c.id.in_(chunk), files.c.content_id.is_not(None))
        touched.update(connection.execute(query).scalars())
    outside: set[int] = set()
    for chunk in chunks(touched):
        pairs = sa.select(files.c.id, files.c.content_id).where(files.c.content_id.in_(chunk))
        outside.update(content for file, content in connection.execute(pairs) if file not in file_ids)
    return touched - outside


def digests(connection: sa.Connection) -> set[bytes]:
    """The SHA-256 of every picture."""
    return set(connection.execute(sa.select(contents.c.sha256)).scalars())


def sizes(connection: sa.Connection, digests: Sequence[bytes]) -> dict[bytes, int]:
    """How many bytes the files of contents have, by SHA-256; 0 where the server of all of them told none."""
    found: dict[bytes, int] = {}
    joined = sa.join(files, contents, files.c.content_id == contents.c.id)
    for start in range(0, len(digests), CHUNK):
        query = (
            sa.select(contents.c.sha256, sa.func.max(files.c.size))
            .select_from(joined)
            .where(contents.c.sha256.in_(digests[start : start + CHUNK]))
            .group_by(contents.c.sha256)
        )
        found.update((digest, int(size)) for digest, size in connection.execute(query))
    return found


def count(connection: sa.Connection, what: str) -> int:
    """How many "files" are indexed or "skipped", how many "vectors" there are, or "photos" with a file."""
    queries: dict[str, sa.Select[Any]] = {
        "files": sa.select(sa.func.count()).where(files.c.content_id.is_not(None)),
        "skipped": sa.select(sa.func.count()).where(files.c.id.is_not(None), files.c.content_id.is_(None)),
        "vectors": sa.select(sa.func.count(vectors.c.id)),
        "photos": sa.select(sa.func.count(files.c.content_id.distinct())),
    }
    return int(connection.execute(queries[what]).scalar() or 0)


def holds_a_photo(connection: sa.Connection) -> bool:
    """Whether any file is indexed; one look, however many there are."""
    return (
        connection.execute(sa.select(files.c.id).where(files.c.content_id.is_not(None)).limit(1)).first()
        is not None
    )
