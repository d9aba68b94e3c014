"""An open file that any thread reads, at places that are known beforehand."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable

# Python built for an older C library lacks it.
_NOWAIT: int | None = getattr(os, "RWF_NOWAIT", None)


class Handle:
    """An open file that is closed when nobody reads it any more."""

    __slots__ = ("_lock", "fd")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._lock = threading.Lock()

    def read_into(self, target: memoryview, offset: int) -> int:
        """Fill `target` from `offset` on; how many bytes there were. Any thread may call."""
        if sys.platform != "win32":
            return self._fill(lambda left, at: os.preadv(self.fd, [left], at), target, offset)
        return self._fill(self._seek_and_read, target, offset)

    def _fill(self, read: Callable[[memoryview, int], int], target: memoryview, offset: int) -> int:
        """One call may give fewer bytes than there are."""
        done = 0
        while done < len(target):
            found = read(target[done:], offset + done)
            if not found:
                break
            done += found
        return done

    def _seek_and_read(self, target: memoryview, offset: int) -> int:
        with self._lock:
            os.lseek(self.fd, offset, os.SEEK_SET)
            found = os.read(self.fd, len(target))
        target[: len(found)] = found
        return len(found)

    def read(self, size: int, offset: int) -> bytes:
        """Up to `size` bytes from `offset` on."""
        target = bytearray(size)
        return bytes(target[: self.read_into(memoryview(target), offset)])

    def read_cached(self, target: memoryview, offset: int) -> bool:
        """Fill `target` from what the kernel holds in memory; whether it held all of it.

        See RWF_NOWAIT in https://man7.org/linux/man-pages/man2/preadv2.2.html; a file system that does not
        know it holds nothing.
        """
        if sys.platform != "linux" or _NOWAIT is None:
            return False
        try:
            return os.preadv(self.fd, [target], offset, _NOWAIT) == len(target)
        except (OSError, NotImplementedError):
            return False

    def expect(self, offset: int, size: int) -> None:
        """Tell the kernel that these bytes are wanted soon."""
        if sys.platform == "linux":
            # A hint; what the disk really says is said when it is read.
            with contextlib.suppress(OSError):
                os.posix_fadvise(self.fd, offset, size, os.POSIX_FADV_WILLNEED)

    def __del__(self) -> None:
        os.close(self.fd)
