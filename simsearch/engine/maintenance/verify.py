"""Checks every byte of an index that counts, and on request every file that it stands for."""

from __future__ import annotations

import os
import shlex
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import sqlalchemy as sa

from simsearch.engine.index import Index
from simsearch.engine.snapshot import ViewRecord, load_view, table_blocks
from simsearch.errors import FormatUnknown, IndexDamaged
from simsearch.media.files import FileUnreadable, OpenFile
from simsearch.media.scan import root_state
from simsearch.paths import DATABASE, existing_index, join, text
from simsearch.records import Problem, VerifyReport
from simsearch.storage import catalog, migrations
from simsearch.storage.catalog import FileRow, Root, VectorTable
from simsearch.storage.database import Database
from simsearch.storage.schema import TABLES

PAGE = 20_000


def verify(
    index: str | os.PathLike[str] | None = None,
    *,
    deep: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> VerifyReport:
    """Check the whole index: SQLite's own check, every row's seal, every vector's CRC-32, the view's SHA-256.

    Args:
        deep: also read every indexed file again and compare its SHA-256.
        progress: called with the files read so far and their number.

    Nothing is changed. Raises IndexMissing when there is no index.
    """
    folder = existing_index(index)
    again = f"move {folder} away and index the photos again: simsearch index FOLDER -i {folder}"
    problems: list[Problem] = []
    checked = 0
    database = Database(folder / DATABASE)
    try:
        problems += [Problem(DATABASE, what, again) for what in _database_problems(database)]
        if not problems:
            with Index.open(folder) as opened:
                checked, found = _vector_problems(opened, again)
                problems += [*found, *_view_problems(opened)]
                if deep:
                    problems += _file_problems(opened, progress or (lambda done, total: None))
    except (IndexDamaged, FormatUnknown) as exc:
        problems.append(Problem(DATABASE, str(exc), again))
    finally:
        database.close()
    return VerifyReport(str(folder), checked, tuple(problems))


def _database_problems(database: Database) -> Iterator[str]:
    with database.read() as connection:
        for (line,) in connection.exec_driver_sql("PRAGMA integrity_check"):
            if line != "ok":
                yield f"SQLite: {line}"
        for row in connection.exec_driver_sql("PRAGMA foreign_key_check"):
            yield f"SQLite: a row of {row[0]} refers to nothing"
    if not migrations.check(database):
        yield "the index was never finished"
        return
    for table in TABLES:
        with database.read() as connection:
            for _ in catalog.sealed_rows(connection, table, table.select()):
                continue


def _vector_problems(index: Index, again: str) -> tuple[int, list[Problem]]:
    """How many vectors were compared with their CRC-32, and what was found; a page a transaction."""
    problems: list[Problem] = []
    checked, after = 0, 0
    while True:
        try:
            table, bad = index.steadily(partial(_bad_rows, index, after))
        except (IndexDamaged, FormatUnknown) as exc:
            return checked, [*problems, Problem("segments", str(exc), again)]
        if not len(table):
            return checked, problems
        checked, after = checked + len(table), int(table.ids[-1])
        if bad:
            where = _segment_name(index, int(table.segments[np.searchsorted(table.ids, bad[0])]))
            what = f"{len(bad)} vectors are not what was written (first: id {bad[0]})"
            problems.append(Problem(where, what, again))


def _bad_rows(index: Index, after: int, connection: sa.Connection) -> tuple[VectorTable, list[int]]:
    """The next page of vectors, and the ids of those whose bytes are not what was written.

    Raises IndexDamaged or FormatUnknown where a segment or its header is missing or wrong.
    """
    table = catalog.all_vectors(connection, after=after, limit=PAGE)
    index.segments.open([int(number) for number in np.unique(table.segments)])
    crcs = dict(zip(table.ids.tolist(), table.crcs.tolist(), strict=True))
    bad: list[int] = []
    for ids, rows in table_blocks(table, index.segments):
        contiguous = np.ascontiguousarray(rows)
        bad += [
            vector_id
            for vector_id, row in zip(ids.tolist(), contiguous, strict=True)
            if zlib.crc32(row.data) != crcs[vector_id]
        ]
    return table, sorted(bad)


def _segment_name(index: Index, number: int) -> str:
    return str(index.segments.path(number).relative_to(index.path))


def _view_problems(index: Index) -> Iterator[Problem]:
    seen: ViewRecord | None = None
    while True:
        with index.database.read() as connection:
            record = ViewRecord.from_settings(catalog.read_settings(connection))
        if record is None or load_view(index.path, record) is not None:
            return
        if record == seen:
            mend = f"simsearch rebuild -i {index.path}"
            yield Problem(str(Path("views") / record.file), "missing, or not the file that was written", mend)
            return
        # Another process may have made a new one, and deleted this, between the two looks.
        seen = record


def _file_problems(index: Index, progress: Callable[[int, int], None]) -> Iterator[Problem]:
    """What is wrong with the files themselves, read again in full."""
    with index.database.read() as connection:
        roots = catalog.read_roots(connection)
        total = catalog.count(connection, "files")
    done = 0
    for root in roots:
        if root_state(root.path) == "missing":
            name = shlex.quote(text(root.path))
            mend = f"mount its disk; if it is gone for good: simsearch remove {name} --yes"
            yield Problem(text(root.path), "the whole folder is not there", mend)
            continue
        after: bytes | None = None
        while True:
            with index.database.read() as connection:
                page = catalog.files_after(connection, root.id, b"", after)
                contents = catalog.contents_by_id(connection, [r.content_id for r in page if r.content_id])
            for row in page:
                if row.content_id is None:
                    continue
                done += 1
                progress(done, total)
                found = _file_problem(index, root, row, contents[row.content_id].sha256)
                if found is not None:
                    yield found
            if not page:
                break
            after = page[-1].relpath


def _file_problem(index: Index, root: Root, row: FileRow, sha256: bytes) -> Problem | None:
    path, again = join(root.path, row.relpath), f"simsearch index -i {shlex.quote(str(index.path))}"
    name = shlex.quote(text(path))
    try:
        with OpenFile(path) as file:
            digest, stat = file.sha256(), file.stat
    except FileUnreadable as exc:
        mend = f"mount its disk or mend its rights; if it is gone for good: {again} --prune"
        return Problem(text(path), str(exc), mend)
    if digest == sha256:
        return None
    if not row.is_unchanged(stat):
        return Problem(text(path), "was changed since it was indexed", again)
    what = "other bytes than were indexed, at the same size and time (a failing disk?)"
    forget = again.replace(" index ", " remove ", 1)
    mend = f"put it back from a backup; or take it as it is: {forget} {name} && {again} {name}"
    return Problem(text(path), what, mend)
