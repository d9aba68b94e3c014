"""The directories of a TIFF file, as far as they tell a camera's RAW file and whether it is all there."""

from __future__ import annotations

import struct
from collections.abc import Iterator

SUBFILE_TYPE, SUB_FOLDERS, DNG_VERSION = 254, 330, 50706
_STRIPS, _STRIP_SIZES, _TILES, _TILE_SIZES = 273, 279, 324, 325
_KINDS = {1: "B", 3: "H", 4: "I", 13: "I"}
_MOST_FOLDERS, _MOST_ENTRIES, _MOST_VALUES = 32, 512, 65_536

Folder = dict[int, tuple[int, ...]]


def folders(data: bytes) -> Iterator[Folder]:
    """The values of whole-number tags of each directory that lies within `data`, the first one first.

    Nothing is raised on damage: what cannot be read is left out. See TIFF 6.0, section 2.
    """
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None or len(data) < 8:
        return
    todo, seen = list(struct.unpack_from(f"{order}I", data, 4)), set[int]()
    while todo and len(seen) < _MOST_FOLDERS:
        at = todo.pop(0)
        if at in seen or at < 8 or at + 2 > len(data):
            continue
        seen.add(at)
        (count,) = struct.unpack_from(f"{order}H", data, at)
        found: Folder = {}
        for entry in range(at + 2, min(at + 2 + 12 * min(count, _MOST_ENTRIES), len(data) - 11), 12):
            tag, values = _entry(data, entry, order)
            if values:
                found[tag] = values
        todo += found.get(SUB_FOLDERS, ())
        if at + 6 + 12 * count <= len(data):
            todo += struct.unpack_from(f"{order}I", data, at + 2 + 12 * count)
        yield found


def is_raw(head: bytes) -> bool:
    """Whether the beginning of a TIFF file is that of a camera's RAW file.

    It says that it is a DNG, or its first picture is a small one while others lie in directories below.
    """
    first = next(folders(head), {})
    small_first = first.get(SUBFILE_TYPE, (0,))[0] & 1 == 1
    return DNG_VERSION in first or (small_first and SUB_FOLDERS in first)


def reaches_past_end(data: bytes) -> bool:
    """Whether a strip or tile of any directory does not end within the file."""
    return any(
        start + size > len(data)
        for folder in folders(data)
        for places, sizes in ((_STRIPS, _STRIP_SIZES), (_TILES, _TILE_SIZES))
        for start, size in zip(folder.get(places, ()), folder.get(sizes, ()), strict=False)
    )


def _entry(data: bytes, at: int, order: str) -> tuple[int, tuple[int, ...]]:
    tag, kind, count = struct.unpack_from(f"{order}HHI", data, at)
    letter = _KINDS.get(kind)
    if letter is None or not 0 < count <= _MOST_VALUES:
        return tag, ()
    form = f"{order}{count}{letter}"
    size = struct.calcsize(form)
    place = at + 8 if size <= 4 else struct.unpack_from(f"{order}I", data, at + 8)[0]
    return tag, struct.unpack_from(form, data, place) if place + size <= len(data) else ()
