"""Vectors as the database has them: where each lies, as columns of NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from simsearch.errors import IndexDamaged
from simsearch.framing import Tile
from simsearch.storage.catalog.files import chunks, sealed_rows, typed
from simsearch.storage.schema import SEALED, files, seal, vectors

WHOLE, TILE = "whole", "tile:"
# One look into the index of (segment, row) for each segment, where DISTINCT would read every row.
_SEGMENTS = """
WITH RECURSIVE found(number) AS (
    SELECT min(segment) FROM vectors
    UNION ALL
    SELECT (SELECT min(segment) FROM vectors WHERE segment > found.number) FROM found
    WHERE found.number IS NOT NULL
)
SELECT number FROM found WHERE number IS NOT NULL
"""


FEW = 20_000
"""So many pictures are looked up by id; where there are more, all rows are passed through."""

# By position: names cost as much again as all else that is done for a row.
_NAMES = [column.name for column in vectors.columns]
_SEALED, _SEAL = [_NAMES.index(name) for name in SEALED["vectors"]], _NAMES.index("seal")


@dataclass(frozen=True, slots=True)
class VectorTable:
    """Vector rows as columns, ascending by id; all arrays have the same length."""

    ids: NDArray[np.int64]
    contents: NDArray[np.int64]
    segments: NDArray[np.int64]
    rows: NDArray[np.int64]
    crcs: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ids)

    def columns(self) -> tuple[NDArray[np.int64], ...]:
        """The five arrays."""
        return self.ids, self.contents, self.segments, self.rows, self.crcs

    @property
    def are_whole(self) -> NDArray[np.bool_]:
        """Which rows are of whole pictures: a content has the id of that vector."""
        whole: NDArray[np.bool_] = self.ids == self.contents
        return whole

    def pick(self, places: NDArray[np.int64]) -> VectorTable:
        """The rows at `places`."""
        return VectorTable(*(column[places] for column in self.columns()))

    def joined(self, other: VectorTable) -> VectorTable:
        """These rows, then those of `other`."""
        pairs = zip(self.columns(), other.columns(), strict=True)
        return VectorTable(*(np.concatenate(pair) for pair in pairs))


def tile_part(tile: Tile) -> str:
    """What the column `part` says of a tile's vector."""
    return TILE + ",".join(map(str, tile))


def tile_of(part: str) -> Tile | None:
    """The tile that `part` names; None for the whole picture. Raises ValueError for anything else."""
    if part == WHOLE:
        return None
    left, top, width, height = (int(number) for number in part.removeprefix(TILE).split(","))
    return left, top, width, height


def live_vectors(connection: sa.Connection, *, after: int = 0, whole: bool = True) -> tuple[VectorTable, int]:
    """The vectors with ids past `after` of every content that has a file, and how many contents have one.

    They are those of whole pictures, or with `whole` false those of tiles too. Both tables are read and
    compared here, since SQL would leave out a damaged row without a word.

    Raises IndexDamaged when a content with a file has no vector.
    """
    live = live_contents(connection)
    table = _table(connection, vectors.c.id > after, whole=whole)
    lost = np.setdiff1d(live[live > after], table.ids)
    if len(lost):
        raise IndexDamaged(f"Picture {int(lost[0])} in index.db has no vector. Run: simsearch verify")
    return table.pick(np.flatnonzero(np.isin(table.contents, live))), len(live)


def live_contents(connection: sa.Connection) -> NDArray[np.int64]:
    """The ids of all contents that have a file, ascending."""
    query = sa.select(files.c.content_id).where(files.c.content_id.is_not(None)).distinct()
    # A page at a time: a million numbers as Python objects take 40 MB.
    pages = connection.execute(query, execution_options={"yield_per": 10_000})
    return np.sort(np.fromiter(pages.scalars(), dtype=np.int64))


def vectors_where(
    connection: sa.Connection, column: str, values: Sequence[int], *, whole: bool = True
) -> VectorTable:
    """The whole-picture vectors with `column` ("id" or "content_id") among `values` that have a file.

    With `whole` false those of tiles too.
    """
    has_file = sa.exists().where(files.c.content_id == vectors.c.content_id)
    found = _as_table([])
    for chunk in chunks(values):
        where = sa.and_(vectors.c[column].in_(chunk), has_file)
        found = found.joined(_table(connection, where, whole=whole))
    return found.pick(np.argsort(found.ids))


def all_vectors(connection: sa.Connection, *, after: int = 0, limit: int | None = 100_000) -> VectorTable:
    """Every vector row, those of tiles and those without a file too, a page at a time.

    A view holds them all: a picture that comes back is adopted under its old id.
    """
    return _table(connection, vectors.c.id > after, limit=limit, whole=False)


def parts_of(connection: sa.Connection, vector_ids: Sequence[int]) -> dict[int, Tile | None]:
    """The tile that each of these vectors is of, None for a whole picture. Raises IndexDamaged."""
    found: dict[int, Tile | None] = {}
    for chunk in chunks(vector_ids):
        query = sa.select(vectors).where(vectors.c.id.in_(chunk))
        for row in sealed_rows(connection, vectors, query):
            try:
                found[row["id"]] = tile_of(row["part"])
            except ValueError as exc:
                raise IndexDamaged(
                    f"Vector {row['id']} in index.db is of no part that simsearch knows. "
                    "Run: simsearch verify"
                ) from exc
    return found


def named_parts(connection: sa.Connection, content_id: int) -> set[str]:
    """Which parts of a content have a vector, as the column `part` says it."""
    query = sa.select(vectors.c.part).where(vectors.c.content_id == content_id)
    return set(connection.execute(query).scalars())


def with_tiles(connection: sa.Connection, whole_ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """The ids, ascending, of these whole-picture vectors and of all tiles of the same pictures."""
    pairs = sa.select(vectors.c.id, vectors.c.content_id)
    if len(whole_ids) <= FEW:
        chosen = (pairs.where(vectors.c.content_id.in_(chunk)) for chunk in chunks(whole_ids.tolist()))
        found = [vector_id for query in chosen for vector_id in connection.execute(query).scalars()]
        return np.sort(np.array(found, dtype=np.int64))
    everything = connection.execute(pairs.order_by(vectors.c.id), execution_options={"yield_per": 10_000})
    kept = [_ids_among(page, whole_ids) for page in everything.partitions()]
    return np.concatenate(kept)


def _ids_among(page: Sequence[Sequence[Any]], contents: NDArray[np.int64]) -> NDArray[np.int64]:
    table = np.array([list(row) for row in page], dtype=np.int64)
    ids: NDArray[np.int64] = table[np.isin(table[:, 1], contents), 0]
    return ids


def without_tiles(connection: sa.Connection, tiles: int) -> NDArray[np.int64]:
    """The ids, ascending, of contents with a file that have fewer than so many tiles."""
    query = (
        sa.select(vectors.c.content_id)
        .group_by(vectors.c.content_id)
        .having(sa.func.count(vectors.c.part) < 1 + tiles)
    )
    pages = connection.execute(query, execution_options={"yield_per": 10_000})
    few = np.fromiter(pages.scalars(), dtype=np.int64)
    return np.intersect1d(few, live_contents(connection)) if len(few) else few


def segments_of(connection: sa.Connection, content_ids: Sequence[int] | None = None) -> set[int]:
    """The segments that hold vectors, of these contents or of all."""
    if content_ids is None:
        return set(connection.exec_driver_sql(_SEGMENTS).scalars())
    found: set[int] = set()
    for chunk in chunks(content_ids):
        query = sa.select(vectors.c.segment).where(vectors.c.content_id.in_(chunk)).distinct()
        found.update(connection.execute(query).scalars())
    return found


def vectors_in_segment(connection: sa.Connection, segment: int, *, after: int, limit: int) -> VectorTable:
    """Up to `limit` vectors of a segment of pictures that have a file, all parts, by row from `after` on."""
    has_file = sa.exists().where(files.c.content_id == vectors.c.content_id)
    where = sa.and_(vectors.c.segment == segment, vectors.c.row > after, has_file)
    return _table(connection, where, limit=limit, order=vectors.c.row, whole=False)


def _table(
    connection: sa.Connection,
    where: sa.ColumnElement[bool],
    *,
    limit: int | None = None,
    order: sa.Column[Any] = vectors.c.id,
    whole: bool = True,
) -> VectorTable:
    query = sa.select(vectors).where(where).order_by(order)
    if limit is not None:
        query = query.limit(limit)
    picked = []
    for values in typed("vectors", connection.execute(query)):
        if seal([values[place] for place in _SEALED]) != values[_SEAL]:
            raise IndexDamaged(
                f"The row of vector {values[0]} in index.db is not what was written. Run: simsearch verify"
            )
        vector_id, content_id, part, segment, row, crc = values[:_SEAL]
        if part == WHOLE or not whole:
            picked.append((vector_id, content_id, segment, row, crc))
    return _as_table(picked)


def _as_table(rows: list[tuple[int, int, int, int, int]]) -> VectorTable:
    columns = np.array(rows, dtype=np.int64).reshape(-1, 5).T
    return VectorTable(*(np.ascontiguousarray(column) for column in columns))
