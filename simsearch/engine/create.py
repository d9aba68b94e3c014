"""Making an empty index: folders, then everything else in one transaction."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from pathlib import Path

from simsearch.engine.index import Index
from simsearch.engine.snapshot import CENTER
from simsearch.errors import IndexMissing, IndexUnwritable
from simsearch.paths import DAMAGED, DATABASE
from simsearch.spec import NAMED, EmbeddingSpec
from simsearch.storage import catalog, migrations, writer
from simsearch.storage.answers import ASIDE, VERDICTS
from simsearch.storage.database import Database
from simsearch.storage.disk.durable import sync_folder
from simsearch.storage.schema import FORMAT
from simsearch.storage.segments import SegmentHeader, SegmentStore

Note = Callable[[str], None]


def create_index(
    folder: Path, spec: EmbeddingSpec, *, weights_path: str, fallback: str | None, note: Note
) -> Index:
    """Make an empty index in `folder`; the caller holds its lock.

    Tables and settings appear in one transaction, so that a crash leaves an index or none.
    """
    database = Database(folder / DATABASE, create=True)
    try:
        _create(folder, database, spec, weights_path, fallback, note)
        return Index(folder, database)
    except BaseException:
        database.close()
        raise


def _create(
    folder: Path, database: Database, spec: EmbeddingSpec, weights_path: str, fallback: str | None, note: Note
) -> None:
    if not migrations.check(database):
        _choose_journal(database, note)
        # Segments without a database may be of one that is brought back; they are not written over.
        header = SegmentHeader("", spec.id, spec.dim)
        last = max(SegmentStore(folder / "segments", header).numbers_on_disk(), default=0)
        values = {
            "format": str(FORMAT),
            "uuid": uuid.uuid4().hex,
            "spec": spec.to_json(),
            "weights_path": weights_path,
            "end": json.dumps([last + 1, 0]),
        }
        if fallback is not None:
            values["fallback"] = fallback
        if not spec.backbone.startswith(NAMED):
            # Vectors of a network share a part that tells nothing; of those made elsewhere nothing is known.
            values[CENTER] = "on"
        with database.write() as connection:
            migrations.create(connection)
            writer.put_settings(connection, values)
        sync_folder(folder)


def open_for_writing(folder: Path, note: Note) -> Index:
    """An index whose lock the caller holds, in the journal mode of its place.

    Segments that a compaction replaced, or was stopped in writing, are deleted.

    Raises IndexMissing.
    """
    if not (folder / DATABASE).exists():
        raise IndexMissing(f"There is no index at {folder}. Make one with: simsearch index FOLDER")
    prepare_folder(folder)
    opened = Index.open_at(folder, locked=True)
    try:
        _choose_journal(opened.database, note)
        delete_replaced(opened)
    except BaseException:
        opened.close()
        raise
    return opened


def delete_replaced(index: Index) -> None:
    """Delete the segments that a compaction replaced, and those past the end that it was stopped in writing.

    Nothing else: a file that no row names may belong to a database that is brought back. As long as the
    database that a repair left is kept, nothing at all.
    """
    with index.database.read() as connection:
        settings = catalog.read_settings(connection)
        replaced, (last, _) = catalog.replaced_segments(settings), catalog.end_of(settings)
        doomed = {n for n in index.segments.numbers_on_disk() if n > last or n in replaced}
        if doomed and not (index.path / DAMAGED).exists():
            index.segments.delete(doomed - catalog.segments_of(connection))


def _choose_journal(database: Database, note: Note) -> None:
    mode = database.journal()
    if mode.lower() != "wal":
        note(
            f"{database.path.parent} lies where SQLite's write-ahead log does not work (a network disk?): "
            "queries wait while something is committed. A local disk is quicker."
        )


def prepare_folder(folder: Path) -> None:
    """Make the folders of an index. Raises IndexUnwritable when the place cannot be written."""
    _refuse_links(folder)
    try:
        (folder / "segments").mkdir(parents=True, exist_ok=True)
        (folder / "views").mkdir(exist_ok=True)
        sync_folder(folder)
    except OSError as exc:
        raise IndexUnwritable(
            f"Cannot make an index at {folder}: {exc.strerror or exc}. Name another place with -i."
        ) from exc


def _refuse_links(folder: Path) -> None:
    """Raises IndexUnwritable where writing would change files outside of the index."""
    names = (DATABASE, VERDICTS, ASIDE, "features.db", "thumbs.db", "segments", "views", "acts")
    inside = (path for name in ("segments", "views") for path in (folder / name).glob("*"))
    for path in (*(folder / name for name in names), *inside):
        if path.is_symlink():
            raise IndexUnwritable(
                f"{path} is a link, and nothing outside of an index is written. Put the file itself there; "
                "a whole index may lie behind a link."
            )
