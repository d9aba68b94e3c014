"""The folder where shards wait to be committed, and what an earlier run that was stopped left in it."""

from __future__ import annotations

import contextlib
from pathlib import Path

from simsearch.engine.cluster.shards.format import PART, SUFFIX, Entry, Shard, read_shard
from simsearch.engine.indexing.survey import Candidate
from simsearch.errors import IndexUnwritable
from simsearch.paths import is_source
from simsearch.records import FileStat, NotAnImage, Unreadable

NAME = "shards"


class ShardFolder:
    """Shards of one index; `key` says which of them are of use to this run."""

    def __init__(self, folder: Path, key: str) -> None:
        self.path, self._key = folder, key
        self._places: dict[bytes, tuple[Path, int]] = {}
        self._open: tuple[Path, Shard] | None = None

    def prepare(self) -> None:
        """Make the folder, look at the shards in it, and delete those that are of no use.

        Raises IndexUnwritable.
        """
        if self.path.is_symlink():
            raise IndexUnwritable(f"{self.path} is a link, and nothing outside of an index is written.")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            for path in sorted(self.path.glob(f"*{PART}")):
                path.unlink(missing_ok=True)
            for path in sorted(self.path.glob(f"*{SUFFIX}")):
                self._look_into(path)
        except OSError as exc:
            raise IndexUnwritable(
                f"Cannot keep shards in {self.path}: {exc.strerror or exc}. "
                "Name another folder with --shard-dir."
            ) from exc

    def take(self, candidate: Candidate) -> tuple[Entry, int] | None:
        """What an earlier run found out of a file that has not changed since, and when that run began.

        A file that was skipped then is read again.
        """
        place = self._places.get(candidate.path)
        if place is None:
            return None
        path, number = place
        if self._open is None or self._open[0] != path:
            shard = read_shard(path, self._key)
            if shard is None:
                return None
            self._open = path, shard
        shard = self._open[1]
        entry = shard.entries[number]
        if isinstance(entry.outcome, (Unreadable, NotAnImage)) or not _is_as_read(
            entry.outcome.stat, candidate
        ):
            return None
        return entry, shard.read_ns

    def read(self, name: str) -> Shard | None:
        """A shard that was just written; None when it is not whole."""
        return read_shard(self.path / name, self._key)

    def drop(self, name: str) -> None:
        """Delete a shard that was committed."""
        with contextlib.suppress(OSError):
            (self.path / name).unlink()

    def _look_into(self, path: Path) -> None:
        shard = read_shard(path, self._key)
        if shard is None:
            path.unlink(missing_ok=True)
            return
        self._places |= {entry.path: (path, number) for number, entry in enumerate(shard.entries)}


def clear(folder: Path) -> None:
    """Delete the shards in a folder, and the folder when nothing else is in it; what will not go stays."""
    if folder.is_symlink() or not folder.is_dir():
        return
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if path.suffix in (SUFFIX, PART):
                path.unlink()
        folder.rmdir()


def _is_as_read(then: FileStat, candidate: Candidate) -> bool:
    """Whether a file has not changed; another node may number inodes and devices in its own way.

    Of objects and members of archives the "inode" is no number of a node: it alone tells other bytes of the
    same size (an ETag, a CRC).
    """
    now = candidate.stat
    if is_source(candidate.path) and then.inode != now.inode:
        return False
    return (then.size, then.mtime_ns) == (now.size, now.mtime_ns)
