"""Which stored vectors are what was written: each against its CRC-32, whatever its file looks like."""

from __future__ import annotations

import errno
import zlib

import numpy as np
from numpy.typing import NDArray

from simsearch.errors import IndexDamaged, IndexUnwritable
from simsearch.storage.catalog import VectorTable
from simsearch.storage.segments import SegmentStore


def sound_vectors(segments: SegmentStore, table: VectorTable) -> NDArray[np.bool_]:
    """For each row of the table whether its bytes are there and have the CRC-32 of the database.

    `segments` does not check headers: a row proves itself.
    """
    good = np.zeros(len(table), dtype=np.bool_)
    for number in np.unique(table.segments).tolist():
        inside = np.flatnonzero((table.segments == number) & (table.rows < segments.rows_on_disk(number)))
        inside = inside[np.argsort(table.rows[inside], kind="stable")]
        try:
            good[inside] = _hold(segments, number, table, inside)
        except IndexDamaged as exc:
            if isinstance(exc.__cause__, OSError) and exc.__cause__.errno not in (errno.EIO, errno.ENOENT):
                # Nothing is said of the bytes by a right that lacks or a server that is away.
                raise IndexUnwritable(str(exc)) from exc
            # A disk that fails in one place is read around it.
            good[inside] = [_holds(segments, number, table, place) for place in inside.tolist()]
    return good


def _hold(segments: SegmentStore, number: int, table: VectorTable, inside: NDArray[np.int64]) -> list[bool]:
    crcs = iter(table.crcs[inside].tolist())
    return [
        zlib.crc32(row.data) == next(crcs)
        for block in segments.blocks(number, table.rows[inside])
        for row in np.ascontiguousarray(block)
    ]


def _holds(segments: SegmentStore, number: int, table: VectorTable, place: int) -> bool:
    try:
        return _hold(segments, number, table, np.array([place])) == [True]
    except IndexDamaged:
        return False
