"""Bytes, seconds and memory of a collection of n pictures, from the unit costs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.scale.measure import REDUCED
from benchmarks.scale.units import SIZES, Units
from simsearch.engine.snapshot import EXACT_UP_TO
from simsearch.storage.segments import HEADER, SEGMENT_BYTES

CODE, ID, PADDED = 64, 8, 16
"""Bytes of a row's code and id in a view; rows by which a list is filled up on average (half of 32)."""

THUMBNAIL = 12_000
"""Bytes of a thumbnail; assumed."""

TRAIN_ROUNDS, TRAIN_A_LIST, TRAIN_LEAST = 10, 40, 40_000
LIVE_ID = 16
"""Bytes a photo while a snapshot is read: its id, and once more while they are sorted."""


@dataclass(frozen=True, slots=True)
class Model:
    """What n pictures with vectors of length `dim` cost, where one index holds them all."""

    units: Units
    dim: int

    def segments(self, n: int) -> int:
        """How many files the vectors fill."""
        return -(-n // self.rows_a_segment)

    @property
    def rows_a_segment(self) -> int:
        """Vectors in a segment of 1 GiB."""
        return (SEGMENT_BYTES - HEADER) // (4 * self.dim)

    def segment_bytes(self, n: int) -> int:
        """Bytes of all segments: n rows of float32, and a header a file."""
        return n * 4 * self.dim + HEADER * self.segments(n)

    def database_bytes(self, n: int) -> float:
        """Bytes of index.db."""
        return n * self.units.database.value

    def view_bytes(self, n: int) -> float:
        """Bytes of the view's file; none where every vector is compared.

        A code and an id a row, a centre of 256 float32 and half a block of codes a list, and the matrix that
        gives the 256.
        """
        if n <= EXACT_UP_TO:
            return 0.0
        lists = list_count(n)
        return n * (CODE + ID) + lists * (4 * REDUCED + PADDED * CODE) + 4 * self.dim * REDUCED

    def memory_bytes(self, n: int) -> float:
        """Bytes of one process that answers: Python and a network, the view, and the ids of a snapshot."""
        curves = self.units.curves
        grown = curves["loaded_bytes"][-1] / curves["file_bytes"][-1]
        return self.units.base_memory.value * 1e6 + self.view_bytes(n) * grown + n * LIVE_ID

    def query_seconds(self, n: int) -> float:
        """CPU seconds of a query by a vector: a + b * sqrt(n), as lists and their number both grow so.

        Where every vector is compared: what the database costs, and the comparing.
        """
        curves = self.units.curves
        if n <= EXACT_UP_TO:
            around = curves["query_ms"][0] - curves["view_ms"][0]
            return (around + curves["exact_ms"][0] * n / SIZES[0]) / 1000
        start, slope = line([math.sqrt(size) for size in SIZES], curves["query_ms"])
        return (start + slope * math.sqrt(n)) / 1000

    def build_seconds(self, n: int) -> float:
        """CPU seconds to build the view.

        The work of finding lists and of assigning rows to them at the rate of k-means; all else grows with
        n, at what is left of the difference between the two largest collections.
        """
        if n <= EXACT_UP_TO:
            return 0.0
        (_, less, more), (_, first, second) = SIZES, self.units.curves["build_s"]
        rest = (second - first - self._lists_seconds(more) + self._lists_seconds(less)) / (more - less)
        return first + self._lists_seconds(n) - self._lists_seconds(less) + rest * (n - less)

    def open_seconds(self, n: int) -> float:
        """Seconds to open the index and answer the first query."""
        start, slope = line(SIZES, self.units.curves["open_s"])
        return start + slope * n

    def refresh_seconds(self, n: int) -> float:
        """Seconds that a new commit costs a reader: all of opening but the view, which it keeps.

        The ids of all photos that have a file are read and sorted anew.
        """
        _, slope = line(SIZES, self.units.curves["view_open_s"])
        return self.open_seconds(n) - slope * n - self.view_bytes(n) / (self.units.digest.value * 1e6)

    def graph_seconds(self, n: int) -> float:
        """CPU seconds of the ten nearest neighbours of every picture: n * (a + b * sqrt(n))."""
        sizes, found = SIZES[1:], self.units.curves["graph_s"][1:]
        a_row = [seconds / size for seconds, size in zip(found, sizes, strict=True)]
        start, slope = line([math.sqrt(size) for size in sizes], a_row)
        return n * (start + slope * math.sqrt(n))

    def scan_seconds(self, n: int) -> float:
        """Seconds to find out that none of n files has changed."""
        return n / self.units.unchanged.value

    def _lists_seconds(self, n: int) -> float:
        lists = list_count(n)
        sample = min(n, max(TRAIN_LEAST, TRAIN_A_LIST * lists))
        return 2 * REDUCED * lists * (n + TRAIN_ROUNDS * sample) / (self.units.kmeans.value * 1e9)


def list_count(n: int) -> int:
    """The lists of a view of n rows: the power of two nearest to 2 * sqrt(n), at least 40 rows a list."""
    return max(1, min(1 << round(math.log2(2 * math.sqrt(n))), n // TRAIN_A_LIST))


def line(places: Sequence[float], values: Sequence[float]) -> tuple[float, float]:
    """(start, slope) of the line with the least squares through points."""
    middle, level = sum(places) / len(places), sum(values) / len(values)
    slope = sum((x - middle) * (y - level) for x, y in zip(places, values, strict=True)) / sum(
        (x - middle) ** 2 for x in places
    )
    return level - slope * middle, slope
