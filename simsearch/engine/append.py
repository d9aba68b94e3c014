"""New vectors -> the end of the last segment, on the disk before any row of the database names them."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simsearch.records import Facts
from simsearch.storage import catalog
from simsearch.storage.catalog import WHOLE, Labels
from simsearch.storage.database import Database
from simsearch.storage.segments import SegmentStore
from simsearch.storage.writer import NewVector

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class NewContent:
    """A picture seen for the first time: SHA-256 digest, facts, its unit vector (dim,), and its labels.

    `tiles` are vectors of parts of it, by the name of the part. A `vector` of None says that the picture is
    known, and only these are new.
    """

    digest: bytes
    facts: Facts
    vector: Vectors | None
    labels: Labels = ()
    tiles: tuple[tuple[str, Vectors], ...] = ()

    def rows(self) -> Iterator[tuple[str, Vectors]]:
        """Every new vector with the part that it is of, the whole first."""
        if self.vector is not None:
            yield WHOLE, self.vector
        yield from self.tiles


def append(database: Database, segments: SegmentStore, new: Sequence[NewContent]) -> list[NewVector]:
    """Write the vectors behind the committed ones and wait for the disk; where each lies now.

    Raises IndexUnwritable.
    """
    with database.read() as connection:
        segment, row = catalog.end_of(catalog.read_settings(connection))
    placed: list[NewVector] = []
    left = [(item, part, vector) for item in new for part, vector in item.rows()]
    while left:
        room = segments.rows_per_segment - row
        if not room:
            segment, row = segment + 1, 0
            continue
        fitting, left = left[:room], left[room:]
        rows = np.stack([vector for _, _, vector in fitting]).astype("<f4")
        segments.append(segment, row, rows)
        for (item, part, _), vector in zip(fitting, rows, strict=True):
            labels = item.labels if part == WHOLE else ()
            crc32 = zlib.crc32(vector.data)
            placed.append(NewVector(item.digest, item.facts, segment, row, crc32, labels, part))
            row += 1
    return placed
