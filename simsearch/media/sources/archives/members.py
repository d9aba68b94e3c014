"""The members of a zip or tar file by their names; each is read by itself and nothing is ever unpacked."""

from __future__ import annotations

import io
import lzma
import os
import struct
import tarfile
import threading
import weakref
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Protocol

from simsearch.errors import SourceUnreachable
from simsearch.media.files import FileUnreadable
from simsearch.media.sources.archives.packed import RATIO, SLACK, TooMuch, plain_tar
from simsearch.media.sources.entries import Entry, folded
from simsearch.paths import text
from simsearch.records import FileStat

MEMBERS = 1_000_000
"""An archive of more members is refused."""

DIRECTORY = 1 << 30
"""The list of the members of a zip has no more bytes."""

HEADER = 1 << 24
"""Headers of tar members are no longer, whatever they say of themselves."""

_BLOCK = 1 << 20
# Begins each entry of that list: APPNOTE 4.3.12, https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
_LISTED = b"PK\x01\x02"
_ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_BROKEN = (OSError, EOFError, ValueError, RuntimeError, LookupError, struct.error, zlib.error, lzma.LZMAError)
_BAD = (zipfile.BadZipFile, tarfile.TarError, NotImplementedError, *_BROKEN)


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class _Member:
    """A file inside: its stat, how it is opened, and why it cannot be."""

    stat: FileStat
    open: Callable[[], AbstractContextManager[_Readable]]
    problem: str | None = None


class Archive:
    """An archive that is open: its members by name. Its methods may be called from any thread.

    A name is only a name: it is spelt so that it leads nowhere as a path (`..` becomes `%2E%2E`). Of members
    of one name the last counts, as for zip and tar themselves. Links, devices and what has no name of its own
    (`.`) are no members.
    """

    def __init__(self, members: dict[bytes, _Member]) -> None:
        self._members = {name: member for name, member in members.items() if name}

    def entries(self, below: bytes = b"") -> list[Entry]:
        """The members at or below a name inside (empty for all), by their names below it, in their order."""
        prefix = below + b"/" if below else b""
        names = sorted(name for name in self._members if name == below or name.startswith(prefix))
        return [Entry(name[len(prefix) :], self._members[name].stat) for name in names]

    def stat(self, name: bytes) -> FileStat:
        """That of a member. Raises FileUnreadable."""
        return self._member(name).stat

    def head(self, name: bytes, size: int) -> bytes:
        """The first bytes of a member. Raises FileUnreadable, permanent where the archive is broken."""
        return b"".join(self._blocks(name, size))

    def copy(self, name: bytes, target: Path) -> None:
        """Write a member into a file. Raises FileUnreadable, permanent where the archive is broken."""
        size, written = self.stat(name).size, 0
        with target.open("wb") as file:
            for block in self._blocks(name, size):
                written += file.write(block)
        if written < size:
            raise FileUnreadable("cannot be unpacked: it is cut", transient=False, stat=self.stat(name))

    def _member(self, name: bytes) -> _Member:
        if name not in self._members:
            raise FileUnreadable("cannot be read: the archive has no such member", transient=True)
        return self._members[name]

    def _blocks(self, name: bytes, size: int) -> Iterator[bytes]:
        member = self._member(name)
        if member.problem is not None:
            raise FileUnreadable(member.problem, transient=False, stat=member.stat)
        try:
            with member.open() as stream:
                while size > 0 and (block := stream.read(min(size, _BLOCK))):
                    size -= len(block)
                    yield block
        except _BAD as exc:
            # A disk that hiccups may do so once; a broken archive is the same until its stat changes.
            reason, transient = f"cannot be unpacked: {_words(exc)}", isinstance(exc, OSError)
            raise FileUnreadable(reason, transient=transient, stat=member.stat) from exc


def open_archive(file: Path, name: bytes, stat: FileStat) -> Archive:
    """An archive that is a file here; `name` says its kind, `stat` tells when it has changed.

    Raises SourceUnreachable for one that is broken, or holds more than an archive may.
    """
    try:
        return _open_zip(file) if name.lower().endswith(b".zip") else _open_tar(file, name, stat)
    except TooMuch as exc:
        raise SourceUnreachable(f"{text(name)} {exc}") from exc
    except _BAD as exc:
        raise SourceUnreachable(f"{text(name)} is no archive that can be read: {_words(exc)}") from exc


def _open_zip(file: Path) -> Archive:
    source = _Listed(io.FileIO(file))
    try:
        return _zip_of(source, file.stat().st_size)
    except BaseException:
        source.close()
        raise


def _zip_of(source: _Listed, size: int) -> Archive:
    archive = zipfile.ZipFile(source)
    found: dict[bytes, _Member] = {}
    infos = archive.infolist()
    if sum(info.file_size for info in infos) > RATIO * size + SLACK:
        raise TooMuch(f"unpacks to more than {RATIO} times its size")
    for info in infos:
        kind = info.external_attr >> 28 if info.create_system == 3 else 0
        # 8 is a plain file; what was not made on Unix says nothing.
        if info.is_dir() or kind not in (0, 8):
            continue
        # Size, CRC-32 and place tell a member that has changed; zip's own times are local and coarse.
        tag = folded(f"{info.CRC:08x} {info.header_offset} {info.compress_size}")
        stat = FileStat(info.file_size, 0, tag, 0)
        name = _plain(os.fsencode(info.filename))
        found[name] = _Member(stat, partial(archive.open, info), _zip_problem(info))
    made = Archive(found)
    weakref.finalize(made, source.close)
    return made


class _Listed(io.BufferedReader):
    """An open file for zipfile, which reads the list of all members at once and keeps a record of each."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > DIRECTORY:
            raise TooMuch("has a list of members that is too long")
        block = super().read(size)
        if block.startswith(_LISTED) and block.count(_LISTED) > MEMBERS:
            raise TooMuch(f"has more than {MEMBERS:,} members")
        return block


def _zip_problem(info: zipfile.ZipInfo) -> str | None:
    if info.flag_bits & 1:
        return "encrypted in its archive"
    # The others unpack without a bound on what comes of a few bytes.
    return None if info.compress_type in _ZIP_METHODS else "packed by another method than zip's usual one"


def _open_tar(file: Path, name: bytes, stat: FileStat) -> Archive:
    source = plain_tar(file, name)
    found: dict[bytes, _Member] = {}
    lock = threading.Lock()
    try:
        for info in _headers(source):
            # Nothing in a tar tells its bytes, so that a member has changed when its archive has.
            tag = folded(f"{stat.size} {stat.mtime_ns} {stat.inode} {info.offset}")
            told = FileStat(info.size, stat.mtime_ns, tag, 0)
            problem = "a sparse file in its archive" if info.issparse() else None
            opener = partial(_Part, source, lock, info.offset_data, info.size)
            found[_plain(os.fsencode(info.name))] = _Member(told, opener, problem)
    except BaseException:
        source.close()
        raise
    made = Archive(found)
    weakref.finalize(made, source.close)
    return made


def _headers(source: IO[bytes]) -> Iterator[tarfile.TarInfo]:
    """The plain files of a tar. Raises ReadError for one that is cut or broken anywhere."""
    length, number = source.seek(0, os.SEEK_END), 0
    source.seek(0)
    with tarfile.open(fileobj=_Headers(source), mode="r:") as archive:  # type: ignore[call-overload]
        while (info := archive.next()) is not None:
            # tarfile would keep all of them.
            archive.members.clear()
            number += 1
            if number > MEMBERS:
                raise TooMuch(f"has more than {MEMBERS:,} members")
            if info.isreg() and info.offset_data + info.size > length:
                raise tarfile.ReadError("it is cut")
            if info.isreg():
                yield info
        # At a broken header, and where a tar was cut between two members, tarfile just ends, as if no more
        # followed. A tar that is whole ends in zeros:
        # https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html
        source.seek(archive.offset)
        end = source.read(512)
        if end != bytes(512):
            raise tarfile.ReadError("it is broken in the middle" if len(end) == 512 else "it is cut")


class _Headers:
    """An open file for tarfile, which reads only headers of it and believes the length that they tell."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self.tell, self.seek = source.tell, source.seek

    def read(self, size: int) -> bytes:
        if size > HEADER:
            raise tarfile.ReadError("a header is too long")
        return self._source.read(size)


class _Part:
    """A stretch of a file that several threads read."""

    def __init__(self, source: IO[bytes], lock: threading.Lock, start: int, size: int) -> None:
        self._source, self._lock, self._place, self._end = source, lock, start, start + size

    def __enter__(self) -> _Part:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def read(self, size: int, /) -> bytes:
        with self._lock:
            self._source.seek(self._place)
            block = self._source.read(min(size, self._end - self._place))
        self._place += len(block)
        return block


def _plain(name: bytes) -> bytes:
    """A member's name as the rest of a path that leads nowhere else."""
    parts = [part for part in name.split(b"/") if part not in (b"", b".")]
    return b"/".join(b"%2E%2E" if part == b".." else part for part in parts)


def _words(exc: BaseException) -> str:
    said = str(exc.strerror if isinstance(exc, OSError) and exc.strerror else exc)
    return said[:200].lower() or type(exc).__name__
