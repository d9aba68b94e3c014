"""What is shown of a member: its picture by address, and facts about the file in words."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

from simsearch.dedup.records import DuplicatePhoto
from simsearch.report.names import visible
from simsearch.storage import catalog
from simsearch.ui.look import size_of
from simsearch.ui.shared import Library

LABELS = ("Pixels", "Size", "Date", "Format", "Folder")


@dataclass(frozen=True, slots=True)
class Shown:
    """Addresses of a picture ("" where there is none), its folder and name, and facts as in `LABELS`."""

    thumbnail: str
    picture: str
    name: str
    facts: tuple[str, ...]


def thumbnail_of(lib: Library, photo: DuplicatePhoto) -> str:
    """The address of a member's thumbnail; "" where its content is in the index no more."""
    number = lib.index.vector_id_of(digest=bytes.fromhex(photo.sha256))
    return "" if number is None else lib.thumbnail(number)


def shown(lib: Library, photo: DuplicatePhoto) -> Shown:
    """All that is shown of a member. Raises IndexDamaged."""
    digest = bytes.fromhex(photo.sha256)
    number = lib.index.vector_id_of(digest=digest)
    taken, form = None, ""
    with lib.index.database.read() as connection:
        content = catalog.content_by_digest(connection, digest)
        row = None if content is None else catalog.contents_by_id(connection, [content]).get(content)
    if row is not None:
        taken, form = row.taken_at, row.format
    folder, name = os.path.split(photo.path)
    return Shown(
        "" if number is None else lib.thumbnail(number),
        "" if number is None else lib.picture(number),
        visible(os.path.join(os.path.basename(folder), name)),
        (
            f"{photo.width} x {photo.height}",
            f"{size_of(photo.bytes)} ({photo.bytes:,} bytes)"
            if photo.bytes >= 1000
            else size_of(photo.bytes),
            _date(photo.path, taken),
            form or "unknown",
            visible(folder),
        ),
    )


def _date(path: str, taken: str | None) -> str:
    if taken is not None:
        return f"taken {taken.replace('T', ' ')}"
    try:
        return time.strftime("changed %Y-%m-%d %H:%M:%S", time.localtime(os.stat(path).st_mtime))
    except (OSError, OverflowError, ValueError):
        return "the file is gone"
