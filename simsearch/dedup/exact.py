"""Copies that are certain: files with the same bytes."""

from __future__ import annotations

import os

from simsearch.engine.index import Index
from simsearch.records import DuplicateGroup, DuplicatePhoto


def find_duplicates(index: Index | str | os.PathLike[str] | None = None) -> list[DuplicateGroup]:
    """Groups of indexed files whose bytes are equal (level "bytes"), by path of the keeper.

    Equality is that of the SHA-256 of the files' bytes when they were read, never that of vectors. The
    proposed keeper is the file with the shortest path, the usual home of an original. Nothing is changed.
    """
    if not isinstance(index, Index):
        with Index.open(index) as opened:
            return find_duplicates(opened)
    groups = []
    for photo in index.photos():
        ordered = _separate(sorted(photo.paths, key=lambda path: (len(os.fsencode(path)), os.fsencode(path))))
        if len(ordered) < 2:
            continue
        members = tuple(
            DuplicatePhoto(path, 1.0, photo.width, photo.height, os.stat(path).st_size) for path in ordered
        )
        groups.append(DuplicateGroup("bytes", 1.0, ordered[0], "kept: the shortest path", members))
    return sorted(groups, key=lambda group: os.fsencode(group.keep))


def _separate(paths: list[str]) -> list[str]:
    """The first path to each file that is there: links to one file are that file, not copies of it."""
    first: dict[tuple[int, int], str] = {}
    for path in paths:
        try:
            found = os.stat(path)
        except OSError:
            continue
        first.setdefault((found.st_dev, found.st_ino), path)
    return list(first.values())
