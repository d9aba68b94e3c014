"""What an index knows of one photo: its file, its picture, its copies and what it shows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from simsearch.engine.disk import file_stat
from simsearch.engine.index import Index
from simsearch.engine.ranking import content_paths
from simsearch.errors import IndexDamaged, NotIndexed
from simsearch.models.labels.names import name_of
from simsearch.paths import AnyPath, canonical, is_source, text
from simsearch.storage import catalog
from simsearch.storage.catalog import FileRow

MILLION = 1_000_000
_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Label:
    """What a photo may show: the name of a class of ImageNet and its probability, 0 to 1."""

    name: str
    probability: float


@dataclass(frozen=True, slots=True)
class PhotoFacts:
    """What an index knows of the photo in one file.

    Attributes:
        path: absolute.
        id: of its vector.
        width, height: upright, in pixels.
        format: Pillow's name.
        bytes: size of the file.
        taken_at: EXIF's date, YYYY-MM-DDTHH:MM:SS.
        modified_at: the file's last change, so written in local time; None where a store does not tell.
        sha256: hex.
        copies: absolute paths of other files with the same bytes.
        state: of the file now: "unchanged", "changed" since it was read, or "missing"; "unseen" where it lies
            in a store or an archive, which is not asked for this.
        labels: the five most probable.
        no_labels: why photos of this index get no labels; None where they do.
    """

    path: str
    id: int
    width: int
    height: int
    format: str
    bytes: int
    taken_at: str | None
    modified_at: str | None
    sha256: str
    copies: tuple[str, ...]
    state: str
    labels: tuple[Label, ...] = ()
    no_labels: str | None = None


def photo_facts(index: Index, path: AnyPath) -> PhotoFacts:
    """What the index knows of the photo at `path`, which may have gone since.

    Raises NotIndexed for a file that it does not know, or had to skip, with the reason.
    """
    place = canonical(path)
    return index.steadily(lambda connection: _facts(connection, index, place))


def labels_told(labels: catalog.Labels) -> tuple[Label, ...]:
    """Labels with their names and their probabilities, 0 to 1."""
    return tuple(Label(name_of(number), millionths / MILLION) for number, millionths in labels)


def _facts(connection: sa.Connection, index: Index, path: bytes) -> PhotoFacts:
    row = catalog.row_at(connection, path)
    if row is None:
        raise NotIndexed(
            f"{text(path)} is not in the index at {index.path}. Add it with: simsearch index, and its folder"
        )
    if row.content_id is None:
        again = "It is tried again by every run." if row.transient else "It is tried again when it changes."
        raise NotIndexed(f"{text(path)} was skipped: {row.reason}. {again}")
    content = catalog.contents_by_id(connection, [row.content_id]).get(row.content_id)
    table = catalog.vectors_where(connection, "content_id", [row.content_id])
    paths = content_paths(connection, [row.content_id]).get(row.content_id, [])
    if content is None or not len(table) or path not in paths:
        raise IndexDamaged(f"The record of {text(path)} in index.db is damaged. Run: simsearch verify")
    labels = catalog.labels_of(connection, [row.content_id]).get(row.content_id, ())
    return PhotoFacts(
        path=text(path),
        id=int(table.ids[0]),
        width=content.width,
        height=content.height,
        format=content.format,
        bytes=row.stat.size,
        taken_at=content.taken_at,
        modified_at=_local(row.stat.mtime_ns) if row.stat.mtime_ns else None,
        sha256=content.sha256.hex(),
        copies=tuple(text(other) for other in paths if other != path),
        state=_state(row, path),
        labels=labels_told(labels),
        no_labels=catalog.why_no_labels(catalog.read_settings(connection)),
    )


def _state(row: FileRow, path: bytes) -> str:
    if is_source(path):
        return "unseen"
    stat = file_stat(path)
    if stat is None:
        return "missing"
    same = (stat.size, stat.mtime_ns) == (row.stat.size, row.stat.mtime_ns)
    return "unchanged" if same else "changed"


def _local(nanoseconds: int) -> str | None:
    """A time of a file as local time; None for one that no calendar has."""
    try:
        return datetime.fromtimestamp(nanoseconds // _SECOND).isoformat()
    except (ValueError, OverflowError, OSError):
        return None
