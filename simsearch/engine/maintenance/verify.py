"""Checks every byte of an index that counts, and on request every file that it stands for."""

from __future__ import annotations

import os
import shlex
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np

from simsearch.engine.index import Index
from simsearch.engine.maintenance.health import sound_pictures, sound_vectors, unchecked_segments
from simsearch.engine.ranking import content_paths
from simsearch.engine.tiles.setting import tiling_of
from simsearch.engine.viewing.record import ViewRecord, load_view
from simsearch.errors import ExtraMissing, FormatUnknown, IndexDamaged, SimsearchError, ViewUnavailable
from simsearch.media.files import FileUnreadable
from simsearch.media.sources.held import digest_of
from simsearch.media.sources.walk import root_state
from simsearch.paths import DATABASE, existing_index, join, text
from simsearch.records import Problem, VerifyReport
from simsearch.storage import answers, catalog, migrations, writer
from simsearch.storage.catalog import FileRow, Root, VectorTable
from simsearch.storage.database import Database
from simsearch.storage.salvage import damaged, sound_rows, sound_settings
from simsearch.storage.schema import FORMAT, TABLES, files, labels, roots
from simsearch.storage.segments import SegmentStore

PAGE = 20_000
BEYOND_REPAIR = "Move {folder} away and index the photos again: simsearch index FOLDER -i {folder}"


def verify(
    index: str | os.PathLike[str] | None = None,
    *,
    deep: bool = False,
    progress: Callable[[int, int], None] | None = None,
    locked: bool = False,
) -> VerifyReport:
    """Check the whole index: SQLite's own check, every row's seal, every vector's CRC-32, the view's SHA-256.

    What people answered about copies is checked as well, row by row.

    Args:
        deep: also read every indexed file again and compare its SHA-256.
        progress: called with the files read so far and their number.
        locked: whether the caller holds the index's lock, which an older format needs.

    Nothing is changed, but an older format brought forward. Raises IndexMissing when there is no index.
    """
    folder = existing_index(index)
    problems: list[Problem] = []
    checked = 0
    try:
        _bring_forward(folder, locked)
        with closing(Database(folder / DATABASE)) as database:
            wrong = list(database_problems(database))
        mend = _mend(folder)
        problems += [Problem(DATABASE, what, mend) for what in wrong]
        if not wrong:
            with Index.open(folder) as opened:
                _check_settings(opened)
                checked, found = _vector_problems(opened, mend)
                problems += [*found, *_view_problems(opened)]
                if deep:
                    problems += _file_problems(opened, progress or (lambda done, total: None))
    except (IndexDamaged, FormatUnknown) as exc:
        mend = _mend(folder, exc)
        problems.append(Problem(DATABASE, _without_advice(exc), mend))
    if any(problem.file == DATABASE and "--repair" in problem.mend for problem in problems):
        problems += _lost_photos(folder, mend)
    problems += answers.problems(folder)
    return VerifyReport(str(folder), checked, tuple(problems))


def _bring_forward(folder: Path, locked: bool) -> None:
    """An index of an older format is checked as what it becomes when it is opened."""
    with closing(Database(folder / DATABASE)) as database:
        if not (migrations.check(database) and migrations.is_old(database)):
            return
    Index.open_at(folder, locked=locked).close()


def _lost_photos(folder: Path, mend: str) -> Iterator[Problem]:
    """The photos of a damaged database whose record or vector is lost, which its mend reads again."""
    with damaged(folder / DATABASE) as source:
        settings = sound_settings(source)
        sound = sound_pictures(source, unchecked_segments(folder, {"uuid": "", **settings}))
        places = {row["id"]: row["path"] for row in sound_rows(source, roots)}
        for row in sound_rows(source, files):
            if row["root_id"] in places and sound.has_lost(row):
                path = text(join(places[row["root_id"]], row["relpath"]))
                yield Problem(path, "its record or its vector is not what was written", mend)


def _without_advice(error: SimsearchError) -> str:
    """What is wrong, without the advice to run what is running."""
    return str(error).partition(" Run: simsearch verify")[0]


def _mend(folder: Path, error: SimsearchError | None = None) -> str:
    """The command that mends a damaged database; `error` is why it cannot be opened, where it cannot."""
    with damaged(folder / DATABASE) as database:
        settings = sound_settings(database)
    if settings.get("format", str(FORMAT)) != str(FORMAT) or (
        isinstance(error, FormatUnknown) and "format" not in settings
    ):
        return "see there"
    if "spec" not in settings:
        return BEYOND_REPAIR.format(folder=shlex.quote(str(folder)))
    return f"simsearch index --repair -i {shlex.quote(str(folder))}"


def database_problems(database: Database) -> Iterator[str]:
    """What is wrong with a database: its pages, indexes, references, ids and seals. Raises IndexDamaged."""
    with database.read() as connection:
        for (line,) in connection.exec_driver_sql("PRAGMA integrity_check"):
            if line != "ok":
                yield f"SQLite: {line}"
        lost = Counter(row[0] for row in connection.exec_driver_sql("PRAGMA foreign_key_check"))
        for table, rows in lost.items():
            yield f"SQLite: {rows} rows of {table} refer to nothing"
    if not migrations.check(database):
        raise IndexDamaged("the index was never finished")
    for name in sorted(migrations.missing(database)):
        yield f"SQLite: there is no {name}"
    with database.read() as connection:
        lacking = catalog.contents_without_vector(connection)
        if lacking:
            yield f"SQLite: {lacking} pictures have no vector"
        if writer.highest_id(connection) > writer.sequence(connection):
            yield "SQLite: its count of ids is lost"
    with database.read() as connection:
        tables = (*TABLES, labels) if catalog.has_labels(connection) else TABLES
    for table in tables:
        with database.read() as connection:
            for _ in catalog.sealed_rows(connection, table, table.select()):
                continue


def _check_settings(index: Index) -> None:
    """Raises IndexDamaged for a setting that cannot be."""
    with index.database.read() as connection:
        settings = catalog.read_settings(connection)
    catalog.end_of(settings)
    catalog.replaced_segments(settings)
    for key in settings:
        if key.startswith("rules:"):
            catalog.rules_of(settings, key)
    catalog.number(settings, "max_pixels", 1)
    tiling_of(settings)


def _vector_problems(index: Index, mend: str) -> tuple[int, list[Problem]]:
    """How many vectors were held against their CRC-32, and what was found; a page a transaction."""
    segments = SegmentStore(index.path / "segments", index.segments.header, check_headers=False)
    problems = list(_header_problems(index, mend))
    checked, after = 0, 0
    while True:
        table, bad = _bad_rows(index, segments, after)
        if not len(table):
            return checked, problems
        checked, after = checked + len(table), int(table.ids[-1])
        problems += _named(index, bad, mend)


def _header_problems(index: Index, mend: str) -> Iterator[Problem]:
    seen = -1
    while True:
        with index.database.read() as connection:
            generation = catalog.generation(connection)
            numbers = sorted(catalog.segments_of(connection))
        bad = [number for number in numbers if not index.segments.has_header(number)]
        if not bad or generation == seen:
            break
        # Compaction may have taken one away between the two looks.
        seen = generation
    for number in bad:
        what = "its header is not what was written" if index.segments.rows_on_disk(number) else "missing"
        yield Problem(_segment_name(index, number), what, mend)


def _bad_rows(index: Index, segments: SegmentStore, after: int) -> tuple[VectorTable, VectorTable]:
    """The next page of vectors, and those of it whose bytes are not what was written.

    Compaction may take a segment away meanwhile; then the page is read again.
    """
    while True:
        with index.database.read() as connection:
            generation = catalog.generation(connection)
            table = catalog.all_vectors(connection, after=after, limit=PAGE)
        good = sound_vectors(segments, table)
        segments.close()
        with index.database.read() as connection:
            if good.all() or catalog.generation(connection) == generation:
                return table, table.pick(np.flatnonzero(~good))


def _named(index: Index, bad: VectorTable, mend: str) -> Iterator[Problem]:
    """A problem for each photo that has a damaged vector, and one for those of photos that were removed."""
    with index.database.read() as connection:
        paths = content_paths(connection, bad.contents.tolist())
    removed = 0
    places = zip(bad.contents.tolist(), bad.segments.tolist(), strict=True)
    for content_id, number in dict.fromkeys(places):
        where = _segment_name(index, number)
        removed += content_id not in paths
        for path in paths.get(content_id, []):
            yield Problem(text(path), f"its vector in {where} is not what was written", mend)
    if removed:
        yield Problem("segments", f"{removed} vectors of photos that were removed are damaged", mend)


def _segment_name(index: Index, number: int) -> str:
    return str(index.segments.path(number).relative_to(index.path))


def _view_problems(index: Index) -> Iterator[Problem]:
    seen: ViewRecord | None = None
    while True:
        mend = f"simsearch rebuild -i {shlex.quote(str(index.path))}"
        try:
            with index.database.read() as connection:
                record = ViewRecord.from_settings(catalog.read_settings(connection))
        except IndexDamaged as exc:
            yield Problem("views", _without_advice(exc), mend)
            return
        try:
            if record is None or load_view(index.path, record) is not None:
                return
        except (ViewUnavailable, ExtraMissing) as exc:
            where = record.remote.address if record is not None and record.remote is not None else ""
            yield Problem(where, str(exc), f"{mend} --view {shlex.quote(where)}")
            return
        if record == seen:
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
        digest, stat = digest_of(path)
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
