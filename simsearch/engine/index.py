"""An index on disk: opening it, reading it, and the one commit that changes it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from simsearch.engine.append import NewContent, append
from simsearch.engine.disk import bytes_below, file_stat
from simsearch.engine.ranking import Wanted, checked_rows, content_paths, rank
from simsearch.engine.snapshot import Snapshot
from simsearch.engine.tiles.setting import tiles_info
from simsearch.engine.viewing.newest import Newest
from simsearch.errors import IndexDamaged, IndexEmpty, IndexMissing, NotIndexed, SimsearchError
from simsearch.media.formats import MAX_PIXELS
from simsearch.paths import DATABASE, AnyPath, canonical, existing_index, text
from simsearch.records import Hit, IndexInfo, Photo, Skipped
from simsearch.spec import EmbeddingSpec
from simsearch.storage import catalog, migrations, writer
from simsearch.storage.database import Database
from simsearch.storage.lock import WriterLock
from simsearch.storage.schema import FORMAT
from simsearch.storage.segments import SegmentHeader, SegmentStore
from simsearch.storage.writer import FileChange
from simsearch.views.base import check_queries

Vectors = NDArray[np.float32]
T = TypeVar("T")


class Index:
    """The embeddings and records of photo collections in one folder.

    Any number of processes and threads may read while one process writes; each search sees one commit.

        with Index.open("indexes/default") as index:
            hits = index.search(index.vectors([1]), k=5)
    """

    def __init__(self, folder: Path, database: Database) -> None:
        self.path = folder
        self.database = database
        with database.read() as connection:
            self._settings = catalog.read_settings(connection)
        if not {"spec", "uuid"} <= self._settings.keys():
            raise IndexDamaged(f"{folder} lacks settings that it cannot be without. Run: simsearch verify")
        self.spec = EmbeddingSpec.from_json(self._settings["spec"])
        header = SegmentHeader(self._settings["uuid"], self.spec.id, self.spec.dim)
        self.segments = SegmentStore(folder / "segments", header)
        self._newest = Newest(self.segments, folder)

    @classmethod
    def open(cls, path: str | os.PathLike[str] | None = None) -> Index:
        """Open an index by folder or name (see `simsearch.paths.resolve_index`).

        One of an older format is brought forward first, under its lock. Raises IndexMissing, FormatUnknown,
        IndexDamaged; of an older format also IndexLocked and IndexUnwritable.
        """
        return cls.open_at(existing_index(path), locked=False)

    @classmethod
    def open_at(cls, folder: Path, *, locked: bool) -> Index:
        """`open` by folder; `locked` says that the caller holds the lock already."""
        database = Database(folder / DATABASE)
        try:
            if not migrations.check(database):
                raise IndexMissing(
                    f"The index at {folder} was never finished. "
                    f"Make it with: simsearch index FOLDER -i {folder}"
                )
            if migrations.is_old(database):
                with nullcontext() if locked else WriterLock(folder):
                    migrations.migrate(database)
            return cls(folder, database)
        except BaseException:
            database.close()
            raise

    def __enter__(self) -> Index:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close files and connections."""
        self.segments.close()
        self.database.close()

    def __len__(self) -> int:
        """How many different pictures can be found."""
        return self.snapshot().photos

    @property
    def fallback(self) -> str | None:
        """Why another model than ResNet-50 was chosen when the index was made, if so."""
        return self._settings.get("fallback")

    @property
    def weights_path(self) -> str | None:
        """Where the weights lay when they were last named."""
        return self._settings.get("weights_path")

    @property
    def max_pixels(self) -> int:
        """Pictures with more pixels are not decoded."""
        with self.database.read() as connection:
            return catalog.number(catalog.read_settings(connection), "max_pixels", MAX_PIXELS)

    def snapshot(self) -> Snapshot:
        """The newest commit; read again only when somebody has committed since."""
        return self.steadily(self._newest.at)

    def without_view(self, why: SimsearchError) -> Snapshot:
        """The newest commit, every row of which is compared since the server of its view failed."""
        return self.steadily(lambda connection: self._newest.refused(connection, why))

    def search(
        self,
        vectors: Vectors,
        k: int = 10,
        *,
        min_score: float | None = None,
        max_score: float | None = None,
        without: Sequence[AnyPath] = (),
    ) -> list[tuple[Hit, ...]]:
        """The `k` closest pictures of each query.

        Args:
            vectors: float32 (m, dim), unit length, of this index's spec.
            k: how many hits a query; fewer come back only when the collection is smaller.
            min_score, max_score: bounds on the cosine, inclusive.
            without: paths that are no answer (the query's own file).

        Returns: m tuples of hits, best first, at equal score by path. Raises IndexEmpty when nothing is
        indexed, SimsearchError for a wrong shape or NaN, IndexDamaged when a checksum does not hold.
        """
        wanted = Wanted(k, min_score, max_score, frozenset(canonical(path) for path in without))
        return self.rank(vectors, wanted)

    def rank(self, vectors: Vectors, wanted: Wanted) -> list[tuple[Hit, ...]]:
        """`search`, with all that can be asked in one record."""
        queries = check_queries(vectors, self.spec.dim)

        def ranked(connection: sa.Connection, snapshot: Snapshot) -> list[tuple[Hit, ...]]:
            if not snapshot.photos:
                raise IndexEmpty(
                    f"The index at {self.path} holds no photo. Add some with: simsearch index FOLDER"
                )
            return rank(connection, self.segments, snapshot, queries, wanted)

        return self.steadily(lambda read: self._newest.used(read, partial(ranked, read)))

    def steadily(self, read: Callable[[sa.Connection], T]) -> T:
        """What `read` finds in one transaction; in a later one when compaction took a segment away meanwhile.

        `read` may be called again, from the beginning.
        """
        failed = -1
        while True:
            generation = -1
            try:
                with self.database.read() as connection:
                    generation = catalog.generation(connection)
                    return read(connection)
            except IndexDamaged:
                if generation == failed:
                    raise
                failed = generation

    def vectors(self, ids: Sequence[int]) -> Vectors:
        """The stored vectors of these ids, float32 (len(ids), dim). Raises NotIndexed for an unknown one."""

        def stored(connection: sa.Connection) -> Vectors:
            table = catalog.vectors_where(connection, "id", ids)
            missing = sorted(set(ids) - set(table.ids.tolist()))
            if missing:
                raise NotIndexed(
                    f"No photo in {self.path} has the id {missing[0]}. See the ids in: simsearch query --json"
                )
            return checked_rows(self.segments, table)[np.searchsorted(table.ids, np.asarray(ids))]

        return self.steadily(stored)

    def paths_of(self, vector_id: int) -> tuple[str, ...]:
        """The absolute paths of a picture, in byte order. Raises NotIndexed."""
        with self.database.read() as connection:
            table = catalog.vectors_where(connection, "id", [vector_id])
            if not len(table):
                raise NotIndexed(f"No photo in {self.path} has the id {vector_id}.")
            [paths] = content_paths(connection, table.contents.tolist()).values()
            return tuple(text(path) for path in paths)

    def vector_id_of(self, *, path: AnyPath | None = None, digest: bytes | None = None) -> int | None:
        """The vector id of a file that is indexed and unchanged, or of these bytes; None when there is none.

        A file counts as unchanged by the rule of `index`: size, mtime and inode as they were.
        """
        with self.database.read() as connection:
            if digest is not None:
                content_id = catalog.content_by_digest(connection, digest)
            else:
                content_id = _content_at(connection, canonical(path or b""))
            if content_id is None:
                return None
            table = catalog.vectors_where(connection, "content_id", [content_id])
            return int(table.ids[0]) if len(table) else None

    def photos(self) -> Iterator[Photo]:
        """Every indexed picture, by id; one that goes while this is read may be left out.

        No transaction is held between two pictures, so that no writer waits for a slow consumer.
        """
        with self.database.read() as connection:
            table, _ = catalog.live_vectors(connection)
            generation = catalog.generation(connection)
        for start in range(0, len(table), 1000):
            ids = table.ids[start : start + 1000].tolist()
            content_ids = table.contents[start : start + 1000].tolist()
            with self.database.read() as connection:
                facts = catalog.contents_by_id(connection, content_ids)
                paths = content_paths(connection, content_ids)
                changed = catalog.generation(connection) != generation
            for vector_id, content_id in zip(ids, content_ids, strict=True):
                row, own = facts.get(content_id), tuple(text(path) for path in paths.get(content_id, []))
                if row is not None and own:
                    yield Photo(
                        vector_id, own, row.width, row.height, row.format, row.taken_at, row.sha256.hex()
                    )
                elif not changed:
                    raise IndexDamaged(
                        f"Picture {content_id} in index.db has lost its record. Run: simsearch verify"
                    )

    def skipped(self) -> tuple[Skipped, ...]:
        """Every image that is not in the index, and why, by path."""
        with self.database.read() as connection:
            return tuple(Skipped(text(p), why, later) for p, why, later in catalog.skipped_files(connection))

    def info(self) -> IndexInfo:
        """What the index holds, how it was made and how it is searched."""
        with self.database.read() as connection:
            counts = {
                what: catalog.count(connection, what) for what in ("photos", "files", "vectors", "skipped")
            }
            roots = tuple(text(root.path) for root in catalog.read_roots(connection))
            no_labels = catalog.why_no_labels(catalog.read_settings(connection))
            tiles = tiles_info(connection)
        return IndexInfo(
            index=str(self.path),
            format=FORMAT,
            model=self.spec.title,
            fallback=self.fallback,
            spec=self.spec.id,
            dim=self.spec.dim,
            bytes=bytes_below(self.path),
            view=self.snapshot().info(),
            roots=roots,
            no_labels=no_labels,
            tiles=tiles,
            **counts,
        )

    def commit(
        self, new: Sequence[NewContent], changes: Sequence[FileChange], dropped: Sequence[int] = ()
    ) -> None:
        """The one commit: vectors to the segment and to the disk, then all rows in one transaction.

        The caller holds the lock. Before the transaction nothing of it counts, after it everything.
        """
        placed = append(self.database, self.segments, new)
        with self.database.write() as connection:
            writer.put_vectors(connection, placed)
            writer.put_files(connection, changes)
            writer.drop_files(connection, dropped)
            for last in placed[-1:]:
                writer.put_settings(connection, {"end": json.dumps([last.segment, last.row + 1])})


def _content_at(connection: sa.Connection, path: bytes) -> int | None:
    row = catalog.row_at(connection, path)
    return row.content_id if row is not None and row.is_unchanged(file_stat(path)) else None
