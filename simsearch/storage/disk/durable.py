"""Writes that the disk has when they are done."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from simsearch.errors import IndexUnwritable

BINARY = getattr(os, "O_BINARY", 0)


def sync_folder(folder: Path) -> None:
    """Make the names in the folder of an index durable. Raises IndexUnwritable."""
    try:
        sync_names(os.fsencode(folder))
    except OSError as exc:
        raise IndexUnwritable(
            f"The disk does not take the names in {folder}: {exc.strerror or exc}. What was committed before "
            "is safe; make room or mend the disk, and run the same command again."
        ) from exc


def sync_names(folder: bytes) -> None:
    """Make the names in `folder` durable. Windows cannot open a folder, and NTFS logs names by itself.

    Raises OSError.
    """
    if sys.platform == "win32":
        return
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    except OSError as exc:
        # Some network file systems refuse to sync a folder; there is nothing more to ask of them.
        if exc.errno != errno.EINVAL:
            raise
    finally:
        os.close(fd)


@contextlib.contextmanager
def synced(path: Path, flags: int) -> Iterator[int]:
    """An open file, that the disk has in full when the body is done."""
    fd = os.open(path, flags | BINARY, 0o644)
    try:
        yield fd
        os.fsync(fd)
    finally:
        os.close(fd)


def write_at(fd: int, data: bytes, offset: int) -> None:
    """Write all of `data` from `offset` on."""
    view = memoryview(data)
    while view:
        if sys.platform == "win32":
            os.lseek(fd, offset, os.SEEK_SET)
            done = os.write(fd, view)
        else:
            done = os.pwrite(fd, view, offset)
        view, offset = view[done:], offset + done
