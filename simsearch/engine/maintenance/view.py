"""The search view of an index: built, renewed, extended, and named in the database when it is on disk."""

from __future__ import annotations

import base64
import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from simsearch.engine.calibration.pairs import tend_rarity
from simsearch.engine.create import open_for_writing
from simsearch.engine.index import Index
from simsearch.engine.snapshot import CENTER, EXACT, EXACT_UP_TO, Snapshot, blocks_of, table_blocks
from simsearch.engine.tiles.setting import tiling_of
from simsearch.engine.viewing.newest import remedy
from simsearch.engine.viewing.record import ViewRecord, file_digest, load_view, named_view
from simsearch.errors import ExtraMissing, IndexUnwritable, ViewStale, ViewUnavailable
from simsearch.paths import existing_index
from simsearch.records import ViewInfo
from simsearch.storage import catalog, writer
from simsearch.storage.catalog import VectorTable
from simsearch.storage.disk.durable import sync_folder
from simsearch.storage.lock import WriterLock
from simsearch.views.base import Owners, Vectors
from simsearch.views.centring import centred, centred_blocks
from simsearch.views.remote.address import MilvusAddress, is_milvus

if TYPE_CHECKING:
    from simsearch.views.faiss_view import FaissView
    from simsearch.views.remote.milvus_view import MilvusView

TAIL_ROWS = 2000
GROWTH = 4

Note = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Wish:
    """What view is wanted: kind or the address of a server, recall@10 to tune for, and whether its robust
    setting is to be used."""

    kind: str = "auto"
    recall: float = 0.99
    robust: bool = False

    @classmethod
    def of(cls, record: ViewRecord | None) -> Wish:
        """What was wished when this view was made; the usual where there is none."""
        if record is None:
            return cls()
        kind = record.kind if record.remote is None else record.remote.address
        return cls(kind, record.wanted, record.use_robust)

    @classmethod
    def anew(cls, record: ViewRecord | None, vectors: int) -> Wish:
        """The same for a view that is lost or has lost many rows; few vectors are compared exactly, unless
        they were given to a server."""
        wish = cls.of(record)
        return wish if vectors > EXACT_UP_TO or is_milvus(wish.kind) else cls()


def rebuild(
    index: str | os.PathLike[str] | None = None,
    *,
    view: str = "auto",
    recall: float = 0.99,
    robust: bool = False,
    center: bool | None = None,
    note: Note | None = None,
) -> ViewInfo:
    """Make the view anew from the segments, without embedding anything.

    Args:
        view: "exact" (no view: every row is compared), "ivf", "hnsw" (quicker, five times the memory), the
            address of a Milvus server (see `MilvusAddress`), or "auto": exact up to 20,000 vectors (a photo
            has one, with tiles several) and for a recall of 1, ivf beyond.
        recall: the recall@10 that an approximate view is tuned to, on held-out rows. No such view is sure
            to find everything: for 1 it searches as hard as it can.
        robust: search harder than that, for queries that are unlike the collection.
        center: whether queries score by centred vectors unless they say otherwise; None leaves it as it is.

    Returns: how the index is searched now. Raises IndexLocked, IndexMissing, SimsearchError; of a server
    QueryInvalid for its address, ViewUnavailable, ExtraMissing.
    """
    if is_milvus(view):
        view = str(MilvusAddress.parse(view))
    folder, note = existing_index(index), note or (lambda _: None)
    with WriterLock(folder), open_for_writing(folder, note) as opened:
        if center is not None:
            with opened.database.write() as connection:
                writer.put_settings(connection, {CENTER: "on" if center else "off"})
        build_view(opened, Wish(view, recall, robust), note)
        tend_rarity(opened, anew=True)
        return opened.snapshot().info()


def tend_view(index: Index, note: Note) -> None:
    """After a run, with the lock held: build the first view, renew a lost or outgrown one, add the tail.

    What is known of how rare scores are is renewed with it.
    """
    _tend(index, note)
    tend_rarity(index)


def _tend(index: Index, note: Note) -> None:
    snapshot = index.snapshot()
    with _server_may_fail(index, snapshot, note):
        _tend_at(index, snapshot, note)


def renew_view(index: Index, note: Note) -> None:
    """Make the view anew as it was wished; one whose server fails stays as it is, and a line says so."""
    snapshot = index.snapshot()
    with _server_may_fail(index, snapshot, note):
        build_view(index, Wish.anew(snapshot.named, snapshot.photos * snapshot.each), note)


@contextlib.contextmanager
def _server_may_fail(index: Index, snapshot: Snapshot, note: Note) -> Iterator[None]:
    """The photos are in the index; a view can wait for its server."""
    try:
        yield
    except (ViewUnavailable, ExtraMissing) as exc:
        note(f"{exc} {remedy(snapshot, index.path)}")


def _tend_at(index: Index, snapshot: Snapshot, note: Note) -> None:
    record, size = snapshot.record, snapshot.photos * snapshot.each
    if snapshot.trouble is not None and not isinstance(snapshot.trouble, ViewStale):
        # What its server holds may still be whole.
        return
    if snapshot.view_lost:
        note("The view is missing or damaged and is built again.")
        build_view(index, Wish.anew(snapshot.named, size), note)
    elif record is None:
        with index.database.read() as connection:
            is_chosen = EXACT in catalog.read_settings(connection)
        if size > EXACT_UP_TO and not is_chosen:
            build_view(index, Wish(), note)
    elif size > GROWTH * record.trained_on:
        build_view(index, Wish.of(record), note)
    elif len(snapshot.table) >= TAIL_ROWS:
        _extend(index, record, note)


def build_view(index: Index, wish: Wish, note: Note) -> None:
    """Make the view of an index anew; the caller holds the lock."""
    from simsearch.views.faiss_view import VIEWS

    with index.database.read() as connection:
        photos = catalog.count(connection, "photos")
        tiling = tiling_of(catalog.read_settings(connection))
    each = 1 if tiling is None else 1 + len(tiling)
    is_chosen = wish.kind == "exact" or (wish.kind == "auto" and wish.recall == 1.0)
    if is_chosen or (wish.kind == "auto" and photos * each <= EXACT_UP_TO):
        if wish.robust:
            note("Every photo is compared: there is nothing that --robust could make better.")
        _adopt(index, None, note, is_chosen=is_chosen)
        return
    table = _rows(index, after=0)
    note(f"Building the search view of {photos} photos")
    owners = None
    if tiling is not None:
        owners = Owners(lambda ids: table.contents[np.searchsorted(table.ids, ids)], each)
    blocks, mean = blocks_of(table, index.segments), _mean(index)
    if mean is not None:
        blocks = centred_blocks(blocks, mean)
    view: FaissView | MilvusView
    if is_milvus(wish.kind):
        from simsearch.views.remote.milvus_view import MilvusView

        place = MilvusAddress.parse(wish.kind), index.segments.header.index_uuid
        view = MilvusView.build(place, blocks, len(table), recall=wish.recall, owners=owners)
    else:
        kind = VIEWS["ivf" if wish.kind == "auto" else wish.kind]
        view = kind.build(blocks, len(table), recall=wish.recall, owners=owners)
    _save(index, view, _Cover(int(table.ids[-1]), len(table), _written(mean)), wish, note)


def _mean(index: Index) -> Vectors | None:
    """The mean by which the vectors of a view are centred, as those of queries mostly are."""
    snapshot = index.snapshot()
    if not snapshot.centred:
        return None
    with index.database.read() as connection:
        return snapshot.middle(connection)


def _written(mean: Vectors | None) -> str | None:
    return None if mean is None else base64.b64encode(mean.astype("<f4").tobytes()).decode("ascii")


def _rows(index: Index, after: int) -> VectorTable:
    """The rows past an id that a view has to hold."""
    with index.database.read() as connection:
        table = catalog.all_vectors(connection, after=after, limit=None)
        tiling = tiling_of(catalog.read_settings(connection))
    return table if tiling is not None else table.pick(np.flatnonzero(table.are_whole))


def _extend(index: Index, record: ViewRecord, note: Note) -> None:
    from simsearch.views.tuning import Setting

    tail = _rows(index, after=record.last_id)
    # The view in memory is shared with readers of this process; the copy that grows is read from disk.
    view = load_view(index.path, record)
    if view is None:
        return
    mean = index.snapshot().view_mean
    for ids, rows in table_blocks(tail, index.segments):
        view.add(ids, rows if mean is None else centred(rows, mean))
    # What is in use is tuned no more, and stays as it was measured.
    view.setting = Setting(record.nprobe, record.reranked, record.recall)
    _save(index, view, _Cover(int(tail.ids[-1]), record.trained_on, record.mean), Wish.of(record), note)


@dataclass(frozen=True, slots=True)
class _Cover:
    """The last vector id in a view, how many rows it was trained on, and the mean they were centred by."""

    last_id: int
    trained_on: int
    mean: str | None


def _save(index: Index, view: FaissView | MilvusView, cover: _Cover, wish: Wish, note: Note) -> None:
    """Write under a temporary name, sync, rename, and only then name it in the database."""
    from simsearch.views.remote.milvus_view import MilvusView

    folder = index.path / "views"
    number = 1 + max((int(f.stem) for f in folder.glob("*.faiss") if f.stem.isdigit()), default=0)
    path, temporary = folder / f"{number}.faiss", folder / f"{number}.faiss.new"
    view.write(temporary)
    try:
        temporary.replace(path)
        size, digest = path.stat().st_size, file_digest(path)
    except OSError as exc:
        raise IndexUnwritable(
            f"Cannot put the view {path} into its place: {exc.strerror or exc}. Run again: simsearch rebuild"
        ) from exc
    sync_folder(folder)
    record = ViewRecord(
        file=path.name,
        kind=view.kind,
        size=size,
        sha256=digest,
        last_id=cover.last_id,
        trained_on=cover.trained_on,
        nprobe=view.setting.nprobe,
        reranked=view.setting.reranked,
        recall=view.setting.recall,
        wanted=wish.recall,
        robust_nprobe=view.robust.nprobe,
        robust_reranked=view.robust.reranked,
        robust_recall=view.robust.recall,
        use_robust=wish.robust,
        mean=cover.mean,
        remote=view.fed if isinstance(view, MilvusView) else None,
    )
    _adopt(index, record, note)


def _adopt(index: Index, record: ViewRecord | None, note: Note, *, is_chosen: bool = False) -> None:
    with index.database.write() as connection:
        earlier = named_view(catalog.read_settings(connection))
        writer.drop_setting(connection, EXACT)
        if is_chosen:
            writer.put_settings(connection, {EXACT: "chosen"})
        if record is None:
            writer.drop_setting(connection, "view")
        else:
            writer.put_settings(connection, {"view": record.to_json()})
    for file in (index.path / "views").iterdir():
        ours = file.name.partition(".")[0].isdigit() and file.name.endswith((".faiss", ".faiss.new"))
        if ours and (record is None or file.name != record.file):
            # One that a reader on Windows has open stays until the next time.
            with contextlib.suppress(OSError):
                file.unlink()
    _sweep(index, {r.remote.address for r in (earlier, record) if r is not None and r.remote}, record, note)


def _sweep(index: Index, addresses: set[str], record: ViewRecord | None, note: Note) -> None:
    """Drop what earlier builds left at servers."""
    keep = record.remote.name if record is not None and record.remote is not None else ""
    servers = {MilvusAddress.parse(address).server for address in addresses}
    for server in servers:
        from simsearch.views.remote.milvus_view import sweep

        try:
            sweep(server, index.segments.header.index_uuid, keep)
        except (ViewUnavailable, ExtraMissing) as exc:
            note(f"Rows of an earlier view may be left: {exc}")
