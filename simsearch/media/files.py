"""Reads a file once, and only if it is a regular one that holds still."""

from __future__ import annotations

import hashlib
import os
import stat as modes
from types import TracebackType
from typing import IO

from simsearch.errors import PhotoUnreadable
from simsearch.media.formats import HEAD
from simsearch.media.scan import file_stat
from simsearch.records import FileStat

# Windows lacks the first three and would translate line ends without the last.
_FLAGS = os.O_RDONLY | sum(
    getattr(os, name, 0) for name in ("O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY", "O_BINARY")
)


class FileUnreadable(PhotoUnreadable):
    """A file whose bytes cannot be had; `transient` reasons may be gone at the next run."""

    def __init__(self, reason: str, *, transient: bool, stat: FileStat | None = None) -> None:
        super().__init__(reason)
        self.transient, self.stat = transient, stat


class OpenFile:
    """A regular file, open for one reading: `stat` from before, `head` its first `HEAD` bytes.

    Raises FileUnreadable when the file cannot be opened. It never waits at a pipe that took a file's place.
    """

    def __init__(self, path: bytes) -> None:
        try:
            self._fd = os.open(path, _FLAGS)
        except (OSError, ValueError) as exc:
            raise FileUnreadable(_reason(exc), transient=True) from exc
        try:
            found = os.fstat(self._fd)
            self.stat = file_stat(found)
            if not modes.S_ISREG(found.st_mode):
                raise FileUnreadable("is not a regular file", transient=True, stat=self.stat)
            self.head = self._read(HEAD)
        except BaseException:
            os.close(self._fd)
            raise

    def __enter__(self) -> OpenFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._fd)

    def read_all(self, max_bytes: int) -> bytes:
        """All bytes. Raises FileUnreadable when they are more than `max_bytes`, or change meanwhile."""
        if self.stat.size > max_bytes:
            reason = f"the file is larger than {max_bytes >> 20} MiB"
            raise FileUnreadable(reason, transient=False, stat=self.stat)
        data = self.head + self._read(self.stat.size - len(self.head) + 1)
        if len(data) != self.stat.size or file_stat(os.fstat(self._fd)) != self.stat:
            raise FileUnreadable("changed while it was read", transient=True, stat=self.stat)
        return data

    def stream(self) -> IO[bytes]:
        """The file from its start on, for libraries that read by themselves; it ends with this one."""
        os.lseek(self._fd, 0, os.SEEK_SET)
        return open(self._fd, "rb", closefd=False)

    def sha256(self) -> bytes:
        """The SHA-256 digest of all bytes, a block at a time. Raises FileUnreadable like `read_all`."""
        digest, size = hashlib.sha256(self.head), len(self.head)
        while block := self._read(1 << 20):
            digest.update(block)
            size += len(block)
        if size != self.stat.size or file_stat(os.fstat(self._fd)) != self.stat:
            raise FileUnreadable("changed while it was read", transient=True, stat=self.stat)
        return digest.digest()

    def _read(self, wanted: int) -> bytes:
        chunks: list[bytes] = []
        while wanted > 0:
            try:
                chunk = os.read(self._fd, min(wanted, 1 << 24))
            except OSError as exc:
                raise FileUnreadable(_reason(exc), transient=True, stat=self.stat) from exc
            if not chunk:
                break
            chunks.append(chunk)
            wanted -= len(chunk)
        return b"".join(chunks)


def read_file(path: bytes, max_bytes: int) -> tuple[bytes, FileStat]:
    """The bytes of a regular file and its stat. Raises FileUnreadable, see `OpenFile`."""
    with OpenFile(path) as file:
        return file.read_all(max_bytes), file.stat


def _reason(exc: OSError | ValueError) -> str:
    words = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
    return f"cannot be read: {words}"
