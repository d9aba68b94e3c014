"""What a reader sees: the live vectors at one commit, and the view that searches them."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import sqlalchemy as sa

from simsearch.engine.calibration.rarity import Rarity
from simsearch.engine.tiles.setting import tiling_of
from simsearch.engine.viewing.record import ViewRecord, load_view, named_view
from simsearch.errors import ExtraMissing, IndexMismatch, SimsearchError, ViewUnavailable
from simsearch.records import ViewInfo
from simsearch.storage import catalog
from simsearch.storage.catalog import VectorTable
from simsearch.storage.segments import SegmentStore
from simsearch.views.base import Blocks, Ids, Vectors, View

EXACT_UP_TO = 20_000
"""Among so many vectors every one is compared."""

CENTER = "center"
EXACT = "exact"
CENTRED_FROM = 200
"""So many candidates by plain vectors hold the best by centred ones: on Corel-1000 all of 50 did."""

FILTERED_EXACTLY = 2000
"""Among so few allowed rows every one is compared."""


class Snapshot:
    """The vectors of one commit. Immutable; a newer commit is read into a new snapshot.

    Where a view covers the ids up to `last_id`, only the tail past it is held here as a table, and rows of
    candidates are looked up when needed. In an index with tiles rows are those of whole pictures and of
    tiles, while `photos` counts pictures.
    """

    def __init__(
        self,
        connection: sa.Connection,
        segments: SegmentStore,
        folder: Path,
        earlier: Snapshot | None,
        refused: SimsearchError | None = None,
    ) -> None:
        """Where the server of the view has `refused`, it is not asked again, and every row is compared."""
        self._segments = segments
        settings = catalog.read_settings(connection)
        if settings.get("uuid") != segments.header.index_uuid:
            raise IndexMismatch(f"{folder} holds another index than when it was opened. Open it again.")
        self.generation = catalog.number(settings, catalog.GENERATION, 0)
        record = self.named = named_view(settings)
        self.record: ViewRecord | None = None
        self.view: View | None = None
        self.trouble = refused
        if record is not None and refused is None:
            same = earlier is not None and earlier.record == record
            try:
                self.view = earlier.view if same and earlier is not None else load_view(folder, record)
            except (ViewUnavailable, ExtraMissing) as exc:
                self.trouble = exc
            self.record = record if self.view is not None else None
        self.view_lost = "view" in settings and self.view is None
        self.centred = settings.get(CENTER) == "on"
        self.rarity = {center: Rarity.from_settings(settings, center) for center in (False, True)}
        self.tiling = tiling_of(settings)
        told = self.record.mean if self.record is not None else None
        self.view_mean = None if told is None else np.frombuffer(base64.b64decode(told), dtype="<f4")
        self._middle: Vectors | None = None
        self._whole: Ids | None = None
        after = self.record.last_id if self.record else 0
        whole = self.tiling is None
        self.table, self.photos = catalog.live_vectors(connection, after=after, whole=whole)
        self.rows = len(self.table) + (len(self.view) if self.view is not None else 0)
        segments.keep_only(catalog.segments_of(connection))
        segments.open([int(number) for number in np.unique(self.table.segments)])

    @property
    def each(self) -> int:
        """How many vectors a photo has."""
        return 1 + (len(self.tiling) if self.tiling is not None else 0)

    @property
    def live(self) -> int:
        """So many rows can be found at most."""
        return self.photos if self.tiling is None else self.rows

    def whole(self, connection: sa.Connection) -> Ids:
        """The ids of all live vectors of whole pictures, ascending."""
        if self._whole is None:
            self._whole = catalog.live_contents(connection)
        return self._whole

    def info(self) -> ViewInfo:
        """How this snapshot is searched."""
        remote = self.named.remote if self.named is not None else None
        server = remote.address if remote is not None else None
        if self.record is None:
            trouble = None if self.trouble is None else str(self.trouble)
            return ViewInfo("exact", 1.0, 0, center=self.centred, server=server, trouble=trouble)
        record = self.record
        recalls = (record.recall, len(self.table), record.robust_recall, record.use_robust)
        return ViewInfo(record.kind, *recalls, center=self.centred, server=server)

    def middle(self, connection: sa.Connection) -> Vectors:
        """The mean of the collection by which vectors are centred, float32 (dim,); see `views.centring`."""
        from simsearch.views.centring import SAMPLE, middle
        from simsearch.views.training import even_places

        if self._middle is None:
            live = catalog.live_contents(connection)
            chosen = live[even_places(len(live), SAMPLE)]
            table = catalog.vectors_where(connection, "content_id", chosen.tolist())
            self._middle = middle(blocks_of(table, self._segments), len(live))
        return self._middle

    def candidates(
        self,
        connection: sa.Connection,
        queries: Vectors,
        k: int,
        allowed: Ids | None,
        mean: Vectors | None = None,
    ) -> list[VectorTable]:
        """For each query, rows among which its best k live neighbours are, in no order.

        With a `mean` those that are best by centred vectors.
        """
        graph = self.view is not None and self.view.kind == "hnsw"
        if allowed is not None and self.view is not None and (len(allowed) <= FILTERED_EXACTLY or graph):
            rows = catalog.vectors_where(connection, "id", allowed.tolist(), whole=self.tiling is None)
            found = self._exactly(rows, queries, k, mean=mean)
            return [rows.pick(np.searchsorted(rows.ids, np.sort(ids))) for ids in found]
        found = self._exactly(self.table, queries, k, allowed, mean)
        if self.view is None:
            return [self._rows(ids) for ids in found]
        covered = self.covered(queries, k, allowed, center=mean is not None)
        ids = np.unique(np.concatenate(covered)).tolist()
        rows = catalog.vectors_where(connection, "id", ids, whole=self.tiling is None)
        return [
            rows.pick(np.flatnonzero(np.isin(rows.ids, own))).joined(self._rows(tail))
            for tail, own in zip(found, covered, strict=True)
        ]

    def covered(self, queries: Vectors, k: int, allowed: Ids | None, *, center: bool) -> list[Ids]:
        """Ids of rows of the view among which the best k of each query are, centred or not.

        They are taken from more candidates where it was built of vectors of the other kind.
        """
        from simsearch.views.centring import centred

        if self.view is None:
            return [np.empty(0, dtype=np.int64) for _ in queries]
        mean = self.view_mean
        seen = queries if mean is None else centred(queries, mean)
        alike = center == (mean is not None)
        return self.view.search(seen, k if alike else max(k, CENTRED_FROM), allowed)

    def _exactly(
        self,
        table: VectorTable,
        queries: Vectors,
        k: int,
        allowed: Ids | None = None,
        mean: Vectors | None = None,
    ) -> list[Ids]:
        """The best k of each query among the rows of a table, each of which is compared."""
        from simsearch.views.centring import centred, centred_blocks
        from simsearch.views.exact import ExactView

        blocks = blocks_of(table, self._segments)
        if mean is not None:
            queries, blocks = centred(queries, mean), centred_blocks(blocks, mean)
        return ExactView(blocks).search(queries, k, allowed)

    def _rows(self, ids: Ids) -> VectorTable:
        return self.table.pick(np.searchsorted(self.table.ids, np.sort(ids)))


def blocks_of(table: VectorTable, segments: SegmentStore) -> Blocks:
    """The rows of a table, for a view to be searched or built."""

    def blocks(places: Ids | None = None) -> Iterator[tuple[Ids, Vectors]]:
        return table_blocks(table if places is None else table.pick(places), segments)

    return blocks


def table_blocks(table: VectorTable, segments: SegmentStore) -> Iterator[tuple[Ids, Vectors]]:
    """(ids, float32 rows) of a table in blocks of at most 4096, by segment and row."""
    for number in np.unique(table.segments):
        inside = np.flatnonzero(table.segments == number)
        inside = inside[np.argsort(table.rows[inside], kind="stable")]
        start = 0
        for block in segments.blocks(int(number), table.rows[inside]):
            yield table.ids[inside[start : start + len(block)]], block
            start += len(block)
