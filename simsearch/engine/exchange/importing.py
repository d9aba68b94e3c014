"""Takes in embeddings that were made elsewhere: vectors in .npy, their photos in a CSV or Parquet table."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from simsearch.engine.append import NewContent
from simsearch.engine.create import create_index, open_for_writing, prepare_folder
from simsearch.engine.exchange.origin import Origin, Row, check_lengths, open_origin, unit
from simsearch.engine.index import Index
from simsearch.engine.maintenance.view import tend_view
from simsearch.errors import IndexMismatch, IndexMissing
from simsearch.framing import Framing
from simsearch.media.pool import DecodePool
from simsearch.models.embedder import Embedder
from simsearch.models.runners import available_threads
from simsearch.paths import covers, fold, relative, resolve_index, text
from simsearch.records import Decoded, FileStat, ImportReport, Known, Outcome, Skipped, Unreadable
from simsearch.spec import NAMED, EmbeddingSpec
from simsearch.storage import catalog, writer
from simsearch.storage.catalog import Root
from simsearch.storage.lock import WriterLock
from simsearch.storage.writer import FileChange

SAMPLE, LEAST_COSINE = 8, 0.98
COMMIT_PHOTOS = 256
_SMALL = Framing(32, 32)
"""Only facts are wanted of most photos, so that they are decoded as small as their format allows."""

Vectors = NDArray[np.float32]
Note = Callable[[str], None]


def import_embeddings(
    origin: Origin,
    index: str | os.PathLike[str] | None = None,
    *,
    note: Note | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ImportReport:
    """Add ready embeddings to an index of the same spec, or to a new one.

    Every photo is read once, for its SHA-256 and size; one that cannot be read, or whose bytes are not
    those of the table, is left out and listed. Vectors are brought to length 1. Of a model known here a few
    are made again and compared, so that no foreign vectors get among its own.

    Raises SimsearchError for files that do not fit together, IndexMismatch, IndexLocked, IndexUnwritable.
    """
    note = note or (lambda _: None)
    vectors, rows, spec, roots = open_origin(origin, note)
    check_lengths(vectors)
    folder = resolve_index(index)
    checked = 0 if spec[0].backbone.startswith(NAMED) else _check_sample(vectors, rows, spec)
    prepare_folder(folder)
    with WriterLock(folder):
        try:
            opened = open_for_writing(folder, note)
        except IndexMissing:
            opened = create_index(folder, spec[0], weights_path=spec[1], fallback=None, note=note)
        with opened:
            if opened.spec != spec[0]:
                raise IndexMismatch(
                    f"{opened.path} holds vectors of {opened.spec.backbone}, these are of "
                    f"{spec[0].backbone} (or of other weights); import them into another index with -i."
                )
            run = _Import(opened, fold([*roots, *{os.path.dirname(row.path) for row in rows}]))
            run.take(vectors, rows, progress or (lambda done, total: None))
            tend_view(opened, note)
    skipped = tuple(sorted(run.skipped, key=lambda item: os.fsencode(item.path)))
    return ImportReport(str(folder), spec[0].backbone, run.added, run.known, skipped, checked)


def _check_sample(vectors: Vectors, rows: Sequence[Row], spec: tuple[EmbeddingSpec, str]) -> int:
    """Make a few vectors again; raises IndexMismatch when the given ones are others."""
    embedder = Embedder.for_spec(spec[0], spec[1] or None, device="cpu")
    checked = 0
    with DecodePool(available_threads(), spec[0].framing) as pool:
        for row in rows[:: max(1, len(rows) // SAMPLE)]:
            outcome = pool.read(row.path)
            if not isinstance(outcome, Decoded) or _differs(row, outcome.digest):
                continue
            given = unit(vectors[row.place])
            cosine = float(given @ embedder.embed(outcome.pixels[None])[0])
            if cosine < LEAST_COSINE:
                raise IndexMismatch(
                    f"Row {row.place} ({text(row.path)}) is not what {spec[0].backbone} makes of that photo "
                    f"(cosine {cosine:.3f}); nothing was imported. If another model made these vectors, name "
                    "it with --model and --weights, or give them a name of their own with --spec."
                )
            checked += 1
    return checked


def _differs(row: Row, digest: bytes) -> bool:
    return bool(row.sha256) and row.sha256.lower() != digest.hex()


@dataclass
class _Import:
    """Reads the photos and commits them with their vectors, a batch at a time.

    `folders` become roots where a photo lies below none that there is, once the first of them is entered.
    """

    index: Index
    folders: list[bytes]
    added: int = 0
    known: int = 0
    skipped: list[Skipped] = field(default_factory=list)
    _new: list[NewContent] = field(default_factory=list)
    _changes: list[FileChange] = field(default_factory=list)
    _fresh: set[bytes] = field(default_factory=set)
    # Before the first file is read, so that one written meanwhile is not believed to be unchanged.
    _began: int = field(default_factory=time.time_ns)

    def take(self, vectors: Vectors, rows: Sequence[Row], progress: Callable[[int, int], None]) -> None:
        """Add every row whose photo can be read."""
        with DecodePool(available_threads(), _SMALL) as pool:
            for done, (row, outcome) in enumerate(self._read(pool, rows), start=1):
                self._enter(row, outcome, vectors)
                if len(self._changes) >= COMMIT_PHOTOS:
                    self._commit()
                progress(done, len(rows))
            self._commit()

    def _read(self, pool: DecodePool, rows: Sequence[Row]) -> Iterator[tuple[Row, Outcome]]:
        with ThreadPoolExecutor(available_threads()) as threads:
            for start in range(0, len(rows), COMMIT_PHOTOS):
                page = rows[start : start + COMMIT_PHOTOS]
                outcomes = threads.map(lambda row: pool.read(row.path, self._is_known), page)
                yield from zip(page, outcomes, strict=True)

    def _is_known(self, digest: bytes) -> bool:
        with self.index.database.read() as connection:
            return catalog.content_by_digest(connection, digest) is not None

    def _enter(self, row: Row, outcome: Outcome, vectors: Vectors) -> None:
        if not isinstance(outcome, (Decoded, Known)):
            reason = outcome.reason if isinstance(outcome, Unreadable) else "its content is no picture"
            self.skipped.append(Skipped(text(row.path), reason, transient=False))
            return
        if _differs(row, outcome.digest):
            reason = "other bytes than those that were embedded"
            self.skipped.append(Skipped(text(row.path), reason, transient=False))
            return
        change = self._change(row.path, outcome.digest, outcome.stat)
        # What a reader found to be new may have been committed since.
        seen = outcome.digest in self._fresh or self._is_known(outcome.digest)
        if isinstance(outcome, Decoded) and not seen:
            self._new.append(NewContent(outcome.digest, outcome.facts, unit(vectors[row.place])))
            self._fresh.add(outcome.digest)
            self.added += 1
        else:
            self.known += 1
        self._changes.append(change)

    def _change(self, path: bytes, digest: bytes, stat: FileStat) -> FileChange:
        root, inside = self._place(path)
        with self.index.database.read() as connection:
            row = catalog.file_at(connection, root.id, inside)
        file_id = row.id if row is not None else None
        return FileChange(root.id, inside, stat, self._began, digest=digest, file_id=file_id)

    def _place(self, path: bytes) -> tuple[Root, bytes]:
        """The root that a photo lies below, made if there is none yet, and its path below it."""
        with self.index.database.read() as connection:
            roots = catalog.read_roots(connection)
        for root in roots:
            if covers(root.path, path):
                return root, relative(path, root.path) or b""
        folder = next(f for f in self.folders if covers(f, path))
        # A new root may take in others, whose files must not wait under the old number meanwhile.
        self._commit()
        with self.index.database.write() as connection:
            root = writer.put_root(connection, folder)
        return root, relative(path, folder) or b""

    def _commit(self) -> None:
        if self._changes:
            self.index.commit(self._new, self._changes)
        self._new, self._changes = [], []
        self._fresh.clear()
