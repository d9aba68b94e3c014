"""Renames that never take another file's place, writes and folders that the disk has when they are done."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import secrets
import sys
from collections.abc import Callable
from functools import cache

from simsearch.storage.disk.durable import BINARY, sync_names, write_at

_AT_FDCWD = -100
_NOREPLACE = 1
_EXCL = 4
_UNSUPPORTED = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)


def rename_new(source: bytes, target: bytes) -> None:
    """Rename a file to a name that is free; both folders are on the disk when it is done, the new one first.

    Raises FileExistsError where the name is taken, and any other OSError.
    renameat2: https://man7.org/linux/man-pages/man2/rename.2.html, renamex_np: macOS's rename(2). Where the
    file system knows neither, the name is looked at just before.
    """
    _rename(source, target)
    sync_names(os.path.dirname(target))
    if os.path.dirname(source) != os.path.dirname(target):
        sync_names(os.path.dirname(source))


def _rename(source: bytes, target: bytes) -> None:
    call = _exclusive()
    if call is not None:
        number = call(source, target)
        if not number:
            return
        if number not in _UNSUPPORTED:
            raise OSError(number, os.strerror(number), os.fsdecode(source), None, os.fsdecode(target))
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), os.fsdecode(target))
    os.rename(source, target)


@cache
def _exclusive() -> Callable[[bytes, bytes], int] | None:
    """The system's rename that refuses a taken name; it returns 0 or the error's number."""
    if sys.platform == "win32":
        # Its own rename refuses already.
        return None
    library = ctypes.CDLL(None, use_errno=True)
    if sys.platform == "darwin":
        renamex = getattr(library, "renamex_np", None)
        return None if renamex is None else _told(lambda a, b: int(renamex(a, b, _EXCL)))
    renameat2 = getattr(library, "renameat2", None)
    if renameat2 is None:
        return None
    return _told(lambda a, b: int(renameat2(_AT_FDCWD, a, _AT_FDCWD, b, _NOREPLACE)))


def _told(call: Callable[[bytes, bytes], int]) -> Callable[[bytes, bytes], int]:
    return lambda source, target: ctypes.get_errno() if call(source, target) else 0


def write_whole(path: bytes, data: bytes) -> None:
    """Write a file whole or not at all, in the place of an earlier one, and have it on the disk.

    It is written under a temporary name that nothing had. Raises OSError.
    """
    part = b"%s.%s.part" % (path, secrets.token_hex(4).encode())
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | BINARY, 0o644)
    try:
        try:
            write_at(fd, data, 0)
            os.fsync(fd)
        finally:
            os.close(fd)
        os.replace(part, path)
        sync_names(os.path.dirname(path) or b".")
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(part)
        raise


def remove_name(path: bytes) -> None:
    """Delete a name, and have its folder on the disk without it."""
    os.unlink(path)
    sync_names(os.path.dirname(path))


def missing_folders(folder: bytes) -> list[bytes]:
    """`folder` and those above it that are not there, from the top. Raises NotADirectoryError."""
    found: list[bytes] = []
    while not os.path.lexists(folder):
        found.append(folder)
        folder = os.path.dirname(folder)
    if not os.path.isdir(folder):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), os.fsdecode(folder))
    return found[::-1]


def make_folder(folder: bytes) -> None:
    """Make one folder, and have its name on the disk."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder)
    sync_names(os.path.dirname(folder))


def drop_folder(folder: bytes) -> bool:
    """Remove a folder if it is there and empty; whether it is gone now."""
    try:
        os.rmdir(folder)
    except OSError:
        return not os.path.lexists(folder)
    return True
