"""The collection that is searched: a real index on disk, filled with made vectors, and its query sets."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.search.data.generator import Generator
from benchmarks.search.data.vectors import RealVectors
from simsearch.engine.append import NewContent
from simsearch.engine.create import create_index, prepare_folder
from simsearch.engine.index import Index
from simsearch.records import Facts, FileStat
from simsearch.spec import EmbeddingSpec
from simsearch.storage import writer
from simsearch.storage.lock import WriterLock
from simsearch.storage.segments import HEADER, SegmentHeader, SegmentStore
from simsearch.storage.writer import FileChange
from simsearch.views.base import Blocks

Ids = NDArray[np.int64]
Vectors = NDArray[np.float32]

QUERIES = ("rows", "seen", "unseen")
FACTS = Facts(384, 256, "JPEG")
STEP = 4096
MADE = "made.json"


@dataclass(frozen=True, slots=True)
class Collection:
    """An index of `rows` vectors in `folder`/index, whose photos exist by name only.

    Vector id N is the N-th row, from 1 on. Queries: held-out "rows" of the generator, and real crops of
    "seen" and "unseen" scenes.
    """

    folder: Path
    rows: int
    dim: int
    uuid: str

    @property
    def index(self) -> Path:
        """The index, as `simsearch -i` takes it."""
        return self.folder / "index"

    @classmethod
    def at(cls, folder: Path) -> Collection:
        """One that was made before. Raises FileNotFoundError."""
        return cls(folder, **json.loads((folder / MADE).read_text(encoding="utf-8")))

    @property
    def spec(self) -> EmbeddingSpec:
        """The spec of the made vectors."""
        return EmbeddingSpec.named("made", self.dim)

    def queries(self, kind: str) -> Vectors:
        """The queries of a kind, float32 (m, dim)."""
        return np.asarray(np.load(self.folder / f"{kind}.npy"), dtype=np.float32)

    def store(self) -> SegmentStore:
        """The vectors as the product keeps them; its own reader, without the database."""
        return SegmentStore(self.index / "segments", SegmentHeader(self.uuid, self.spec.id, self.dim))

    def maps(self) -> list[Vectors]:
        """All rows, mapped, a file at a time."""
        files: list[Vectors] = []
        left = self.rows
        store = self.store()
        for number in store.numbers_on_disk():
            count = min(left, store.rows_on_disk(number))
            files.append(np.memmap(store.path(number), "<f4", "r", HEADER, (count, self.dim)))
            left -= count
        return files


def blocks_of(store: SegmentStore, rows: int) -> Blocks:
    """What a view is built from: the rows of a collection, or those at some places, block by block."""

    def blocks(places: Ids | None = None) -> Iterator[tuple[Ids, Vectors]]:
        for position, segment in enumerate(store.numbers_on_disk()):
            first = position * store.rows_per_segment
            last = min(rows, first + store.rows_per_segment)
            wanted = np.arange(first, last) if places is None else places[(first <= places) & (places < last)]
            start = 0
            for block in store.blocks(segment, wanted - first):
                yield wanted[start : start + len(block)] + 1, block
                start += len(block)

    return blocks


def rows_at(store: SegmentStore, ids: Ids) -> Vectors:
    """The vectors of ids, by the product's own planned reads."""
    first = store.numbers_on_disk()[0]
    segments, rows = np.divmod(ids - 1, store.rows_per_segment)
    return store.read(list(zip((segments + first).tolist(), rows.tolist(), strict=True)))


def make(folder: Path, real: RealVectors, rows: int, queries: int, note: Callable[[str], None]) -> Collection:
    """The collection of so many rows and queries of each kind; made before, it is taken as it is."""
    place = folder / f"{rows}x{real.seeds.shape[1]}"
    if (place / MADE).exists() and len(np.load(place / "rows.npy")) == queries:
        return Collection.at(place)
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    generator = Generator(real.seeds)
    np.save(place / "rows.npy", generator.rows(queries, stream=1))
    np.save(place / "seen.npy", real.seen[:queries])
    np.save(place / "unseen.npy", real.unseen[:queries])
    dim = real.seeds.shape[1]
    uuid = _fill(place / "index", dim, generator.blocks(rows), note)
    facts = {"rows": rows, "dim": dim, "uuid": uuid}
    (place / MADE).write_text(json.dumps(facts), encoding="utf-8")
    return Collection.at(place)


def _fill(folder: Path, dim: int, blocks: Iterator[Vectors], note: Callable[[str], None]) -> str:
    """Enter rows as an indexing run does, by names of photos that are not there; the uuid of the index."""
    prepare_folder(folder)
    spec = EmbeddingSpec.named("made", dim)
    with WriterLock(folder):
        with create_index(folder, spec, weights_path="", fallback=None, note=note) as index:
            with index.database.write() as connection:
                root = writer.put_root(connection, b"/photos").id
            done = 0
            for block in blocks:
                for start in range(0, len(block), STEP):
                    done = _commit(index, root, block[start : start + STEP], done)
                if done % (16 * STEP) == 0:
                    note(f"{done:,} rows made")
            return index.segments.header.index_uuid


def _commit(index: Index, root: int, rows: Vectors, done: int) -> int:
    new, changes = [], []
    for number, row in enumerate(rows, start=done):
        digest = hashlib.sha256(b"%d" % number).digest()
        name = b"%04d/%08d.jpg" % (number // 1000, number)
        new.append(NewContent(digest, FACTS, row))
        changes.append(FileChange(root, name, FileStat(50_000, 1, number + 1, 1), 2, digest=digest))
    index.commit(new, changes)
    return done + len(rows)
