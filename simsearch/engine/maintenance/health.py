"""Which pictures of an index are whole: rows against their seals, each vector against its CRC-32."""

from __future__ import annotations

import errno
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simsearch.errors import IndexDamaged, IndexUnwritable
from simsearch.spec import EmbeddingSpec
from simsearch.storage.catalog import WHOLE, VectorTable
from simsearch.storage.database import Database
from simsearch.storage.salvage import sound_rows
from simsearch.storage.schema import contents, files, vectors
from simsearch.storage.segments import SegmentHeader, SegmentStore

PAGE = 2000

Row = dict[str, Any]


@dataclass
class Sound:
    """What of a damaged index is whole: the ids of vectors and of pictures that have their record and vector.

    `highest` is the greatest id that is told of anywhere, `last_segment` the greatest number of a segment,
    `segments` those that hold a sound vector.
    """

    vectors: set[int] = field(default_factory=set)
    contents: set[int] = field(default_factory=set)
    segments: set[int] = field(default_factory=set)
    highest: int = 0
    last_segment: int = 0

    def keeps(self, vector: Row) -> bool:
        """Whether a row of a vector is whole, and the picture that it is of, or of a part of, is as well."""
        return vector["id"] in self.vectors and vector["content_id"] in self.contents

    def has_lost(self, file: Row) -> bool:
        """Whether the picture of a file's row is not whole, so that the file has to be read again."""
        return file["content_id"] is not None and file["content_id"] not in self.contents


def sound_pictures(source: Database, segments: SegmentStore) -> Sound:
    """Which pictures are whole, by the seals of their rows and the CRC-32 of their vectors.

    `segments` does not check headers. Raises IndexUnwritable where the vectors cannot be looked at now.
    """
    sound = Sound()
    known = {row["id"] for row in sound_rows(source, contents)}
    sound.highest = max(known, default=0)
    for page in pages(sound_rows(source, vectors)):
        sound.highest = max(sound.highest, *(row["id"] for row in page))
        sound.last_segment = max(sound.last_segment, *(row["segment"] for row in page))
        good = sound_vectors(segments, _table(page))
        for row, ok in zip(page, good.tolist(), strict=True):
            if ok and row["content_id"] in known:
                sound.vectors.add(row["id"])
                sound.segments.add(row["segment"])
                sound.contents |= {row["content_id"]} if row["part"] == WHOLE else set()
    for row in sound_rows(source, files):
        sound.highest = max(sound.highest, row["content_id"] or 0)
    return sound


def unchecked_segments(folder: Path, settings: dict[str, str]) -> SegmentStore:
    """The segments of an index, read whatever their headers say: a row proves itself."""
    spec = EmbeddingSpec.from_json(settings["spec"])
    header = SegmentHeader(settings["uuid"], spec.id, spec.dim)
    return SegmentStore(folder / "segments", header, check_headers=False)


def pages(rows: Iterator[Row]) -> Iterator[list[Row]]:
    """The rows in lists short enough for one statement."""
    while page := list(islice(rows, PAGE)):
        yield page


def _table(page: list[Row]) -> VectorTable:
    names = ("id", "content_id", "segment", "row", "crc32")
    return VectorTable(*(np.array([row[name] for row in page], dtype=np.int64) for name in names))


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
