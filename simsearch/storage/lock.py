"""The writer's lock: one process at a time, told by name to the next one."""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path
from types import TracebackType

import filelock

from simsearch.errors import IndexLocked, IndexUnwritable


class WriterLock:
    """Holds `<index>/LOCK` for this process; the kernel frees it when the process dies.

    Readers never take it. Worker processes do not inherit it, since Python's file descriptors are closed
    on exec. See https://py-filelock.readthedocs.io
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "LOCK"
        self._lock = filelock.FileLock(self._path)

    def __enter__(self) -> WriterLock:
        try:
            self._lock.acquire(timeout=0)
        except filelock.Timeout as exc:
            raise IndexLocked(
                f"{self._path.parent} is being written by {self._holder()}. "
                "Wait until it is done; queries work meanwhile."
            ) from exc
        except OSError as exc:
            raise IndexUnwritable(
                f"Cannot lock {self._path.parent} for writing: {exc.strerror or exc}. "
                "Check the folder's permissions and free space."
            ) from exc
        self._sign()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()

    def _sign(self) -> None:
        """Name the holder. Where flock is missing, filelock keeps a record of its own in the file."""
        current = self._path.read_bytes()
        if current and not current.startswith(b'{"pid"'):
            return
        note = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
        self._path.write_text(json.dumps(note), encoding="utf-8")

    def _holder(self) -> str:
        try:
            note = json.loads(self._path.read_text(encoding="utf-8"))
            return f"process {int(note['pid'])} on {note['host']} since {note['since']}"
        except (OSError, ValueError, KeyError, TypeError):
            return "another process"
