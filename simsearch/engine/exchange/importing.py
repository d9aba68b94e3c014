"""Takes in embeddings that were made elsewhere: vectors in .npy, their photos in a CSV or Parquet table."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simsearch.engine.append import NewContent
from simsearch.engine.create import create_index, open_for_writing, prepare_folder
from simsearch.engine.exchange.export import SPEC, VECTORS
from simsearch.engine.exchange.tables import read_table
from simsearch.engine.index import Index
from simsearch.engine.maintenance.view import tend_view
from simsearch.errors import IndexMismatch, IndexMissing, SimsearchError
from simsearch.framing import Framing
from simsearch.media.pool import DecodePool
from simsearch.models.choice import ModelChoice, resolve
from simsearch.models.embedder import Embedder
from simsearch.models.runners import available_threads
from simsearch.paths import canonical, relative, resolve_index, text
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


@dataclass(frozen=True, slots=True)
class Origin:
    """Where ready embeddings come from.

    Attributes:
        vectors: .npy of (n, dim) floats, or a folder that `export` wrote.
        photos: .csv or .parquet with a column "path", row r belonging to row r of the vectors; None when
            `vectors` is such a folder. A column "sha256" is believed only if the file agrees.
        choice: the model that made them, or None.
        name: a name for vectors of a model unknown here, or None.
    """

    vectors: Path
    photos: Path | None = None
    choice: ModelChoice | None = None
    name: str | None = None


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
    vectors, rows, spec = _opened(origin, note)
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
            run = _Import(opened, _roots(opened, rows))
            run.take(vectors, rows, progress or (lambda done, total: None))
            tend_view(opened, note)
    skipped = tuple(sorted(run.skipped, key=lambda item: os.fsencode(item.path)))
    return ImportReport(str(folder), spec[0].backbone, run.added, run.known, skipped, checked)


@dataclass(frozen=True, slots=True)
class _Row:
    """A file of the table: its path, the SHA-256 that is said of it (or ""), and the row of its vector."""

    path: bytes
    sha256: str
    place: int


def _opened(origin: Origin, note: Note) -> tuple[Vectors, list[_Row], tuple[EmbeddingSpec, str]]:
    """The vectors (mapped), their photos, and their spec with the path of its weights."""
    place, photos, told = origin.vectors, origin.photos, None
    if place.is_dir():
        found = [place / name for name in ("photos.csv", "photos.parquet") if (place / name).exists()]
        photos = photos or next(iter(found), None)
        told = _told_spec(place / SPEC)
        place = place / VECTORS
    if photos is None:
        raise SimsearchError(f"{origin.vectors} needs the table of its photos as well (.csv or .parquet).")
    try:
        vectors = np.load(place, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else exc
        raise SimsearchError(f"{place} cannot be read as an array of vectors (.npy): {reason}.") from exc
    if vectors.ndim != 2 or vectors.dtype.kind != "f" or vectors.shape[1] < 2:
        raise SimsearchError(f"{place} is {vectors.dtype} {vectors.shape}, not floats of shape (n, dim).")
    rows, count = _read_rows(photos)
    if count != len(vectors):
        raise SimsearchError(
            f"{photos} has {count} rows, {place} has {len(vectors)}; they do not belong together."
        )
    spec = _spec(origin, told, vectors.shape[1], note)
    if spec[0].dim != vectors.shape[1]:
        raise IndexMismatch(
            f"{place} has {vectors.shape[1]} numbers a vector, {spec[0].backbone} makes {spec[0].dim}."
        )
    return vectors, rows, spec


def _read_rows(photos: Path) -> tuple[list[_Row], int]:
    """Every path of the table, copies too, each once, and the number of its rows."""
    rows: dict[bytes, _Row] = {}
    count = 0
    for place, entry in enumerate(read_table(photos)):
        count += 1
        for name in (entry["path"], *entry["copies"]):
            path = canonical(name)
            rows.setdefault(path, _Row(path, str(entry.get("sha256") or ""), place))
    return list(rows.values()), count


def _told_spec(path: Path) -> EmbeddingSpec | None:
    try:
        return EmbeddingSpec.from_json(json.dumps(json.loads(path.read_text(encoding="utf-8"))["spec"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _spec(origin: Origin, told: EmbeddingSpec | None, dim: int, note: Note) -> tuple[EmbeddingSpec, str]:
    if origin.name is not None:
        return EmbeddingSpec.named(origin.name, dim), ""
    if origin.choice is not None:
        resolved = resolve(origin.choice, note=note)
        return resolved.spec, resolved.weights_path
    if told is None:
        raise SimsearchError(
            "Say which model made these vectors (--model, --weights), or give them a name (--spec NAME)."
        )
    return told, ""


def _check_sample(vectors: Vectors, rows: Sequence[_Row], spec: tuple[EmbeddingSpec, str]) -> int:
    """Make a few vectors again; raises IndexMismatch when the given ones are others."""
    embedder = Embedder.for_spec(spec[0], spec[1] or None, device="cpu")
    checked = 0
    with DecodePool(available_threads(), spec[0].framing) as pool:
        for row in rows[:: max(1, len(rows) // SAMPLE)]:
            outcome = pool.read(row.path)
            if not isinstance(outcome, Decoded) or _differs(row, outcome.digest):
                continue
            given = unit(vectors[row.place], row.place)
            cosine = float(given @ embedder.embed(outcome.pixels[None])[0])
            if cosine < LEAST_COSINE:
                raise IndexMismatch(
                    f"Row {row.place} ({text(row.path)}) is not what {spec[0].backbone} makes of that photo "
                    f"(cosine {cosine:.3f}); nothing was imported. If another model made these vectors, name "
                    "it with --model and --weights, or give them a name of their own with --spec."
                )
            checked += 1
    return checked


def _roots(index: Index, rows: Sequence[_Row]) -> list[Root]:
    """The roots of the index, and one more, the folder above all photos that lie below none of them."""
    with index.database.read() as connection:
        roots = catalog.read_roots(connection)
    folders = {
        os.path.dirname(row.path)
        for row in rows
        if not any(relative(row.path, root.path) is not None for root in roots)
    }
    if folders:
        with index.database.write() as connection:
            writer.put_root(connection, os.path.commonpath(folders))
            roots = catalog.read_roots(connection)
    return roots


def unit(vector: Any, row: int) -> Vectors:
    """A vector at length 1, float32. Raises SimsearchError when it has none, or is not finite."""
    given = np.asarray(vector, dtype=np.float64)
    length = float(np.linalg.norm(given))
    if not np.isfinite(length) or length == 0:
        raise SimsearchError(f"The vector of row {row} is zero or not finite, so it cannot be compared.")
    return np.asarray(given / length, dtype=np.float32)


def _differs(row: _Row, digest: bytes) -> bool:
    return bool(row.sha256) and row.sha256.lower() != digest.hex()


@dataclass
class _Import:
    """Reads the photos and commits them with their vectors, a batch at a time."""

    index: Index
    roots: list[Root]
    added: int = 0
    known: int = 0
    skipped: list[Skipped] = field(default_factory=list)
    _new: list[NewContent] = field(default_factory=list)
    _changes: list[FileChange] = field(default_factory=list)
    _fresh: set[bytes] = field(default_factory=set)

    def take(self, vectors: Vectors, rows: Sequence[_Row], progress: Callable[[int, int], None]) -> None:
        """Add every row whose photo can be read."""
        with DecodePool(available_threads(), _SMALL) as pool:
            for done, (row, outcome) in enumerate(self._read(pool, rows), start=1):
                self._enter(row, outcome, vectors)
                if len(self._changes) >= COMMIT_PHOTOS:
                    self._commit()
                progress(done, len(rows))
            self._commit()

    def _read(self, pool: DecodePool, rows: Sequence[_Row]) -> Iterator[tuple[_Row, Outcome]]:
        with ThreadPoolExecutor(available_threads()) as threads:
            for start in range(0, len(rows), COMMIT_PHOTOS):
                page = rows[start : start + COMMIT_PHOTOS]
                outcomes = threads.map(lambda row: pool.read(row.path, self._is_known), page)
                yield from zip(page, outcomes, strict=True)

    def _is_known(self, digest: bytes) -> bool:
        with self.index.database.read() as connection:
            return catalog.content_by_digest(connection, digest) is not None

    def _enter(self, row: _Row, outcome: Outcome, vectors: Vectors) -> None:
        if not isinstance(outcome, (Decoded, Known)):
            reason = outcome.reason if isinstance(outcome, Unreadable) else "its content is no picture"
            self.skipped.append(Skipped(text(row.path), reason, transient=False))
            return
        if _differs(row, outcome.digest):
            reason = "other bytes than those that were embedded"
            self.skipped.append(Skipped(text(row.path), reason, transient=False))
            return
        if isinstance(outcome, Decoded) and outcome.digest not in self._fresh:
            self._new.append(NewContent(outcome.digest, outcome.facts, unit(vectors[row.place], row.place)))
            self._fresh.add(outcome.digest)
            self.added += 1
        else:
            self.known += 1
        self._changes.append(self._change(row.path, outcome.digest, outcome.stat))

    def _change(self, path: bytes, digest: bytes, stat: FileStat) -> FileChange:
        for root in self.roots:
            inside = relative(path, root.path)
            if inside is None:
                continue
            with self.index.database.read() as connection:
                row = catalog.file_at(connection, root.id, inside)
            file_id = row.id if row is not None else None
            return FileChange(root.id, inside, stat, time.time_ns(), digest=digest, file_id=file_id)
        raise SimsearchError(f"{text(path)} lies below no folder of the index.")

    def _commit(self) -> None:
        if self._changes:
            self.index.commit(self._new, self._changes)
        self._new, self._changes = [], []
        self._fresh.clear()
