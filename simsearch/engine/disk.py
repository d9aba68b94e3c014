"""What the file system says of a path: a file's stat, the size of a folder."""

from __future__ import annotations

import os
from pathlib import Path

from simsearch.records import FileStat


def bytes_below(folder: Path) -> int:
    """The size of all files; one that a writer takes away meanwhile counts as nothing."""
    total = 0
    for file in folder.rglob("*"):
        found = file_stat(os.fsencode(file))
        total += found.size if found is not None and file.is_file() else 0
    return total


def file_stat(path: bytes) -> FileStat | None:
    """The stat of a file, or None when there is none to be had."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return FileStat(found.st_size, found.st_mtime_ns, found.st_ino, found.st_dev)
