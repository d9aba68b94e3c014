"""What the index says of some pictures, read for one page of them."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from simsearch.engine.index import Index
from simsearch.engine.labels.facts import Label, labels_told
from simsearch.engine.ranking import content_paths
from simsearch.paths import text
from simsearch.storage import catalog


@dataclass(frozen=True, slots=True)
class Shot:
    """An indexed picture: absolute paths in byte order, upright size in pixels, Pillow's format, EXIF time,
    bytes of its file and when that was last written (nanoseconds since 1970), and its labels."""

    id: int
    paths: tuple[str, ...]
    width: int
    height: int
    format: str
    taken_at: str | None
    bytes: int
    modified_ns: int
    labels: tuple[Label, ...] = ()

    @property
    def day(self) -> str:
        """The day it was taken, or else last written, as YYYY-MM-DD."""
        if self.taken_at:
            return self.taken_at[:10]
        seconds = self.modified_ns // 1_000_000_000
        try:
            return datetime.datetime.fromtimestamp(seconds).date().isoformat()
        except (ValueError, OverflowError, OSError):
            # A clock that was never set, or a damaged disk.
            return ""


def shots(index: Index, ids: Sequence[int]) -> dict[int, Shot]:
    """Those of the pictures that still have a file, by id."""

    def read(connection: sa.Connection) -> dict[int, Shot]:
        table = catalog.vectors_where(connection, "id", ids)
        contents = table.contents.tolist()
        rows = catalog.contents_by_id(connection, contents)
        files = catalog.files_of(connection, contents)
        paths = content_paths(connection, contents)
        labels = catalog.labels_of(connection, contents)
        found: dict[int, Shot] = {}
        for vector_id, content_id in zip(table.ids.tolist(), contents, strict=True):
            row, stat = rows.get(content_id), files.get(content_id)
            if row is None or not stat:
                continue
            own = tuple(text(path) for path in paths[content_id])
            size = (row.width, row.height)
            last = stat[0].stat
            told = labels_told(labels.get(content_id, ()))
            found[vector_id] = Shot(
                vector_id, own, *size, row.format, row.taken_at, last.size, last.mtime_ns, told
            )
        return found

    return index.steadily(read)
