"""What changes the database: rows with their seals, always inside the caller's one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from simsearch.errors import IndexDamaged
from simsearch.paths import covers, relative
from simsearch.records import Facts, FileStat
from simsearch.storage.catalog import (
    GENERATION,
    WHOLE,
    Labels,
    Root,
    content_by_digest,
    generation,
    has_labels,
    sealed_rows,
)
from simsearch.storage.schema import SEALED, contents, files, labels, roots, seal, settings, vectors


@dataclass(frozen=True, slots=True)
class FileChange:
    """A file as it was just read: `digest` of an indexed picture, or the `reason` why it is skipped.

    `file_id` names the row to edit (a changed or moved file); None adds one. `read_ns` is when the file
    was read, in ns since 1970.
    """

    root_id: int
    relpath: bytes
    stat: FileStat
    read_ns: int
    digest: bytes | None = None
    reason: str | None = None
    transient: bool = False
    file_id: int | None = None


@dataclass(frozen=True, slots=True)
class NewVector:
    """A vector and where it lies: of a content seen for the first time, or of a `part` of one that is known.

    The vector of the whole comes before those of its parts, and has the labels of the content.
    """

    digest: bytes
    facts: Facts
    segment: int
    row: int
    crc32: int
    labels: Labels = ()
    part: str = WHOLE


def put_settings(connection: sa.Connection, values: dict[str, str]) -> None:
    """Write settings, replacing those of the same key."""
    for key, value in values.items():
        connection.execute(sa.delete(settings).where(settings.c.key == key))
        connection.execute(sa.insert(settings), sealed(settings, {"key": key, "value": value}))


def next_generation(connection: sa.Connection) -> None:
    """Count a commit, so that a reader can tell inside its own transaction what it has read already."""
    put_settings(connection, {GENERATION: str(generation(connection) + 1)})


def highest_id(connection: sa.Connection) -> int:
    """The highest id that a vector or content was ever given."""
    last = [connection.execute(sa.select(sa.func.max(table.c.id))).scalar() for table in (vectors, contents)]
    return max(sequence(connection), *(int(found or 0) for found in last))


def sequence(connection: sa.Connection) -> int:
    """The highest id that was ever given, as SQLite keeps it."""
    found = connection.execute(sa.text("SELECT seq FROM sqlite_sequence WHERE name = 'vectors'")).scalar()
    return found if isinstance(found, int) else 0


def put_sequence(connection: sa.Connection, highest: int) -> None:
    """Let the next vector have an id past `highest`, where a greater one was given before and lost."""
    connection.execute(sa.text("DELETE FROM sqlite_sequence WHERE name = 'vectors'"))
    insert = sa.text("INSERT INTO sqlite_sequence (name, seq) VALUES ('vectors', :seq)")
    connection.execute(insert, {"seq": highest})


def drop_setting(connection: sa.Connection, key: str) -> None:
    """Forget a setting."""
    connection.execute(sa.delete(settings).where(settings.c.key == key))


def rules_key(root_id: int) -> str:
    """The setting that holds what a root passes over."""
    return f"rules:{root_id}"


def archive_key(root_id: int) -> str:
    """The setting that tells an archive all of whose members were read."""
    return f"archive:{root_id}"


def put_root(connection: sa.Connection, path: bytes) -> Root:
    """Add the root `path`; roots that lie below it are folded into it, with their files."""
    known = {row["path"]: row["id"] for row in sealed_rows(connection, roots, sa.select(roots))}
    if path in known:
        return Root(known[path], path)
    root = Root(max(known.values(), default=0) + 1, path)
    connection.execute(sa.insert(roots), sealed(roots, {"id": root.id, "path": path}))
    for other, other_id in known.items():
        inside = relative(other, path)
        if inside is None or not covers(path, other):
            continue
        query = sa.select(files).where(files.c.root_id == other_id)
        for row in list(sealed_rows(connection, files, query)):
            moved = inside + b"/" + row["relpath"] if row["relpath"] else inside
            _update_file(connection, row["id"], {**row, "root_id": root.id, "relpath": moved})
        drop_root(connection, other_id)
    return root


def drop_root(connection: sa.Connection, root_id: int) -> None:
    """Forget a root that has no file left, and what it passes over."""
    connection.execute(sa.delete(roots).where(roots.c.id == root_id))
    drop_setting(connection, rules_key(root_id))
    drop_setting(connection, archive_key(root_id))


def put_vectors(connection: sa.Connection, new: Sequence[NewVector]) -> None:
    """Add contents with their vectors, whose ids are never used again."""
    vector_id = highest_id(connection)
    content_rows, vector_rows, label_rows = [], [], []
    owners: dict[bytes, int] = {}
    for item in new:
        vector_id += 1
        if item.part == WHOLE:
            # A content has the id of its whole vector, so that this one too is never used again.
            owners[item.digest] = vector_id
            content_rows.append(sealed(contents, _content_values(vector_id, item)))
        elif item.digest not in owners:
            owners[item.digest] = _known_content(connection, item.digest)
        values = {
            "id": vector_id,
            "content_id": owners[item.digest],
            "part": item.part,
            "segment": item.segment,
            "row": item.row,
            "crc32": item.crc32,
        }
        vector_rows.append(sealed(vectors, values))
        label_rows += label_rows_of(vector_id, item.labels)
    if content_rows:
        connection.execute(sa.insert(contents), content_rows)
    if vector_rows:
        connection.execute(sa.insert(vectors), vector_rows)
    if label_rows:
        make_labels(connection)
        connection.execute(sa.insert(labels), label_rows)


def make_labels(connection: sa.Connection) -> None:
    """Make the table of labels, where it is not there yet."""
    connection.execute(sa.schema.CreateTable(labels, if_not_exists=True))
    for index in labels.indexes:
        connection.execute(sa.schema.CreateIndex(index, if_not_exists=True))


def label_rows_of(content_id: int, found: Labels) -> list[dict[str, Any]]:
    """The sealed rows of a content's labels."""
    named = [{"content_id": content_id, "class": number, "millionths": share} for number, share in found]
    return [sealed(labels, values) for values in named]


def _content_values(content_id: int, item: NewVector) -> dict[str, Any]:
    facts = item.facts
    return {
        "id": content_id,
        "sha256": item.digest,
        "width": facts.width,
        "height": facts.height,
        "format": facts.format,
        "taken_at": facts.taken_at,
        "hashes": None,
    }


def put_files(connection: sa.Connection, changes: Iterable[FileChange]) -> None:
    """Add or edit the rows of files."""
    added = []
    for change in changes:
        values = {
            "root_id": change.root_id,
            "relpath": change.relpath,
            "size": change.stat.size,
            "mtime_ns": change.stat.mtime_ns,
            "inode": change.stat.inode,
            "device": change.stat.device,
            "read_ns": change.read_ns,
            "content_id": None if change.digest is None else _known_content(connection, change.digest),
            "reason": change.reason,
            "transient": change.transient,
        }
        if change.file_id is None:
            added.append(sealed(files, values))
        else:
            _update_file(connection, change.file_id, values)
    if added:
        connection.execute(sa.insert(files), added)


def drop_files(connection: sa.Connection, ids: Sequence[int]) -> None:
    """Forget files; their contents and vectors stay until compaction, so that what comes back is adopted."""
    for start in range(0, len(ids), 500):
        connection.execute(sa.delete(files).where(files.c.id.in_(ids[start : start + 500])))


def drop_contents(connection: sa.Connection, ids: Sequence[int]) -> None:
    """Forget pictures that no file has any more, with all their vectors."""
    for start in range(0, len(ids), 500):
        chunk = ids[start : start + 500]
        connection.execute(sa.delete(vectors).where(vectors.c.content_id.in_(chunk)))
        connection.execute(sa.delete(contents).where(contents.c.id.in_(chunk)))
    if has_labels(connection):
        # Also those of pictures that a version which knows no labels has forgotten.
        connection.execute(sa.delete(labels).where(labels.c.content_id.not_in(sa.select(contents.c.id))))


def move_vectors(connection: sa.Connection, places: Mapping[int, tuple[int, int]]) -> None:
    """Give vectors, by id, their new (segment, row)."""
    ids = list(places)
    update = (
        sa.update(vectors)
        .where(vectors.c.id == sa.bindparam("moved"))
        .values(segment=sa.bindparam("to_segment"), row=sa.bindparam("to_row"), seal=sa.bindparam("sealed"))
    )
    for start in range(0, len(ids), 500):
        query = sa.select(vectors).where(vectors.c.id.in_(ids[start : start + 500]))
        moves = []
        for row in list(sealed_rows(connection, vectors, query)):
            segment, place = places[row["id"]]
            told = sealed(vectors, {**row, "segment": segment, "row": place})["seal"]
            moves.append({"moved": row["id"], "to_segment": segment, "to_row": place, "sealed": told})
        connection.execute(update, moves)


def _known_content(connection: sa.Connection, digest: bytes) -> int:
    found = content_by_digest(connection, digest)
    if found is None:
        raise IndexDamaged(
            f"The picture {digest.hex()[:12]} is to be entered and has no vector. Run: simsearch verify"
        )
    return found


def _update_file(connection: sa.Connection, file_id: int, values: dict[str, Any]) -> None:
    connection.execute(sa.update(files).where(files.c.id == file_id), sealed(files, values))


def sealed(table: sa.Table, values: dict[str, Any]) -> dict[str, Any]:
    """The columns of a row with the seal over them (of `files` without its id)."""
    names = SEALED[table.name]
    return {**{name: values[name] for name in names}, "seal": seal(values[name] for name in names)}
