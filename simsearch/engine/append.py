"""New vectors -> the end of the last segment, on the disk before any row of the database names them."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simsearch.records import Facts
from simsearch.storage import catalog
from simsearch.storage.catalog import Labels
from simsearch.storage.database import Database
from simsearch.storage.segments import SegmentStore
from simsearch.storage.writer import NewVector

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class NewContent:
    """A picture seen for the first time: SHA-256 digest, facts, its unit vector (dim,), and its labels."""

    digest: bytes
    facts: Facts
    vector: Vectors
    labels: Labels = ()


def append(database: Database, segments: SegmentStore, new: Sequence[NewContent]) -> list[NewVector]:
    """Write the vectors behind the committed ones and wait for the disk; where each lies now.

    Raises IndexUnwritable.
    """
    with database.read() as connection:
        segment, row = catalog.end_of(catalog.read_settings(connection))
    placed: list[NewVector] = []
    left = list(new)
    while left:
        room = segments.rows_per_segment - row
        if not room:
            segment, row = segment + 1, 0
            continue
        part, left = left[:room], left[room:]
        rows = np.stack([item.vector for item in part]).astype("<f4")
        segments.append(segment, row, rows)
        for item, vector in zip(part, rows, strict=True):
            crc32 = zlib.crc32(vector.data)
            placed.append(NewVector(item.digest, item.facts, segment, row, crc32, item.labels))
            row += 1
    return placed
