"""Candidates -> hits: exact cosine on the stored vectors, checked rows, stated order, filters kept."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from simsearch.engine.batch.hits import TIE, Ranked, hits_each
from simsearch.engine.batch.hits import content_paths as content_paths
from simsearch.engine.calibration.rarity import cut_of
from simsearch.engine.queries.diversity import AMONG, by_relevance_and_variety
from simsearch.engine.queries.filters import PhotoFilter, matching_ids
from simsearch.engine.snapshot import Snapshot
from simsearch.errors import IndexDamaged
from simsearch.records import Hit
from simsearch.storage import catalog
from simsearch.storage.catalog import VectorTable
from simsearch.storage.segments import SegmentStore
from simsearch.views.base import Ids, Vectors

GROUP = 64
SPARE, PARTS = 16, 2


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one query asks for: `k` hits with min_score <= score <= max_score, without these paths.

    Attributes:
        allowed: only photos with these ids, ascending.
        own: further paths that are no answer, of each query in their order; empty for none of any.
        center: scores are cosines of centred vectors; None is as the index is set.
        photos: only photos that this filter lets through; `path` of a hit is a file that fulfils it.
        diverse: the balance of relevance and variety by which the best 500 are ordered anew, 0 to 1.
        one_in: only scores that at most one in so many pairs of the collection reaches; these are pairs of
            whole photos, so that tiles then play no part.
        tiles: whether a photo is also found by its tiles, where the index has them; its score is then the
            highest of all its parts.
    """

    k: int = 10
    min_score: float | None = None
    max_score: float | None = None
    without: frozenset[bytes] = frozenset()
    allowed: Ids | None = None
    center: bool | None = None
    photos: PhotoFilter | None = None
    diverse: float | None = None
    one_in: int | None = None
    tiles: bool = True
    own: tuple[frozenset[bytes], ...] = ()

    def of(self, number: int) -> Wanted:
        """What the query with this number asks for, as if it were the only one."""
        return replace(self, without=self.without | self.own[number], own=()) if self.own else self


def rank(
    connection: sa.Connection, segments: SegmentStore, snapshot: Snapshot, queries: Vectors, wanted: Wanted
) -> list[tuple[Hit, ...]]:
    """The hits of each query, by score downward, at equal score by path; at most wanted.k of them.

    With `wanted.diverse` the best 500 come in that order instead, and the rest after them.
    """
    rarity = snapshot.rarity[_centres(snapshot, wanted)]
    if wanted.one_in is not None:
        least = max(cut_of(rarity, wanted.one_in), -1.0 if wanted.min_score is None else wanted.min_score)
        wanted = replace(wanted, min_score=least, tiles=False)
    wanted = replace(wanted, allowed=_allowed_rows(connection, snapshot, wanted))
    if wanted.diverse is None:
        answers = _best(connection, segments, snapshot, queries, wanted)
    else:
        best = _best(connection, segments, snapshot, queries, replace(wanted, k=max(wanted.k, AMONG)))
        mean = _mean(connection, snapshot, wanted)
        answers = [_varied(connection, segments, hits, wanted, mean) for hits in best]
    if rarity is None:
        return answers
    # Pairs of whole photos were compared: they say nothing of the best of several parts.
    return [
        tuple(hit if hit.part else replace(hit, one_in=rarity.one_in(hit.score)) for hit in hits)
        for hits in answers
    ]


def _allowed_rows(connection: sa.Connection, snapshot: Snapshot, wanted: Wanted) -> Ids | None:
    """The ids of vectors, those of tiles too, of the photos that count; None for all vectors."""
    allowed = wanted.allowed
    if wanted.photos:
        matching = matching_ids(connection, wanted.photos)
        allowed = matching if allowed is None else np.intersect1d(matching, allowed)
    if snapshot.tiling is None:
        return allowed
    if not wanted.tiles:
        return snapshot.whole(connection) if allowed is None else allowed
    return catalog.with_tiles(connection, allowed) if allowed is not None else None


def _best(
    connection: sa.Connection, segments: SegmentStore, snapshot: Snapshot, queries: Vectors, wanted: Wanted
) -> list[tuple[Hit, ...]]:
    answers: list[tuple[Hit, ...]] = []
    for start in range(0, len(queries), GROUP):
        group = queries[start : start + GROUP]
        each = [wanted.of(number) for number in range(start, start + len(group))]
        without = max(len(one.without) for one in each)
        fetch = wanted.k + without + SPARE
        if snapshot.tiling is not None and wanted.tiles:
            # Several parts of one photo are often among the best.
            fetch += PARTS * wanted.k + snapshot.each * without
        ranked = _ranked(connection, segments, snapshot, group, fetch, wanted)
        found_first = hits_each(connection, ranked, each)
        for query, found, hits, one in zip(group, ranked, found_first, each, strict=True):
            size = fetch
            while not found.complete and not _enough(found, hits, one):
                size *= 4
                found = _ranked(connection, segments, snapshot, query[None], size, one)[0]
                hits = hits_each(connection, [found], [one])[0]
            answers.append(hits)
    return answers


def checked_rows(segments: SegmentStore, table: VectorTable) -> Vectors:
    """The vectors of a table's rows, float32 (n, dim). Raises IndexDamaged where a CRC-32 does not hold."""
    out = np.empty((len(table), segments.header.dim), dtype=np.float32)
    for start, rows in _passing(segments, table):
        out[start : start + len(rows)] = rows
    return out


def _passing(segments: SegmentStore, table: VectorTable) -> Iterator[tuple[int, Vectors]]:
    """`SegmentStore.passing` of a table's rows, each of them checked."""
    crcs = table.crcs.tolist()
    for start, rows in segments.passing(list(zip(table.segments.tolist(), table.rows.tolist(), strict=True))):
        for i, row in enumerate(rows, start):
            if zlib.crc32(row.data) != crcs[i]:
                raise IndexDamaged(
                    f"Vector {int(table.ids[i])} in {segments.path(int(table.segments[i]))} "
                    "is not what was written. Run: simsearch verify"
                )
        yield start, rows


def _ranked(
    connection: sa.Connection,
    segments: SegmentStore,
    snapshot: Snapshot,
    queries: Vectors,
    size: int,
    wanted: Wanted,
) -> list[Ranked]:
    mean, allowed = _mean(connection, snapshot, wanted), wanted.allowed
    tables = snapshot.candidates(connection, queries, size, allowed, mean)
    ranked = []
    for exact, table in zip(_cosines(segments, tables, queries, mean), tables, strict=True):
        # Bounds, order and ties are those of the float32 that is reported.
        scores = np.clip(exact, -1.0, 1.0).astype(np.float32).astype(np.float64)
        order = np.argsort(-scores, kind="stable")
        most = len(allowed) if allowed is not None else snapshot.live
        enough = len(table) >= most or size >= snapshot.rows
        ranked.append(Ranked(table.pick(order), scores[order], enough))
    return ranked


def _mean(connection: sa.Connection, snapshot: Snapshot, wanted: Wanted) -> Vectors | None:
    return snapshot.middle(connection) if _centres(snapshot, wanted) else None


def _centres(snapshot: Snapshot, wanted: Wanted) -> bool:
    return snapshot.centred if wanted.center is None else wanted.center


def _varied(
    connection: sa.Connection,
    segments: SegmentStore,
    hits: tuple[Hit, ...],
    wanted: Wanted,
    mean: Vectors | None,
) -> tuple[Hit, ...]:
    from simsearch.views.centring import centred

    if wanted.diverse is None or not hits:
        return hits
    best, rest = hits[:AMONG], hits[AMONG:]
    ids = np.array([hit.id for hit in best])
    table = catalog.vectors_where(connection, "id", ids.tolist())
    rows = checked_rows(segments, table)[np.searchsorted(table.ids, ids)]
    scores = np.array([hit.score for hit in best])
    order = by_relevance_and_variety(
        scores, rows if mean is None else centred(rows, mean), wanted.diverse, wanted.k
    )
    return (*(best[place] for place in order), *rest)[: wanted.k]


def _cosines(
    segments: SegmentStore, tables: Sequence[VectorTable], queries: Vectors, mean: Vectors | None
) -> Iterator[NDArray[np.float64]]:
    """The cosines of each query with the rows of its table, float64 (n,)."""
    from simsearch.views.centring import centred

    def seen(rows: Vectors) -> NDArray[np.float64]:
        return (rows if mean is None else centred(rows, mean)).astype(np.float64)

    wide = seen(queries)
    if len(tables) == 1:
        parts = [seen(rows) @ wide[0] for _, rows in _passing(segments, tables[0])]
        yield np.concatenate(parts) if parts else np.empty(0)
        return
    everything = tables[0]
    for table in tables[1:]:
        everything = everything.joined(table)
    everything = everything.pick(np.unique(everything.ids, return_index=True)[1])
    rows = seen(checked_rows(segments, everything))
    for query, table in zip(wide, tables, strict=True):
        yield rows[np.searchsorted(everything.ids, table.ids)] @ query


def _enough(found: Ranked, hits: Sequence[Hit], wanted: Wanted) -> bool:
    """Whether fetching more rows could not change the answer."""
    if not len(found.scores):
        return False
    last = float(found.scores[-1])
    if wanted.min_score is not None and last < wanted.min_score - TIE:
        return True
    return len(hits) >= wanted.k and (not hits or hits[-1].score - last > TIE)


def hits_of(
    connection: sa.Connection, table: VectorTable, scores: NDArray[np.float64], wanted: Wanted
) -> tuple[Hit, ...]:
    """The hits of rows that have scores already, (n,): as `rank` gives them."""
    order = np.argsort(-scores, kind="stable")
    ranked = Ranked(table.pick(order), scores[order], complete=True)
    return hits_each(connection, [ranked], [wanted])[0]
