"""SQLite through SQLAlchemy Core: connections, transactions, and SQLite's errors made ours."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, TimeoutError
from sqlalchemy.pool import QueuePool

from simsearch.errors import IndexDamaged, IndexUnwritable, SimsearchError
from simsearch.storage.writer import next_generation

BUSY_MS = 30_000
# What is asked is always right: where SQLite finds no such table or a doubled key, its bytes are not ours.
DAMAGE = (
    *("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_ERROR", "SQLITE_FORMAT", "SQLITE_SCHEMA"),
    *("SQLITE_MISMATCH", "SQLITE_CONSTRAINT", "SQLITE_IOERR_SHORT_READ", "SQLITE_IOERR_READ"),
    "SQLITE_IOERR_CORRUPTFS",
)
NETWORK = {
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "9p",
    "afs",
    "ceph",
    "glusterfs",
    "lustre",
    "virtiofs",
    "vboxsf",
    "prl_fs",
}


class Database:
    """The `index.db` of one index.

    A reader's transaction is one snapshot. A writer's is `BEGIN IMMEDIATE`, since a deferred one that
    turns into a writer ignores the busy time-out. `synchronous=FULL`: a commit that returned is on disk.
    See https://www.sqlite.org/wal.html
    """

    def __init__(self, path: Path, *, create: bool = False) -> None:
        self.path = path
        self.immutable = not create and not os.access(path.parent, os.W_OK)
        if self.immutable and _has_unmerged_log(path):
            raise IndexUnwritable(
                f"{path.parent} is read-only and was not closed cleanly. "
                "Open it once where it can be written (simsearch info), then use it read-only."
            )
        mode = "ro&immutable=1" if self.immutable else "rwc" if create else "rw"
        self._uri = f"{path.absolute().as_uri()}?mode={mode}"
        self._inode = _inode(path)
        self._engine = sa.create_engine(
            "sqlite://",
            creator=partial(_connected, self._uri, self.immutable),
            poolclass=QueuePool,
            pool_size=4,
            max_overflow=60,
        )
        # An engine is a circle of references: a database that nobody has any more, and whose file may be
        # deleted, would stay open until Python looks for circles.
        weakref.finalize(self, self._engine.dispose).atexit = False

        @event.listens_for(self._engine, "begin")
        def begin(connection: sa.Connection) -> None:
            immediate = connection.get_execution_options().get("simsearch_write", False)
            connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    def journal(self) -> str:
        """Choose WAL, or DELETE where SQLite or a network file system refuses it; the mode in force."""
        wanted = "DELETE" if network_filesystem(self.path.parent) else "WAL"
        with self._guard(), self._engine.connect() as connection:
            raw = connection.connection.dbapi_connection
            if raw is None:
                raise IndexDamaged(f"Cannot open {self.path}.")
            return str(raw.execute(f"PRAGMA journal_mode={wanted}").fetchone()[0])

    def pragma(self, name: str) -> Any:
        """The value of a pragma, e.g. user_version."""
        with self.read() as connection:
            return connection.exec_driver_sql(f"PRAGMA {name}").scalar()

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """One read transaction: everything inside sees the same snapshot."""
        self._follow()
        with self._guard(), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """One write transaction with the next generation, committed at the end, rolled back on any error."""
        with self._guard(), self._engine.connect() as connection:
            writing = connection.execution_options(simsearch_write=True)
            with writing.begin():
                yield writing
                next_generation(writing)

    def shrink(self) -> None:
        """Give back the room of deleted rows, unless another process is in the way (`VACUUM`).

        See https://www.sqlite.org/lang_vacuum.html
        """
        # A convenience: whoever is in the way is not to be disturbed, and a full disk loses nothing.
        with self._guard(), contextlib.suppress(sqlite3.OperationalError):
            with contextlib.closing(self._connect()) as connection:
                connection.execute("PRAGMA busy_timeout=1000")
                connection.execute("VACUUM")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def merge_log(self) -> bool:
        """Merge the log into the database; False where it is too damaged for that.

        Raises IndexUnwritable while somebody reads from the log.
        """
        try:
            with contextlib.closing(self._connect()) as connection:
                busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except (sqlite3.Error, UnicodeDecodeError):
            return False
        if busy:
            raise IndexUnwritable(
                f"{self.path} is being read. Close the programs that have it open, and run it again."
            )
        return True

    def close(self) -> None:
        """Close all connections; the last one out merges the log into the database."""
        self._engine.dispose()

    def _follow(self) -> None:
        """Let go of a file that another has taken the place of (a mended one, a backup brought back)."""
        if not self._is_current():
            self._inode = _inode(self.path)
            self._engine.dispose()

    def _is_current(self) -> bool:
        """Whether no other file has taken the place of the one that was opened."""
        return _inode(self.path) in (None, self._inode)

    def _connect(self) -> sqlite3.Connection:
        return _connected(self._uri, self.immutable)

    @contextmanager
    def _guard(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as exc:
            raise self._ours(exc.orig) from exc
        except sqlite3.Error as exc:
            raise self._ours(exc) from exc
        except TimeoutError as exc:
            raise IndexUnwritable(f"Too many threads read {self.path} at once. Try again.") from exc
        except UnicodeDecodeError as exc:
            # Python cannot read SQLite's own message where that quotes a damaged name.
            raise IndexDamaged(
                f"{self.path} is damaged ({exc.reason}). Run: simsearch verify -i {self.path.parent}"
            ) from exc

    def _ours(self, error: BaseException | None) -> SimsearchError:
        name = getattr(error, "sqlite_errorname", "") or ""
        if name.startswith(DAMAGE) or "decode" in str(error):
            return IndexDamaged(
                f"{self.path} is damaged ({error}). Run: simsearch verify -i {self.path.parent}"
            )
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            return IndexUnwritable(f"{self.path} has been busy for {BUSY_MS // 1000} s. Try again.")
        return IndexUnwritable(
            f"SQLite cannot use {self.path}: {error} ({name or type(error).__name__}). "
            "What was committed before is safe; check permissions and free space, then run the command again."
        )


def _connected(uri: str, immutable: bool) -> sqlite3.Connection:
    connection = sqlite3.connect(
        uri, uri=True, timeout=BUSY_MS / 1000, isolation_level=None, check_same_thread=False
    )
    if not immutable:
        connection.execute("PRAGMA synchronous=FULL")
    return connection


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None


def network_filesystem(folder: Path, mounts: Path = Path("/proc/self/mountinfo")) -> bool:
    """Whether `folder` lies on a network file system, where WAL's shared memory does not work.

    Told from Linux's table of mounts; elsewhere SQLite's own refusal of WAL has to do.
    """
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return False
    here, best, kind = os.path.realpath(folder), "", ""
    for line in lines:
        left, _, right = line.partition(" - ")
        point = left.split()[4].encode().decode("unicode_escape")
        if len(point) >= len(best) and (here == point or here.startswith(point.rstrip("/") + "/")):
            best, kind = point, right.split()[0]
    # FUSE stands for sshfs, rclone, mergerfs and others, whose shared memory ranges from none to broken; a
    # local disk by FUSE (NTFS) is called fuseblk.
    return kind in NETWORK or kind == "fuse" or kind.startswith("fuse.")


def _has_unmerged_log(path: Path) -> bool:
    logs = [path.with_name(path.name + suffix) for suffix in ("-wal", "-journal")]
    return any(log.exists() and log.stat().st_size > 0 for log in logs)
