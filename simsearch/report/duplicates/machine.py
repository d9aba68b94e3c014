"""Groups of copies and leaks -> CSV and lists of paths, as bytes that keep every file name exactly."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from simsearch.report.duplicates.words import spare
from simsearch.report.machine import csv_line

if TYPE_CHECKING:
    from simsearch.dedup.records import DuplicateGroup, LeakReport

CSV_COLUMNS = ("group", "level", "keep", "path", "score", "width", "height", "bytes", "sha256")
LEAK_COLUMNS = ("test", "train", "level", "score")


def groups_csv(groups: Sequence[DuplicateGroup]) -> Iterator[bytes]:
    """A header and a line for each photo; level and score are those towards the keeper of its group."""
    yield csv_line(CSV_COLUMNS)
    for number, group in enumerate(groups, start=1):
        for photo in group.photos:
            keep = "true" if photo.path == group.keep else "false"
            facts = (repr(photo.score), photo.width, photo.height, photo.bytes, photo.sha256)
            yield csv_line((number, photo.level, keep, photo.path, *facts))


def spare_paths(groups: Sequence[DuplicateGroup], *, end: bytes = b"\n") -> Iterator[bytes]:
    """The raw paths of the copies that are not kept, each followed by `end` (a NUL for `xargs -0`).

    What is only probably a copy, or similar, is left out: whatever reads this list may delete.
    """
    for photo in spare(groups):
        yield os.fsencode(photo.path) + end


def leaks_csv(report: LeakReport) -> Iterator[bytes]:
    """A header and a line for each leak."""
    yield csv_line(LEAK_COLUMNS)
    for leak in report.leaks:
        yield csv_line((leak.test, leak.train, leak.level, repr(leak.score)))
