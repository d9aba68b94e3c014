"""Private files for bytes on their way to a decoder, gone after use, or at the next start after a crash."""

from __future__ import annotations

import atexit
import itertools
import os
import re
import shutil
import tempfile
import threading
from pathlib import Path

import filelock

from simsearch.errors import SourceUnreachable

_SUFFIX = re.compile(rb"\.[A-Za-z0-9]{1,8}$")


class Spool:
    """A folder of this process alone, below the system's folder for temporary files ($TMPDIR).

    It holds a lock while the process lives. What a process left that was killed is known by its free lock,
    and deleted when the next one begins.
    """

    def __init__(self) -> None:
        home = _home()
        _sweep(home)
        self.folder = Path(tempfile.mkdtemp(dir=home))
        self._lock = filelock.FileLock(self.folder / "LOCK")
        self._lock.acquire()
        self._numbers = itertools.count()
        atexit.register(self.close)

    def new(self, name: bytes = b"") -> Path:
        """A path for a new file, with the suffix of `name` and nothing else of it."""
        suffix = _SUFFIX.search(name)
        return self.folder / f"{next(self._numbers)}{suffix[0].decode() if suffix else ''}"

    def close(self) -> None:
        """Delete all of it."""
        self._lock.release()
        shutil.rmtree(self.folder, ignore_errors=True)


_made: list[Spool] = []
_making = threading.Lock()


def spool() -> Spool:
    """That of this process, made when first needed. Raises SourceUnreachable where it cannot be made."""
    with _making:
        if not _made:
            try:
                _made.append(Spool())
            except OSError as exc:
                raise SourceUnreachable(
                    f"What is fetched cannot be held in {tempfile.gettempdir()}: {exc.strerror or exc}. Make "
                    "room there, or name another folder with $TMPDIR."
                ) from exc
        return _made[0]


def _home() -> Path:
    """The folder that holds the spools of this user; nobody else's is trusted."""
    home = Path(tempfile.gettempdir()) / f"simsearch-spool-{_user()}"
    home.mkdir(mode=0o700, exist_ok=True)
    found = home.lstat()
    if home.is_symlink() or (
        hasattr(os, "getuid") and (found.st_uid != os.getuid() or found.st_mode & 0o077)
    ):
        return Path(tempfile.mkdtemp(prefix="simsearch-spool-"))
    return home


def _user() -> str:
    return str(os.getuid()) if hasattr(os, "getuid") else "user"


def _sweep(home: Path) -> None:
    for folder in home.iterdir():
        lock = folder / "LOCK"
        if not lock.is_file():
            # Another process is just making it.
            continue
        try:
            with filelock.FileLock(lock, timeout=0):
                shutil.rmtree(folder, ignore_errors=True)
        except (filelock.Timeout, OSError):
            continue
