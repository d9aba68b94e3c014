"""Looking after an index: verify every byte that counts, build and renew the view."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from simsearch.engine.index import Index
from simsearch.engine.snapshot import EXACT_UP_TO, ViewRecord, file_digest, load_view, table_blocks
from simsearch.errors import FormatUnknown, IndexDamaged
from simsearch.paths import DATABASE, existing_index
from simsearch.records import Problem, VerifyReport, ViewInfo
from simsearch.storage import catalog, migrations, writer
from simsearch.storage.database import Database
from simsearch.storage.lock import WriterLock
from simsearch.storage.schema import TABLES
from simsearch.storage.segments import sync_folder

if TYPE_CHECKING:
    from simsearch.views.faiss_view import IvfView

TAIL_ROWS = 2000
GROWTH = 4

Note = Callable[[str], None]


def verify(index: str | os.PathLike[str] | None = None) -> VerifyReport:
    """Check the whole index: SQLite's own check, every row's seal, every vector's CRC-32, the view's SHA-256.

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
    except (IndexDamaged, FormatUnknown) as exc:
        problems.append(Problem(DATABASE, str(exc), again))
    finally:
        database.close()
    return VerifyReport(str(folder), checked, tuple(problems))


def rebuild(
    index: str | os.PathLike[str] | None = None,
    *,
    view: str = "auto",
    recall: float = 0.99,
    note: Note | None = None,
) -> ViewInfo:
    """Make the view anew from the segments, without embedding anything.

    Args:
        view: "exact" (no view: every row is compared), "ivf", or "auto": exact up to 20,000 photos.
        recall: the recall@10 that an approximate view is tuned to, on held-out rows.

    Returns: how the index is searched now. Raises IndexLocked, IndexMissing, SimsearchError.
    """
    folder = existing_index(index)
    with WriterLock(folder), Index.open(folder) as opened:
        _build(opened, view, recall, note or (lambda _: None))
        return opened.snapshot().info()


def tend_view(index: Index, note: Note) -> None:
    """After a run, with the lock held: build the first view, renew a lost or outgrown one, add the tail."""
    snapshot = index.snapshot()
    record = snapshot.record
    if snapshot.view_lost:
        note("The view is missing or damaged and is built again.")
        _build(index, "auto", 0.99, note)
    elif record is None:
        if snapshot.photos > EXACT_UP_TO:
            _build(index, "auto", 0.99, note)
    elif snapshot.photos > GROWTH * record.trained_on:
        _build(index, record.kind, 0.99, note)
    elif len(snapshot.table) >= TAIL_ROWS:
        _extend(index, record)


def _build(index: Index, kind: str, recall: float, note: Note) -> None:
    from simsearch.views.faiss_view import IvfView

    with index.database.read() as connection:
        table = catalog.live_vectors(connection)
    if kind == "exact" or (kind == "auto" and len(table) <= EXACT_UP_TO):
        _adopt(index, None)
        return
    note(f"Building the search view of {len(table)} photos")
    view = IvfView.build(lambda: table_blocks(table, index.segments), len(table), recall=recall)
    _save(index, view, int(table.ids[-1]), len(table))


def _extend(index: Index, record: ViewRecord) -> None:
    snapshot = index.snapshot()
    # The view in memory is shared with readers of this process; the copy that grows is read from disk.
    view = load_view(index.path, record)
    if view is None:
        return
    for ids, rows in snapshot.blocks():
        view.add(ids, rows)
    _save(index, view, int(snapshot.table.ids[-1]), record.trained_on)


def _save(index: Index, view: IvfView, last_id: int, trained_on: int) -> None:
    """Write under a temporary name, sync, rename, and only then name it in the database."""
    folder = index.path / "views"
    number = 1 + max((int(f.stem) for f in folder.glob("*.faiss") if f.stem.isdigit()), default=0)
    path, temporary = folder / f"{number}.faiss", folder / f"{number}.faiss.new"
    view.write(temporary)
    temporary.replace(path)
    sync_folder(folder)
    record = ViewRecord(
        file=path.name,
        kind=view.kind,
        size=path.stat().st_size,
        sha256=file_digest(path),
        last_id=last_id,
        trained_on=trained_on,
        nprobe=view.setting.nprobe,
        reranked=view.setting.reranked,
        recall=view.setting.recall,
    )
    _adopt(index, record)


def _adopt(index: Index, record: ViewRecord | None) -> None:
    with index.database.write() as connection:
        if record is None:
            writer.drop_setting(connection, "view")
        else:
            writer.put_settings(connection, {"view": json.dumps(asdict(record))})
    for file in (index.path / "views").iterdir():
        if record is None or file.name != record.file:
            file.unlink(missing_ok=True)


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
    problems: list[Problem] = []
    checked, after = 0, 0
    headers: set[int] = set()
    while True:
        with index.database.read() as connection:
            table = catalog.all_vectors(connection, after=after)
        if not len(table):
            return checked, problems
        after = int(table.ids[-1])
        for number in sorted(set(table.segments.tolist()) - headers):
            headers.add(number)
            what = index.segments.header_problem(number)
            if what is not None:
                problems.append(Problem(_segment_name(index, number), what, again))
                return checked, problems
        crcs = dict(zip(table.ids.tolist(), table.crcs.tolist(), strict=True))
        bad: list[int] = []
        try:
            for ids, rows in table_blocks(table, index.segments):
                contiguous = np.ascontiguousarray(rows)
                for vector_id, row in zip(ids.tolist(), contiguous, strict=True):
                    checked += 1
                    if zlib.crc32(row.data) != crcs[vector_id]:
                        bad.append(vector_id)
        except IndexDamaged as exc:
            problems.append(Problem("segments", str(exc), again))
            return checked, problems
        if bad:
            where = _segment_name(index, int(table.segments[np.searchsorted(table.ids, bad[0])]))
            what = f"{len(bad)} vectors are not what was written (first: id {bad[0]})"
            problems.append(Problem(where, what, again))


def _segment_name(index: Index, number: int) -> str:
    return str(index.segments.path(number).relative_to(index.path))


def _view_problems(index: Index) -> Iterator[Problem]:
    with index.database.read() as connection:
        record = ViewRecord.from_settings(catalog.read_settings(connection))
    if record is not None and load_view(index.path, record) is None:
        mend = f"simsearch rebuild -i {index.path}"
        yield Problem(str(Path("views") / record.file), "missing, or not the file that was written", mend)
