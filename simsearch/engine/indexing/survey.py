"""A scan held against the catalog: what is new or changed, what is as it was, what is gone."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from simsearch.engine.indexing.scopes.archives import Archives
from simsearch.errors import RootMissing
from simsearch.media.formats import MAX_PIXELS, is_outdated
from simsearch.media.scan import Found, PassedOver, ScannedFile, ScanRules
from simsearch.media.sources.walk import passes_over, scan, trouble
from simsearch.paths import (
    covers,
    fold,
    folds_case,
    is_listed,
    is_source,
    is_source_root,
    join,
    relative,
    text,
)
from simsearch.records import FileStat, Skipped
from simsearch.storage import catalog, writer
from simsearch.storage.catalog import FileRow, Root
from simsearch.storage.database import Database

PAGE = 2000

ASKED = 16
"""So many stores are asked at once whether they are there."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What to visit: a root, the folder or file below it (empty for all of it), and what is passed over."""

    root: Root
    below: bytes
    rules: ScanRules = field(default_factory=ScanRules)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file to be read: new (`row` is None), changed, or to be tried again."""

    root: Root
    relpath: bytes
    stat: FileStat
    row: FileRow | None

    @property
    def path(self) -> bytes:
        """The absolute path."""
        return join(self.root.path, self.relpath)


@dataclass(frozen=True, slots=True)
class Absence:
    """A file that is in the catalog and not on disk: its row id, the device that it was on, and the device
    of the nearest folder that is still there."""

    file_id: int
    device: int
    device_now: int


@dataclass
class Survey:
    """Walks scopes and counts; `candidates` streams what has to be read.

    That is what is new or changed, and one file of each of the contents `untiled` (ids, ascending).

    The scan and the catalog come in the same bytewise order and are merged like two sorted lists, so that
    memory does not grow with the collection.
    """

    database: Database
    retry_skipped: bool = False
    max_pixels: int = MAX_PIXELS
    untiled: NDArray[np.int64] | None = None
    passed: PassedOver = field(default_factory=PassedOver)
    seen: int = 0
    unchanged: int = 0
    skipped: list[Skipped] = field(default_factory=list)
    absent: list[Absence] = field(default_factory=list)
    devices: dict[int, int] = field(default_factory=dict)
    archives: Archives = field(init=False)
    _chosen: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        self.archives = Archives(self.database)

    def candidates(self, scope: Scope) -> Iterator[Candidate]:
        """The files of `scope` that have to be read, in bytewise order of their relative paths."""
        rows = self._rows(scope)
        row = next(rows, None)
        judged, whole = len(self.absent), True
        for found in self._found(scope):
            if not isinstance(found, ScannedFile):
                self.seen += 1
                path = text(join(scope.root.path, found.relpath))
                self.skipped.append(Skipped(path, found.reason, transient=True))
                whole = not is_source_root(scope.root.path)
                continue
            while row is not None and row.relpath < found.relpath:
                self._absent(scope, row)
                row = next(rows, None)
            self.seen += 1
            if row is None or row.relpath != found.relpath:
                yield Candidate(scope.root, found.relpath, found.stat, None)
                continue
            if not self._settled(scope.root, row, found.stat):
                yield Candidate(scope.root, found.relpath, found.stat, row)
            row = next(rows, None)
        if not whole:
            # A listing that stopped short says nothing of what it does not name.
            del self.absent[judged:]
            self.archives.forget(scope.root)
            return
        while row is not None:
            self._absent(scope, row)
            row = next(rows, None)
        if len(self.absent) > judged:
            self.archives.forget(scope.root)

    def gone(self) -> list[int]:
        """Row ids of files that were deleted, as far as can be told; the other absent ones are kept.

        A file whose disk is not there is not gone: the nearest folder left is then on another device than
        the file was. Device numbers may change between runs; unchanged files tell which became which. What
        was on none was a member of an archive, in the place of which there is a folder now.
        """
        return [
            absence.file_id
            for absence in self.absent
            if not absence.device or self.devices.get(absence.device, absence.device) == absence.device_now
        ]

    def _found(self, scope: Scope) -> Iterator[Found]:
        if self.archives.are_as_before(scope.root, scope.rules):
            yield from (ScannedFile(row.relpath, row.stat) for row in self._rows(scope))
            return
        if not scope.below:
            self.archives.listed(scope.root, scope.rules)
        yield from scan(scope.root.path, scope.below, scope.rules, self.passed)

    def _rows(self, scope: Scope) -> Iterator[FileRow]:
        after: bytes | None = None
        while True:
            with self.database.read() as connection:
                page = catalog.files_after(connection, scope.root.id, scope.below, after, PAGE)
            yield from page
            if len(page) < PAGE:
                return
            after = page[-1].relpath

    def _settled(self, root: Root, row: FileRow, stat: FileStat) -> bool:
        """Count a file that needs no reading; False when it does."""
        if not row.is_unchanged(stat):
            return False
        self.devices[row.stat.device] = stat.device
        if row.reason is None:
            if self._lacks_tiles(row.content_id):
                return False
            self.unchanged += 1
            return True
        if row.transient or self.retry_skipped or is_outdated(row.reason, self.max_pixels):
            return False
        self.skipped.append(Skipped(text(join(root.path, row.relpath)), row.reason, transient=False))
        return True

    def _lacks_tiles(self, content_id: int | None) -> bool:
        """Whether a file has to be read for the tiles of its content: the first one of it."""
        if self.untiled is None or not len(self.untiled) or content_id is None:
            return False
        if self._chosen is None:
            self._chosen = np.zeros(len(self.untiled), dtype=np.bool_)
        place = min(int(np.searchsorted(self.untiled, content_id)), len(self.untiled) - 1)
        if self.untiled[place] != content_id or self._chosen[place]:
            return False
        self._chosen[place] = True
        return True

    def _absent(self, scope: Scope, row: FileRow) -> None:
        path = join(scope.root.path, row.relpath)
        if is_source(path):
            # What a whole listing does not name is not there, but for what the rules pass over.
            if not passes_over(scope.rules, row.relpath, scope.below):
                self.absent.append(Absence(row.id, 0, 0))
        elif is_missing(path):
            self.absent.append(Absence(row.id, row.stat.device, _nearest_device(path)))


def refuse_absent(wanted: Sequence[bytes]) -> None:
    """Raise RootMissing for a path that does not exist, SourceUnreachable where that cannot be told."""
    for path in wanted:
        if not is_source_root(path) and not os.path.lexists(path):
            raise RootMissing(f"{text(path)} does not exist.")
    sources = list(filter(is_source_root, wanted))
    with ThreadPoolExecutor(ASKED) as threads:
        for path, reason in zip(sources, threads.map(partial(trouble, quick=True), sources), strict=True):
            if reason is not None:
                raise RootMissing(f"{text(path)} {reason}. Check the address, and that you may read it.")


def find_scopes(database: Database, wanted: Sequence[bytes]) -> tuple[list[Scope], dict[bytes, str]]:
    """What to visit, and the roots that have nothing to give although files of theirs are indexed, with why.

    Raises RootMissing for a path that neither exists nor is a root.
    """
    with database.read() as connection:
        roots = catalog.read_roots(connection)
        filled = {r.id for r in roots if catalog.files_after(connection, r.id, b"", None, limit=1)}
    refuse_absent([path for path in wanted if path not in {root.path for root in roots}])
    wanted = [_known_spelling(path, roots) for path in wanted]
    targets = fold(wanted) if wanted else [root.path for root in roots]
    scopes: list[Scope] = []
    absent: dict[bytes, str] = {}
    for path in targets:
        root = next((r for r in roots if covers(r.path, path)), None)
        if root is None:
            with database.write() as connection:
                root = writer.put_root(connection, path)
        below = relative(path, root.path) or b""
        reason = trouble(root.path, quick=True) if root.id in filled else None
        if reason is not None:
            absent[root.path] = reason
        else:
            scopes.append(Scope(root, below))
    return scopes, absent


def _known_spelling(path: bytes, roots: Sequence[Root]) -> bytes:
    """The path of a root that is the same folder under another name (case is folded, mounted twice).

    A file that is linked to another one stays itself.
    """
    for root in roots:
        with contextlib.suppress(OSError):
            if path != root.path and os.path.isdir(path) and os.path.samefile(path, root.path):
                return root.path
    return path


def is_missing(path: bytes) -> bool:
    """Whether nothing is at `path`; a folder that may not be entered proves nothing, nor does a store."""
    if is_source(path):
        return False
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    # Where case is folded, a file whose name changed its case is still found under the old one.
    return folds_case(path) and not is_listed(path)


def _nearest_device(path: bytes) -> int:
    while True:
        path = os.path.dirname(path)
        try:
            return os.stat(path).st_dev
        except OSError:
            if path in (b"/", b""):
                return -1
