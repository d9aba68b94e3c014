"""The writer's lock: one process at a time, told by name to the next one."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
import warnings
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
        if self._path.is_symlink() or (self._path.exists() and not self._path.is_file()):
            raise IndexUnwritable(
                f"{self._path} is in the way of the lock: it is no ordinary file. Delete it and try again."
            )
        try:
            with warnings.catch_warnings():
                # Without flock, filelock says so with a line of its own source.
                warnings.simplefilter("ignore", UserWarning)
                self._lock.acquire(timeout=0)
        except filelock.Timeout as exc:
            raise IndexLocked(
                f"{self._path.parent} is being written by {self._holder()}. "
                f"Wait until it is done; queries work meanwhile.{self._way_out()}"
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
        if isinstance(self._lock, filelock.SoftFileLock):
            return
        note = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
        # A full disk takes the name of the holder from the next one, not the lock from this one.
        with contextlib.suppress(OSError):
            self._path.write_text(json.dumps(note), encoding="utf-8")

    def _way_out(self) -> str:
        """Where flock is missing, the lock of a machine that went down stays."""
        if not isinstance(self._lock, filelock.SoftFileLock):
            return ""
        return f" If nothing writes it any more, delete {self._path}."

    def _holder(self) -> str:
        try:
            told = self._path.read_text(encoding="utf-8")
            if not told.startswith("{"):
                pid, host = told.split("\n")[:2]
                return f"process {int(pid)} on {host}"
            note = json.loads(told)
            return f"process {int(note['pid'])} on {note['host']} since {note['since']}"
        except (OSError, ValueError, KeyError, TypeError):
            return "another process"
