"""The pictures that are asked with and answered with: one commit's vectors, paths and digests."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import takewhile

import numpy as np
import sqlalchemy as sa

from simsearch.engine.index import Index
from simsearch.engine.ranking import checked_rows, content_paths
from simsearch.engine.snapshot import Snapshot, table_blocks
from simsearch.errors import IndexDamaged, IndexEmpty
from simsearch.storage import catalog
from simsearch.storage.catalog import VectorTable
from simsearch.views.base import Ids, Vectors

BLOCK = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """Pictures by ascending id; a place is a number 0..n-1 in that order.

    Attributes:
        index: whose they are; it stays open as long as vectors are read.
        table: where their vectors lie.
        paths: the absolute paths of each, in byte order.
        digests: the SHA-256 of each, 32 bytes.
        base: the deepest folder that holds all roots; empty where there is none.
        mean: the middle of the whole index, by which vectors are centred, float32 (dim,).
        centred: whether the index is set to centre.
    """

    index: Index
    table: VectorTable
    paths: tuple[tuple[bytes, ...], ...]
    digests: tuple[bytes, ...]
    base: bytes
    mean: Vectors
    centred: bool

    def __len__(self) -> int:
        return len(self.paths)

    def at(self, places: Ids) -> Pictures:
        """Those at ascending `places`."""
        return replace(
            self,
            table=self.table.pick(places),
            paths=tuple(self.paths[place] for place in places.tolist()),
            digests=tuple(self.digests[place] for place in places.tolist()),
        )

    def only(self, digests: Collection[bytes]) -> Pictures:
        """Those with one of these digests."""
        if len(digests) == len(self):
            return self
        return self.at(np.flatnonzero([digest in digests for digest in self.digests]))

    def rows(self, places: Ids) -> Vectors:
        """The vectors at `places`, float32 (m, dim). Raises IndexDamaged where a CRC-32 does not hold."""
        return checked_rows(self.index.segments, self.table.pick(places))

    def checked_blocks(self) -> Iterator[tuple[Ids, Vectors]]:
        """(places, vectors) of all, 4096 at a time, checked like `rows`."""
        for start in range(0, len(self), BLOCK):
            places = np.arange(start, min(start + BLOCK, len(self)))
            yield places, self.rows(places)

    def blocks(self) -> Iterator[tuple[Ids, Vectors]]:
        """The same without the check, for every pass after the first."""
        for ids, rows in table_blocks(self.table, self.index.segments):
            yield np.searchsorted(self.table.ids, ids), rows


def pictures_of(index: Index) -> Pictures:
    """All pictures of an index, as they are in one commit. Raises IndexEmpty, IndexDamaged."""
    while True:
        snapshot = index.snapshot()
        if not snapshot.photos:
            raise IndexEmpty(
                f"The index at {index.path} holds no photo. Add some with: simsearch index FOLDER"
            )
        generation, pictures = index.steadily(partial(_read, index, snapshot))
        if generation == snapshot.generation:
            return pictures


def _read(index: Index, snapshot: Snapshot, connection: sa.Connection) -> tuple[int, Pictures]:
    generation = catalog.generation(connection)
    table, _ = catalog.live_vectors(connection)
    # All are open before the first is read, so that no compaction takes one away from here on.
    index.segments.open([int(number) for number in np.unique(table.segments)])
    contents = table.contents.tolist()
    facts, paths = catalog.contents_by_id(connection, contents), content_paths(connection, contents)
    if any(content_id not in facts or content_id not in paths for content_id in contents):
        raise IndexDamaged("The indexes of index.db do not fit its tables. Run: simsearch verify")
    return generation, Pictures(
        index,
        table,
        tuple(tuple(paths[content_id]) for content_id in contents),
        tuple(facts[content_id].sha256 for content_id in contents),
        _base(connection),
        snapshot.middle(connection),
        snapshot.centred,
    )


def _base(connection: sa.Connection) -> bytes:
    """The deepest folder that holds all roots; commonpath would make one slash of the two of a URL."""
    folders = [
        root.path if catalog.file_at(connection, root.id, b"") is None else root.path.rpartition(b"/")[0]
        for root in catalog.read_roots(connection)
    ]
    levels = zip(*(folder.split(b"/") for folder in folders), strict=False)
    return b"/".join(names[0] for names in takewhile(lambda names: len(set(names)) == 1, levels))
