"""What a reader sees: the live vectors at one commit, and the view that searches them."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import sqlalchemy as sa

from simsearch.engine.calibration.rarity import Rarity
from simsearch.engine.tiles.setting import tiling_of
from simsearch.errors import IndexDamaged, IndexMismatch
from simsearch.records import ViewInfo
from simsearch.storage import catalog
from simsearch.storage.catalog import VectorTable
from simsearch.storage.segments import SegmentStore
from simsearch.views.base import Blocks, Ids, Vectors, View

if TYPE_CHECKING:
    from simsearch.views.faiss_view import FaissView

EXACT_UP_TO = 20_000
"""Among so many vectors every one is compared."""

CENTER = "center"
CENTRED_FROM = 200
"""So many candidates by plain vectors hold the best by centred ones: on Corel-1000 all of 50 did."""

FILTERED_EXACTLY = 2000
"""Among so few allowed rows every one is compared."""


@dataclass(frozen=True, slots=True)
class ViewRecord:
    """The view named in the database: file name in `views/`, kind, size and SHA-256 of the file, the last
    vector id that it covers, how many rows it was trained on, the recall that was asked for, and its two
    settings: the tuned one and the robust one, of which `use_robust` says which is in use. `mean` is that by
    which its vectors were centred, float32 in base64; None where they were not."""

    file: str
    kind: str
    size: int
    sha256: str
    last_id: int
    trained_on: int
    nprobe: int
    reranked: int
    recall: float
    wanted: float = 0.99
    robust_nprobe: int = 1
    robust_reranked: int = 1
    robust_recall: float = 0.0
    use_robust: bool = False
    mean: str | None = None

    @classmethod
    def from_settings(cls, settings: dict[str, str]) -> ViewRecord | None:
        """The record under the key "view", or None for exact search. Raises IndexDamaged."""
        return catalog.parsed("view", settings["view"], cls._checked) if "view" in settings else None

    @classmethod
    def _checked(cls, values: dict[str, Any]) -> ViewRecord:
        record = cls(**values)
        counts = [record.size, record.last_id, record.trained_on, record.nprobe, record.reranked]
        counts += [record.robust_nprobe, record.robust_reranked]
        if any(type(count) is not int or not 0 < count < 1 << 62 for count in counts):
            raise ValueError("no count")
        if not re.fullmatch(r"\d{1,18}\.faiss", record.file):
            raise ValueError("no name of a view")
        if record.kind not in ("ivf", "hnsw") or not isinstance(record.sha256, str):
            raise ValueError("no view of a kind that is known")
        if record.mean is not None:
            base64.b64decode(record.mean, validate=True)
        if not record.robust_recall:
            # Written before views had a second setting: the tuned one is all that is known.
            record = replace(
                record,
                robust_nprobe=record.nprobe,
                robust_reranked=record.reranked,
                robust_recall=record.recall,
            )
        return replace(
            record,
            recall=float(record.recall),
            wanted=float(record.wanted),
            robust_recall=float(record.robust_recall),
            use_robust=bool(record.use_robust),
        )


def load_view(folder: Path, record: ViewRecord) -> FaissView | None:
    """The view on disk, or None when it is missing or not the file that was written."""
    from simsearch.views.faiss_view import VIEWS
    from simsearch.views.tuning import Setting

    path = folder / "views" / record.file
    try:
        digest = file_digest(path)
        if path.stat().st_size != record.size or digest != record.sha256:
            return None
        tuned = Setting(record.nprobe, record.reranked, record.recall)
        robust = Setting(record.robust_nprobe, record.robust_reranked, record.robust_recall)
        return VIEWS[record.kind].read(path, robust if record.use_robust else tuned, robust)
    except (OSError, IndexDamaged):
        return None


def _view_record(settings: dict[str, str]) -> ViewRecord | None:
    """The record of the view; None also where it is none that can be, so that every row is compared."""
    with contextlib.suppress(IndexDamaged):
        return ViewRecord.from_settings(settings)
    return None


def file_digest(path: Path) -> str:
    """Hex SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Snapshot:
    """The vectors of one commit. Immutable; a newer commit is read into a new snapshot.

    Where a view covers the ids up to `last_id`, only the tail past it is held here as a table, and rows of
    candidates are looked up when needed. In an index with tiles rows are those of whole pictures and of
    tiles, while `photos` counts pictures.
    """

    def __init__(
        self, connection: sa.Connection, segments: SegmentStore, folder: Path, earlier: Snapshot | None
    ) -> None:
        self._segments = segments
        settings = catalog.read_settings(connection)
        if settings.get("uuid") != segments.header.index_uuid:
            raise IndexMismatch(f"{folder} holds another index than when it was opened. Open it again.")
        self.generation = catalog.number(settings, catalog.GENERATION, 0)
        record = self.named = _view_record(settings)
        self.record: ViewRecord | None = None
        self.view: View | None = None
        if record is not None:
            same = earlier is not None and earlier.record == record
            self.view = earlier.view if same and earlier is not None else load_view(folder, record)
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
        if self.record is None:
            return ViewInfo("exact", 1.0, 0, center=self.centred)
        record = self.record
        recalls = (record.recall, len(self.table), record.robust_recall, record.use_robust)
        return ViewInfo(record.kind, *recalls, center=self.centred)

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
