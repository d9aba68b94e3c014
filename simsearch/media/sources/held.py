"""What lies in a store or an archive, held as a private file for a moment for a decoder to read."""

from __future__ import annotations

import contextlib
import mimetypes
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from simsearch.errors import SourceUnreachable
from simsearch.media import files
from simsearch.media.files import FileUnreadable
from simsearch.media.formats import HEAD, looks_like_picture, recognise
from simsearch.media.sources.opened import archive_at
from simsearch.media.sources.spool import spool
from simsearch.media.sources.stores.remote import store_of
from simsearch.paths import archive_of, canonical, is_source, is_url
from simsearch.records import FileStat, NotAnImage, Unreadable


@dataclass(frozen=True, slots=True)
class Held:
    """A private file with the bytes of an object, and the object's own stat; gone at the end of `with`."""

    place: bytes
    stat: FileStat

    def __enter__(self) -> Held:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def release(self) -> None:
        """Delete the file."""
        with contextlib.suppress(OSError):
            os.unlink(self.place)


Fetched = Held | NotAnImage | Unreadable


def hold(path: bytes, most: int, stat: FileStat | None = None) -> Fetched:
    """Fetch what is at `path` in a store or an archive, at most `most` bytes of it.

    `stat` is what a listing said; without it the store is asked. By its name and its first bytes it may turn
    out that it is no picture, before the rest is fetched. Never raises for what the store or the archive is.
    """
    try:
        inside = archive_of(path)
        return _member(*inside, most) if inside is not None and inside[1] else _object(path, most, stat)
    except FileUnreadable as exc:
        return Unreadable(str(exc), exc.transient, exc.stat or stat)
    except SourceUnreachable as exc:
        return Unreadable(f"cannot be fetched: {exc}", True, stat)
    except OSError as exc:
        return Unreadable(f"cannot be held in {spool().folder}: {exc.strerror or exc}", True, stat)


def read_file(path: bytes, max_bytes: int) -> tuple[bytes, FileStat]:
    """The bytes of a regular file, an object or a member, and its stat. Raises FileUnreadable."""
    with _here(path, max_bytes) as (place, stat):
        data, own = files.read_file(place, max_bytes)
        return data, stat or own


@contextlib.contextmanager
def _here(path: bytes, most: int) -> Iterator[tuple[bytes, FileStat | None]]:
    """A path of this machine with the bytes of `path`, and the stat of what was fetched for that."""
    if not is_source(path):
        yield path, None
        return
    # pathlib makes one slash of the two of a URL.
    fetched = hold(canonical(path) if is_url(path) else path, most)
    if isinstance(fetched, Unreadable):
        raise FileUnreadable(fetched.reason, transient=fetched.transient, stat=fetched.stat)
    if isinstance(fetched, NotAnImage):
        raise FileUnreadable("is no picture by its name and its first bytes", transient=False)
    with fetched:
        yield fetched.place, fetched.stat


def digest_of(path: bytes) -> tuple[bytes, FileStat]:
    """The SHA-256 digest of a file, an object or a member, however large, and its stat.

    Raises FileUnreadable.
    """
    with _here(path, shutil.disk_usage(spool().folder).free if is_source(path) else 0) as (place, stat):
        with files.OpenFile(place) as file:
            return file.sha256(), stat or file.stat


def is_other(name: bytes) -> bool:
    """Whether a name says that this is something else than a picture (`.json`, `.mp4` …)."""
    kind, _ = mimetypes.guess_type(os.fsdecode(os.path.basename(name)))
    other = kind is not None and not kind.startswith("image/") and kind != "application/octet-stream"
    return other and not looks_like_picture(name)


def _object(url: bytes, most: int, stat: FileStat | None) -> Fetched:
    if is_other(url):
        # A request each would be most of the work where photos lie beside films or notes.
        return NotAnImage()
    store, size = store_of(url), stat.size if stat is not None else None
    if stat is None:
        entry = store.info(url)
        if entry is None or entry.stat is None:
            raise FileUnreadable("is not there", transient=True)
        stat = entry.stat
    _check_size(stat, most)
    if not looks_like_picture(url) and not recognise(store.head(url, HEAD), os.path.basename(url)):
        return NotAnImage()
    target = spool().new(url)
    with _kept_whole(target):
        # A web server that tells no size says 0.
        store.fetch(url, target, most, size or None)
        if store.web and _is_page(target):
            raise FileUnreadable("cannot be fetched: the server sends a page instead", transient=True)
    return Held(os.fsencode(target), stat)


def _member(archive_path: bytes, name: bytes, most: int) -> Fetched:
    archive = archive_at(archive_path)
    stat = archive.stat(name)
    if is_other(name) or not recognise(archive.head(name, HEAD), os.path.basename(name)):
        return NotAnImage()
    _check_size(stat, most)
    target = spool().new(name)
    with _kept_whole(target):
        archive.copy(name, target)
    return Held(os.fsencode(target), stat)


def _is_page(file: Path) -> bool:
    with file.open("rb") as opened:
        return opened.read(64).lstrip().lower().startswith((b"<!doctype html", b"<html"))


def _check_size(stat: FileStat, most: int) -> None:
    if stat.size > most:
        raise FileUnreadable(f"the file is larger than {most >> 20} MiB", transient=False, stat=stat)


@contextlib.contextmanager
def _kept_whole(target: Path) -> Iterator[None]:
    """A file that could not be written in full does not stay."""
    try:
        yield
    except BaseException:
        target.unlink(missing_ok=True)
        raise
