"""Rows with their scores -> hits; what is known of the pictures is looked up for several queries at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from simsearch.engine.queries.filters import PhotoFilter, matching_paths
from simsearch.errors import IndexDamaged
from simsearch.framing import Tile, tile_edges
from simsearch.paths import join, text
from simsearch.records import Hit
from simsearch.storage import catalog
from simsearch.storage.catalog import ContentRow, VectorTable

if TYPE_CHECKING:
    from simsearch.engine.ranking import Wanted

TIE = 1e-6

TOGETHER = 4096
"""What is known of so many pictures is held at once, or of as many as one query needs."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """Live rows of one query, best first; `complete` when no further row can belong among them."""

    table: VectorTable
    scores: NDArray[np.float64]
    complete: bool


@dataclass(frozen=True, slots=True)
class _Known:
    """What the database knows of pictures, by content, and of tiles, by vector.

    `fitting` are the paths that a filter lets through; None where there is no filter.
    """

    facts: dict[int, ContentRow]
    paths: dict[int, list[bytes]]
    fitting: dict[int, set[bytes]] | None
    tiles: dict[int, Tile | None]

    @classmethod
    def of(
        cls, connection: sa.Connection, tables: Sequence[VectorTable], photos: PhotoFilter | None
    ) -> _Known:
        contents = np.unique(np.concatenate([table.contents for table in tables])).tolist()
        parts = np.unique(np.concatenate([table.ids[~table.are_whole] for table in tables])).tolist()
        return cls(
            catalog.contents_by_id(connection, contents),
            content_paths(connection, contents),
            matching_paths(connection, photos, contents) if photos else None,
            catalog.parts_of(connection, parts),
        )


def hits_each(
    connection: sa.Connection, ranked: Sequence[Ranked], wanted: Sequence[Wanted]
) -> list[tuple[Hit, ...]]:
    """The hits of each query, by score downward, at equal score by path; at most its k of them.

    What is wanted differs in paths that are no answer alone.
    """
    chosen = [_best_parts(found, one) for found, one in zip(ranked, wanted, strict=True)]
    answers: list[tuple[Hit, ...]] = []
    for start, end in _runs([len(found.table) for found in chosen]):
        known = _Known.of(connection, [found.table for found in chosen[start:end]], wanted[start].photos)
        answers += [_hits(chosen[number], wanted[number], known) for number in range(start, end)]
    return answers


def _runs(sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Queries one after the other, as many as are looked up together."""
    start = total = 0
    for number, size in enumerate(sizes):
        if number > start and total + size > TOGETHER:
            yield start, number
            start, total = number, 0
        total += size
    if sizes:
        yield start, len(sizes)


def _best_parts(found: Ranked, wanted: Wanted) -> Ranked:
    """Of each picture its best part, of those the ones within the bounds, of those as many as can be hits."""
    scores = found.scores
    # The best part is the first, for equal scores the whole.
    places = np.sort(np.unique(found.table.contents, return_index=True)[1])
    if wanted.min_score is not None:
        places = places[scores[places] >= wanted.min_score]
    if wanted.max_score is not None:
        places = places[scores[places] <= wanted.max_score]
    limit = wanted.k + len(wanted.without)
    if len(places) > limit:
        # Ties at the cut are settled by path, so all of them are looked up.
        places = places[scores[places] >= scores[places[limit - 1]] - TIE] if limit else places[:0]
    return Ranked(found.table.pick(places), scores[places], found.complete)


def _hits(found: Ranked, wanted: Wanted, known: _Known) -> tuple[Hit, ...]:
    hits = []
    for place, content_id in enumerate(found.table.contents.tolist()):
        if content_id not in known.facts or content_id not in known.paths:
            # A candidate has a file and facts in this very transaction, if all is well.
            raise IndexDamaged("The indexes of index.db do not fit its tables. Run: simsearch verify")
        own = [path for path in known.paths[content_id] if path not in wanted.without]
        if known.fitting is not None:
            first = next((path for path in own if path in known.fitting.get(content_id, ())), None)
            own = [first, *(path for path in own if path != first)] if first is not None else []
        if own:
            tile = known.tiles.get(int(found.table.ids[place]))
            hits.append(_hit(float(found.scores[place]), known.facts[content_id], own, tile))
    hits.sort(key=lambda item: (-item[0], item[1]))
    return tuple(hit for _, _, hit in hits[: wanted.k])


def content_paths(connection: sa.Connection, content_ids: Sequence[int]) -> dict[int, list[bytes]]:
    """The absolute paths of each content, in byte order."""
    roots = {root.id: root.path for root in catalog.read_roots(connection)}
    found: dict[int, list[bytes]] = {}
    for content_id, rows in catalog.files_of(connection, content_ids).items():
        if any(row.root_id not in roots for row in rows):
            raise IndexDamaged("A file in index.db lies below no root. Run: simsearch verify")
        found[content_id] = sorted(join(roots[row.root_id], row.relpath) for row in rows)
    return found


def _hit(score: float, facts: ContentRow, paths: list[bytes], tile: Tile | None) -> tuple[float, bytes, Hit]:
    value = float(np.float32(score))
    copies = tuple(text(path) for path in paths[1:])
    part = None
    if tile is not None:
        left, top, right, bottom = tile_edges(tile, (facts.width, facts.height))
        part = (left, top, right - left, bottom - top)
    # A picture has the id of its whole vector.
    hit = Hit(text(paths[0]), value, facts.id, facts.width, facts.height, copies, part=part)
    return value, paths[0], hit
