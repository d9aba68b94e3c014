"""Every picture's nearest neighbours by its stored vectors, as a graph."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simsearch.engine.index import Index
from simsearch.engine.ranking import checked_rows
from simsearch.engine.snapshot import Snapshot, blocks_of
from simsearch.errors import ViewUnavailable
from simsearch.storage import catalog
from simsearch.storage.catalog import VectorTable
from simsearch.views.base import Ids, Vectors
from simsearch.views.exact import ExactView

GROUP = 512
NONE = -1


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Some pictures with their nearest others.

    Attributes:
        ids: vector ids, int64 (n,).
        neighbours: vector ids, int64 (n, k), closest first, at equal score by id; -1 where there are fewer.
        scores: cosines, float32 (n, k); -inf where there is no neighbour.
    """

    ids: Ids
    neighbours: Ids
    scores: NDArray[np.float32]


def knn_graph(index: Index, k: int = 10) -> Iterator[Neighbours]:
    """The `k` nearest other pictures of each picture of an index, in groups that lie close together.

    Pictures are whole ones, whatever tiles the index has, and every picture comes once. Where the index has a
    view, its recall is that of the graph; up to 20,000 vectors it is exact. Pictures that lie close together
    share most candidates, which are read once a group, so that memory is a group and its candidates, and the
    table of all rows (40 bytes a picture).

    Raises IndexDamaged when a checksum does not hold.
    """
    snapshot, table = _state(index)
    index.segments.open([int(number) for number in np.unique(table.segments)])
    for ids in _groups(snapshot, table):
        queries = checked_rows(index.segments, _pick(table, ids))
        try:
            found = _candidates(index, snapshot, table, queries, k + 1)
        except ViewUnavailable as exc:
            snapshot = index.without_view(exc)
            found = _candidates(index, snapshot, table, queries, k + 1)
        union = np.unique(np.concatenate(found))
        live = _among(union, table.ids)
        rows = np.empty((len(union), queries.shape[1]), dtype=np.float32)
        rows[live] = checked_rows(index.segments, _pick(table, union[live]))
        neighbours = np.full((len(ids), k), NONE, dtype=np.int64)
        scores = np.full((len(ids), k), -np.inf, dtype=np.float32)
        for place, (own, query, candidates) in enumerate(zip(ids, queries, found, strict=True)):
            at = np.sort(np.searchsorted(union, candidates))
            at = at[live[at] & (union[at] != own)]
            cosines = rows[at] @ query
            best = np.argsort(-cosines, kind="stable")[:k]
            neighbours[place, : len(best)], scores[place, : len(best)] = union[at[best]], cosines[best]
        yield Neighbours(ids, neighbours, np.minimum(scores, 1.0, dtype=np.float32))


def _state(index: Index) -> tuple[Snapshot, VectorTable]:
    """The view and the places of all live rows, of one commit."""
    while True:
        snapshot = index.snapshot()
        with index.database.read() as connection:
            generation = catalog.generation(connection)
            table, _ = catalog.live_vectors(connection)
        if generation == snapshot.generation:
            return snapshot, table


def _groups(snapshot: Snapshot, table: VectorTable) -> Iterator[Ids]:
    """The live ids, those close to each other together."""
    if snapshot.record is not None and snapshot.record.remote is not None:
        # A server knows no more of what lies close than the order in which photos came.
        for start in range(0, len(table), GROUP):
            yield table.ids[start : start + GROUP]
        return
    if snapshot.view is not None:
        for ids in snapshot.view.groups(GROUP):
            live = np.sort(ids[_among(ids, table.ids)])
            if len(live):
                yield live
    beside = _beside(snapshot).ids
    for start in range(0, len(beside), GROUP):
        yield beside[start : start + GROUP]


def _beside(snapshot: Snapshot) -> VectorTable:
    """The rows of whole pictures that no view covers."""
    return snapshot.table.pick(np.flatnonzero(snapshot.table.are_whole))


def _candidates(index: Index, snapshot: Snapshot, table: VectorTable, queries: Vectors, k: int) -> list[Ids]:
    beside = ExactView(blocks_of(_beside(snapshot), index.segments)).search(queries, k)
    if snapshot.view is None:
        return beside
    covered = snapshot.covered(queries, k, None if snapshot.tiling is None else table.ids, center=False)
    return [np.concatenate(pair) for pair in zip(covered, beside, strict=True)]


def _among(ids: Ids, known: Ids) -> NDArray[np.bool_]:
    """Which of `ids` are among the ascending `known`."""
    places = np.searchsorted(known, ids)
    among: NDArray[np.bool_] = np.take(known, places, mode="clip") == ids
    return among


def _pick(table: VectorTable, ids: Ids) -> VectorTable:
    return table.pick(np.searchsorted(table.ids, ids))
