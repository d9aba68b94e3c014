"""The archives that this process has open; a remote one is fetched once, in whole, and kept for a while."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import time
import weakref
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path

from simsearch.errors import SourceUnreachable
from simsearch.media.files import FileUnreadable
from simsearch.media.scan import file_stat
from simsearch.media.sources.archives.members import Archive, open_archive
from simsearch.media.sources.archives.packed import ROOM
from simsearch.media.sources.spool import spool
from simsearch.media.sources.stores.remote import store_of
from simsearch.paths import is_url, text
from simsearch.records import FileStat

BYTES, COUNT = 8 << 30, 64
"""Remote archives that are kept come to so many bytes at most, and so many archives are open."""

FRESH = 60.0
"""Seconds for which a remote archive is not asked again whether it has changed."""


@dataclass
class _Shelf:
    """Open archives, the last used ones last."""

    held: OrderedDict[bytes, tuple[Archive, FileStat, float]] = field(default_factory=OrderedDict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    opening: weakref.WeakValueDictionary[bytes, threading.Lock] = field(
        default_factory=weakref.WeakValueDictionary
    )

    def look_up(self, path: bytes) -> tuple[Archive, FileStat, float] | None:
        with self.lock:
            if path in self.held:
                self.held.move_to_end(path)
            return self.held.get(path)

    def put(self, path: bytes, archive: Archive, stat: FileStat) -> None:
        """Keep an archive; those that are pushed out close when nobody reads from them any more."""
        with self.lock:
            self.held[path] = archive, stat, time.monotonic()
            self.held.move_to_end(path)
            while len(self.held) > 1 and (len(self.held) > COUNT or self._bytes() > BYTES):
                self.held.popitem(last=False)

    def _bytes(self) -> int:
        return sum(stat.size for path, (_, stat, _) in self.held.items() if is_url(path))


_shelf = _Shelf()


def archive_at(path: bytes, *, fresh: bool = False) -> Archive:
    """The archive at a path or a URL; a remote one as it was a minute ago at most, or is now if `fresh`.

    Raises SourceUnreachable.
    """
    with _shelf.lock:
        opening = _shelf.opening.setdefault(path, threading.Lock())
    with opening:
        known = _shelf.look_up(path)
        if not fresh and known is not None and is_url(path) and time.monotonic() - known[2] < FRESH:
            return known[0]
        stat = archive_stat(path)
        if known is not None and known[1] == stat:
            archive = known[0]
        else:
            archive = _fetched(path, stat) if is_url(path) else open_archive(Path(text(path)), path, stat)
        _shelf.put(path, archive, stat)
        return archive


def opened_stat(path: bytes) -> FileStat | None:
    """What told the archive that is open, None where it is not open any more."""
    known = _shelf.look_up(path)
    return known[1] if known is not None else None


def archive_stat(path: bytes) -> FileStat:
    """What tells an unchanged archive. Raises SourceUnreachable where there is none."""
    if not is_url(path):
        try:
            return file_stat(os.stat(path))
        except OSError as exc:
            raise SourceUnreachable(f"{text(path)} cannot be read: {exc.strerror or exc}") from exc
    entry = store_of(path).info(path)
    if entry is None or entry.stat is None or entry.folder:
        raise SourceUnreachable(f"{text(path)} is not there")
    return entry.stat


def _fetched(url: bytes, stat: FileStat) -> Archive:
    place = spool()
    target, most = place.new(url), shutil.disk_usage(place.folder).free - ROOM
    if stat.size > most:
        raise SourceUnreachable(
            f"{text(url)} has {stat.size >> 20} MiB, more than is free in {place.folder}. Name a folder on "
            "another disk with $TMPDIR."
        )
    try:
        store_of(url).fetch(url, target, most, stat.size or None)
        archive = open_archive(target, url, stat)
    except FileUnreadable as exc:
        target.unlink(missing_ok=True)
        raise SourceUnreachable(f"{text(url)} {exc}") from exc
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    weakref.finalize(archive, _forget, target)
    return archive


def _forget(target: Path) -> None:
    with contextlib.suppress(OSError):
        target.unlink()
