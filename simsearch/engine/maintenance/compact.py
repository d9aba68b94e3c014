"""Gives back the room of photos that no file has any more: new segments, one switch, then the old ones go."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from simsearch.engine.create import delete_replaced, open_for_writing
from simsearch.engine.disk import bytes_below
from simsearch.engine.index import Index
from simsearch.engine.maintenance.verify import database_problems
from simsearch.engine.maintenance.view import renew_view
from simsearch.engine.ranking import checked_rows
from simsearch.errors import IndexDamaged, IndexUnwritable
from simsearch.media.thumbs import keep_only
from simsearch.paths import DATABASE, existing_index
from simsearch.records import CompactReport
from simsearch.storage import catalog, writer
from simsearch.storage.lock import WriterLock
from simsearch.storage.segments import SegmentStore

BLOCK = 2048
REBUILD_SHARE = 0.10
"""A view that covers more than this share of dropped rows is built again; fewer cost it a look each."""

Places = dict[int, tuple[int, int]]
KeepOnly = Callable[[Path, set[bytes]], None]


def compact(
    index: str | os.PathLike[str] | None = None,
    *,
    note: Callable[[str], None] | None = None,
    beside: Sequence[KeepOnly] = (),
) -> CompactReport:
    """Drop the vectors of photos that were pruned, removed or replaced, and their thumbnails.

    Only segments that hold such vectors are written anew. Readers go on meanwhile; a crash leaves either
    the old segments in force or the new ones. After it a photo that comes back is embedded again.

    Args:
        note: called with lines for a person.
        beside: each is called with the folder and the SHA-256 of all pictures that are left, to drop what
            else is kept there of others.

    Raises IndexMissing, IndexLocked, IndexUnwritable (no room for the copy), IndexDamaged.
    """
    folder, note = existing_index(index), note or (lambda _: None)
    with WriterLock(folder), open_for_writing(folder, note) as opened:
        before = bytes_below(folder)
        for problem in database_problems(opened.database):
            # What is dropped is told by SQLite's indexes, which have no seal of their own.
            raise IndexDamaged(f"{folder / DATABASE}: {problem}. Nothing was dropped. Run: simsearch verify")
        with opened.database.read() as connection:
            dropped = catalog.contents_without_file(connection)
            old = sorted(catalog.segments_of(connection, dropped))
            vectors = catalog.count(connection, "vectors")
        if dropped:
            opened.segments.open(old)
            _check_room(opened.segments, old)
            places, end = _copy(opened, old)
            _switch(opened, dropped, places, end, old)
            delete_replaced(opened)
            with opened.database.read() as connection:
                lost = vectors - catalog.count(connection, "vectors")
            _tend_view(opened, lost, note)
        opened.database.shrink()
        with opened.database.read() as connection:
            left, kept = catalog.digests(connection), catalog.count(connection, "vectors")
        for drop in (_thumbnails, *beside):
            drop(folder, left)
    return CompactReport(str(folder), vectors - kept, kept, before, bytes_below(folder))


def _thumbnails(folder: Path, left: set[bytes]) -> None:
    keep_only(folder / "thumbs.db", left)


def _check_room(segments: SegmentStore, old: Sequence[int]) -> None:
    needed = sum(segments.path(number).stat().st_size for number in old)
    free = shutil.disk_usage(segments.path(0).parent).free
    if needed > free:
        raise IndexUnwritable(
            f"Compacting writes up to {needed / 1e6:.0f} MB beside the old segments, and only "
            f"{free / 1e6:.0f} MB are free in {segments.path(0).parent}. Make room and run it again."
        )


def _copy(index: Index, old: Sequence[int]) -> tuple[Places, tuple[int, int]]:
    """Write the rows of `old` segments that still count into new ones; (places by id, where to go on).

    Every row is checked against its CRC-32 on the way, so that damage is never sealed anew.
    """
    with index.database.read() as connection:
        segment, row = catalog.end_of(catalog.read_settings(connection))
    if segment in old:
        segment, row = segment + 1, 0
    places: Places = {}
    for number in old:
        after = -1
        while True:
            with index.database.read() as connection:
                table = catalog.vectors_in_segment(connection, number, after=after, limit=BLOCK)
            if not len(table):
                break
            after = int(table.rows[-1])
            rows, ids = checked_rows(index.segments, table), table.ids.tolist()
            while ids:
                if row == index.segments.rows_per_segment:
                    segment, row = segment + 1, 0
                room = index.segments.rows_per_segment - row
                index.segments.append(segment, row, rows[:room])
                for vector_id in ids[:room]:
                    places[vector_id] = (segment, row)
                    row += 1
                ids, rows = ids[room:], rows[room:]
    return places, (segment, row)


def _switch(
    index: Index, dropped: Sequence[int], places: Places, end: tuple[int, int], old: Sequence[int]
) -> None:
    """The one transaction that forgets the old places and names the new ones."""
    with index.database.write() as connection:
        # Without the log, pages that spill from the cache would lock readers out before the commit.
        connection.exec_driver_sql("PRAGMA cache_spill=OFF")
        writer.drop_contents(connection, dropped)
        writer.move_vectors(connection, places)
        replaced = sorted({*old, *catalog.replaced_segments(catalog.read_settings(connection))})
        writer.put_settings(connection, {"end": json.dumps(list(end)), "replaced": json.dumps(replaced)})


def _tend_view(index: Index, dropped: int, note: Callable[[str], None]) -> None:
    record = index.snapshot().record
    if record is not None and dropped > REBUILD_SHARE * record.trained_on:
        renew_view(index, note)
