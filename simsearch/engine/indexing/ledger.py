"""What a run has learnt and not yet committed: pictures, copies, moves, skips, and their counts."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from simsearch.engine.append import NewContent
from simsearch.engine.index import Index
from simsearch.engine.indexing.pipeline import Embedded, Read
from simsearch.engine.indexing.survey import is_missing
from simsearch.framing import Tiling
from simsearch.media.sources.walk import root_state
from simsearch.paths import is_source_root, join, text
from simsearch.records import Decoded, FileStat, Known, NotAnImage, Skipped, Unreadable
from simsearch.storage import catalog
from simsearch.storage.catalog import Labels
from simsearch.storage.schema import contents
from simsearch.storage.writer import FileChange

Vectors = NDArray[np.float32]

ASKED = 1000
"""So many digests of a run are looked up one by one; where there are more, all of the index are read once."""


@dataclass
class Counts:
    """How many files were added, updated, moved, unchanged in their bytes, or no image."""

    added: int = 0
    updated: int = 0
    moved: int = 0
    unchanged: int = 0
    ignored: int = 0
    embedded: int = 0
    finished: int = 0


class Digests:
    """Which digests may be in the index: one that is not in here is not; for one that is, the index is asked.

    A bit for each value that 27 bits of a digest may have, 16 MiB however large the index. It is a Bloom
    filter of one hash: https://doi.org/10.1145/362686.362692
    """

    def __init__(self) -> None:
        self._bits = bytearray(1 << 24)

    def add(self, digest: bytes) -> None:
        """Take in a digest."""
        place = int.from_bytes(digest[:4], "big") >> 5
        self._bits[place >> 3] |= 1 << (place & 7)

    def __contains__(self, digest: bytes) -> bool:
        place = int.from_bytes(digest[:4], "big") >> 5
        return bool(self._bits[place >> 3] & 1 << (place & 7))


@dataclass
class Ledger:
    """Collects outcomes until they are committed together.

    Each picture's bytes are embedded once: the first file to show a digest claims it, others with the same
    bytes wait until it is embedded, or share its reason when it cannot be. With a `tiling` a picture that is
    known and has not all of its tiles is read and embedded once more, for these.
    """

    index: Index
    tiling: Tiling | None = None
    counts: Counts = field(default_factory=Counts)
    skipped: list[Skipped] = field(default_factory=list)
    new: list[NewContent] = field(default_factory=list)
    changes: list[FileChange] = field(default_factory=list)
    moved_rows: set[int] = field(default_factory=set)
    _dropped: list[int] = field(default_factory=list)
    _waiting: dict[bytes, list[Read]] = field(default_factory=dict)
    _failed: dict[bytes, Unreadable] = field(default_factory=dict)
    _fresh: set[bytes] = field(default_factory=set)
    _tiled: set[bytes] = field(default_factory=set)
    _roots_here: dict[int, bool] = field(default_factory=dict)
    _left: dict[int, tuple[int, ...]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _asked: int = 0
    _digests: Digests | None = None

    def claim(self, digest: bytes) -> bool:
        """True for the first file with these bytes: it is to be decoded. Called from the readers' threads."""
        with self._lock:
            if digest in self._waiting or digest in self._fresh or digest in self._failed:
                return False
            if digest in self._tiled or (self._may_be_known(digest) and self.is_known(digest)):
                return False
            self._waiting[digest] = []
            return True

    def is_known(self, digest: bytes) -> bool:
        """Whether a picture of these bytes is in the index, with all that it is to have there."""
        content_id = self._content(digest)
        return content_id is not None and not self._missing(content_id)

    def _missing(self, content_id: int) -> set[str]:
        """The tiles that a content is to have and has not, by the names of their parts."""
        if self.tiling is None:
            return set()
        with self.index.database.read() as connection:
            return {*map(catalog.tile_part, self.tiling.boxes)} - catalog.named_parts(connection, content_id)

    def take(self, read: Read) -> Decoded | None:
        """Enter an outcome; a picture that has to be embedded is given back."""
        outcome = read.outcome
        if isinstance(outcome, Decoded):
            return outcome
        if isinstance(outcome, Known):
            with self._lock:
                if outcome.digest in self._waiting:
                    self._waiting[outcome.digest].append(read)
                    return None
            failed = self._failed.get(outcome.digest)
            if failed is not None:
                self._skip(read, replace(failed, stat=outcome.stat))
            else:
                self._enter(read, outcome.digest, outcome.stat)
        elif isinstance(outcome, NotAnImage):
            self.counts.ignored += 1
            self.counts.finished += 1
            if read.candidate.row is not None:
                self._dropped.append(read.candidate.row.id)
        elif isinstance(outcome, Unreadable):
            self._skip(read, outcome)
            if read.claimed is not None:
                for copy in self._fail(read.claimed, outcome):
                    stat = copy.outcome.stat if isinstance(copy.outcome, Known) else None
                    self._skip(copy, replace(outcome, stat=stat))
        return None

    def embedded(self, done: Embedded) -> None:
        """Enter pictures with their vectors and labels, and the copies that waited."""
        batch = done.batch
        labels = done.labels or [()] * len(batch)
        tiles = done.vectors[len(batch) :].reshape(len(batch), -1, done.vectors.shape[1])
        for number, (read, decoded) in enumerate(batch):
            self._add(decoded, done.vectors[number], labels[number], tiles[number])
            self.counts.embedded += 1
            waited = self._release(decoded.digest)
            self._enter(read, decoded.digest, decoded.stat)
            for copy in waited:
                stat = copy.outcome.stat if isinstance(copy.outcome, Known) else copy.candidate.stat
                self._enter(copy, decoded.digest, stat)

    def _add(self, decoded: Decoded, vector: Vectors, labels: Labels, tiles: Vectors) -> None:
        """Take in the vectors of a picture; where it is known, only those of tiles that it lacks."""
        boxes = self.tiling.boxes if self.tiling is not None else ()
        named = tuple(zip(map(catalog.tile_part, boxes), tiles, strict=True))
        content_id = self._content(decoded.digest) if named else None
        if content_id is None:
            self.new.append(NewContent(decoded.digest, decoded.facts, vector, labels, named))
            return
        missing = self._missing(content_id)
        left = tuple(item for item in named if item[0] in missing)
        self.new.append(NewContent(decoded.digest, decoded.facts, None, tiles=left))
        with self._lock:
            self._tiled.add(decoded.digest)

    def commit(self) -> None:
        """Write all that was entered since the last commit.

        The lists are taken before they are written, so that an interrupt in between can lose a batch for
        this run, which the next one reads again, but never enter it twice.
        """
        new, changes, dropped = self.new, self.changes, self._dropped
        self.new, self.changes, self._dropped = [], [], []
        if not (new or changes or dropped):
            return
        self.index.commit(new, changes, dropped)
        with self._lock:
            self._fresh.clear()
            self._tiled.clear()

    def _may_be_known(self, digest: bytes) -> bool:
        """Whether a picture of these bytes may be committed; False is certain. The caller holds `_lock`."""
        self._asked += 1
        if self._digests is None and self._asked > ASKED:
            digests = Digests()
            with self.index.database.read() as connection:
                for known in connection.execute(sa.select(contents.c.sha256)).scalars():
                    digests.add(known)
            for fresh in self._fresh:
                digests.add(fresh)
            self._digests = digests
        return self._digests is None or digest in self._digests

    @property
    def pending(self) -> int:
        """How many files wait for the next commit."""
        return len(self.changes) + len(self._dropped)

    def _release(self, digest: bytes) -> list[Read]:
        with self._lock:
            if digest not in self._tiled:
                self._fresh.add(digest)
            if self._digests is not None:
                self._digests.add(digest)
            return self._waiting.pop(digest, [])

    def _fail(self, digest: bytes, outcome: Unreadable) -> list[Read]:
        with self._lock:
            self._failed[digest] = outcome
            return self._waiting.pop(digest, [])

    def _enter(self, read: Read, digest: bytes, stat: FileStat) -> None:
        candidate = read.candidate
        self.counts.finished += 1
        row = candidate.row
        file_id = row.id if row is not None else self._moved_from(digest)
        if row is None and file_id is None:
            self.counts.added += 1
        elif row is None:
            self.counts.moved += 1
        elif row.content_id is not None and row.content_id == self._content(digest):
            self.counts.unchanged += 1
        else:
            self.counts.updated += 1
        self.changes.append(
            FileChange(
                candidate.root.id, candidate.relpath, stat, read.read_ns, digest=digest, file_id=file_id
            )
        )

    def _skip(self, read: Read, outcome: Unreadable) -> None:
        candidate = read.candidate
        self.counts.finished += 1
        row = candidate.row
        self.skipped.append(Skipped(text(candidate.path), outcome.reason, outcome.transient))
        if row is not None and row.content_id is not None and (outcome.transient or self._is_there(read)):
            # A disk that hiccups takes no picture from the index, nor does one that was read for its tiles;
            # the next run tries again.
            return
        stat = outcome.stat or candidate.stat
        self.changes.append(
            FileChange(
                candidate.root.id,
                candidate.relpath,
                stat,
                read.read_ns,
                reason=outcome.reason,
                transient=outcome.transient,
                file_id=row.id if row is not None else None,
            )
        )

    def _is_there(self, read: Read) -> bool:
        """Whether the picture that a file shows is in the index as it is."""
        row = read.candidate.row
        known = self._content(read.claimed) if read.claimed is not None else None
        return known is not None and row is not None and row.content_id == known

    def _content(self, digest: bytes) -> int | None:
        if digest in self._fresh:
            # Unknown when it was claimed, and not committed yet.
            return None
        with self.index.database.read() as connection:
            return catalog.content_by_digest(connection, digest)

    def _moved_from(self, digest: bytes) -> int | None:
        """The row of a file with these bytes that is no longer at its place, on a root that is.

        Which of a content's files have left is looked up once a run: thousands of copies of one picture
        would otherwise each look at all the others.
        """
        content_id = self._content(digest)
        if content_id is None:
            return None
        if content_id not in self._left:
            self._left[content_id] = self._files_that_left(content_id)
        left = self._left[content_id]
        if not left:
            return None
        self._left[content_id] = left[1:]
        self.moved_rows.add(left[0])
        return left[0]

    def _files_that_left(self, content_id: int) -> tuple[int, ...]:
        with self.index.database.read() as connection:
            rows = catalog.files_of(connection, [content_id]).get(content_id, [])
            roots = {root.id: root.path for root in catalog.read_roots(connection)}
        for root_id in {row.root_id for row in rows} - self._roots_here.keys():
            # What left a store is told by its listing, and not asked for one by one.
            here = not is_source_root(roots[root_id]) and root_state(roots[root_id]) == "ok"
            self._roots_here[root_id] = here
        return tuple(
            row.id
            for row in sorted(rows, key=lambda r: r.relpath)
            if self._roots_here[row.root_id] and is_missing(join(roots[row.root_id], row.relpath))
        )
