"""Making an empty index: folders, then everything else in one transaction."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

from simsearch.engine.index import Index
from simsearch.errors import IndexMissing, IndexUnwritable
from simsearch.paths import DATABASE
from simsearch.spec import EmbeddingSpec
from simsearch.storage import catalog, migrations, writer
from simsearch.storage.database import Database
from simsearch.storage.schema import FORMAT
from simsearch.storage.segments import sync_folder

Note = Callable[[str], None]


def create_index(
    folder: Path, spec: EmbeddingSpec, *, weights_path: str, fallback: str | None, note: Note
) -> Index:
    """Make an empty index in `folder`; the caller holds its lock.

    Tables and settings appear in one transaction, so that a crash leaves an index or none.
    """
    database = Database(folder / DATABASE, create=True)
    if not migrations.check(database):
        _choose_journal(database, note)
        values = {
            "format": str(FORMAT),
            "uuid": uuid.uuid4().hex,
            "spec": spec.to_json(),
            "weights_path": weights_path,
            "end": "[1, 0]",
        }
        if fallback is not None:
            values["fallback"] = fallback
        with database.write() as connection:
            migrations.create(connection)
            writer.put_settings(connection, values)
        sync_folder(folder)
    return Index(folder, database)


def open_for_writing(folder: Path, note: Note) -> Index:
    """An index whose lock the caller holds, in the journal mode of its place.

    Segments that a compaction replaced, or was stopped in writing, are deleted.

    Raises IndexMissing.
    """
    _refuse_links(folder)
    if not (folder / DATABASE).exists():
        raise IndexMissing(f"There is no index at {folder}. Make one with: simsearch index FOLDER")
    opened = Index.open_locked(folder)
    _choose_journal(opened.database, note)
    with opened.database.read() as connection:
        segment, _ = catalog.end_of(catalog.read_settings(connection))
        opened.segments.delete_others(catalog.segments_of(connection) | {segment})
    return opened


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
    names = (DATABASE, "segments", "views", "thumbs.db")
    inside = (path for name in names[1:3] for path in (folder / name).glob("*"))
    for path in (*(folder / name for name in names), *inside):
        if path.is_symlink():
            raise IndexUnwritable(
                f"{path} is a link, and nothing outside of an index is written. Put the file itself there; "
                "a whole index may lie behind a link."
            )
