"""Makes a damaged index whole: keeps all that is what was written, and marks what has to be read again."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from simsearch.engine.maintenance.health import Sound, pages, sound_pictures, unchecked_segments
from simsearch.engine.maintenance.verify import BEYOND_REPAIR, verify
from simsearch.errors import FormatUnknown, IndexDamaged, IndexUnwritable
from simsearch.paths import DAMAGED, DATABASE
from simsearch.spec import NAMED, EmbeddingSpec
from simsearch.storage import answers, catalog, migrations, writer
from simsearch.storage.database import Database
from simsearch.storage.disk.durable import sync_folder
from simsearch.storage.salvage import (
    LAST,
    count_lost,
    damaged,
    lost_settings,
    sound_rows,
    sound_settings,
)
from simsearch.storage.schema import FORMAT, contents, files, labels, roots, vectors
from simsearch.storage.segments import SegmentStore

AGAIN = "its record was damaged; it is read again when its disk is here"
IMPORT = "its vector was damaged; import it again"
LOGS = ("-wal", "-shm", "-journal")
MADE_AGAIN = {"uuid", "format", "end", "replaced", "view", "weights_path", "fallback", catalog.GENERATION}

Row = dict[str, Any]
Note = Callable[[str], None]


@dataclass
class _Kept:
    """What was carried over: pictures and roots that are whole, and counts for a person.

    `reason` is what is said of a file whose picture is lost, `rules` names settings of a person that are,
    `labels` counts those that are.
    """

    sound: Sound
    roots: set[int] = field(default_factory=set)
    files: int = 0
    again: int = 0
    homeless: int = 0
    labels: int = 0
    reason: str = AGAIN
    rules: tuple[str, ...] = ()


def repair(folder: Path, note: Note) -> None:
    """Write the database anew from every sound row, with every vector whose CRC-32 holds.

    Files whose picture or vector is damaged are marked, so that the next run reads them again. The damaged
    database is kept beside the new one as index.db.damaged. A crash leaves the one or the other in force.
    What people answered about copies is mended by itself; it says nothing of the rest. The caller holds the
    lock.

    Raises IndexDamaged when not even the model of the index can be read, IndexUnwritable.
    """
    _mend_answers(folder, note)
    problems = verify(folder, locked=True).problems
    if all(problem.file.startswith("views") or problem.file == answers.VERDICTS for problem in problems):
        # A lost view is built again at the end of every run.
        return
    new = folder / f"{DATABASE}.mended"
    try:
        lost = _write_anew(folder, new, note)
        _swap(folder, new)
    except OSError as exc:
        raise IndexUnwritable(
            f"Cannot mend {folder}: {exc.strerror or exc} ({exc.filename}). Check permissions and free space."
        ) from exc
    finally:
        with contextlib.suppress(OSError):
            _remove(new)
    _tell(lost, folder, note)


def _mend_answers(folder: Path, note: Note) -> None:
    """Mend what people answered; what a newer version wrote is left to that."""
    with contextlib.suppress(FormatUnknown):
        mended = answers.mend(folder)
        if mended is None:
            return
        note(
            f"Mended {folder / answers.VERDICTS}: {mended.kept} answers are kept, {mended.lost} are known to "
            "be lost; what they said is asked again."
        )
        if mended.aside is not None:
            note(
                "Some of its pages can no longer be read, so that more answers may be lost than are known. "
                f"The damaged file is kept as {mended.aside}; delete it when all is well."
            )


def _write_anew(folder: Path, new: Path, note: Note) -> _Kept:
    """The new database beside the old one, and what it holds."""
    _remove(new)
    with damaged(folder / DATABASE) as source:
        settings = sound_settings(source)
        _refuse_foreign(folder, settings)
        if "spec" not in settings:
            advice = BEYOND_REPAIR.format(folder=folder)
            raise IndexDamaged(f"{folder}: what its vectors were made by can no longer be read. {advice}")
        settings.setdefault("uuid", uuid.uuid4().hex)
        segments = unchecked_segments(folder, settings)
        _mend_headers(segments, note)
        with contextlib.closing(Database(new, create=True)) as target:
            with target.write() as connection:
                migrations.create(connection)
                return _carry_over(source, connection, segments, settings)


def _refuse_foreign(folder: Path, settings: dict[str, str]) -> None:
    """Raises FormatUnknown where not a flipped bit but another version made the format what it is."""
    stated = settings.get("format")
    if stated is None:
        with contextlib.closing(Database(folder / DATABASE)) as database:
            with contextlib.suppress(IndexDamaged):
                stated = str(database.pragma("user_version"))
    if stated is not None and stated != str(FORMAT):
        raise FormatUnknown(f"{folder} has format {stated}; this version mends format {FORMAT} only.")


def _mend_headers(segments: SegmentStore, note: Note) -> None:
    for number in segments.numbers_on_disk():
        if segments.restore_header(number):
            note(f"The header of {segments.path(number)} was damaged and is written anew.")


def _carry_over(
    source: Database, connection: sa.Connection, segments: SegmentStore, settings: dict[str, str]
) -> _Kept:
    named = EmbeddingSpec.from_json(settings["spec"]).backbone.startswith(NAMED)
    kept = _Kept(sound_pictures(source, segments), reason=IMPORT if named else AGAIN)
    kept.rules = tuple(key for key in lost_settings(source) if key not in MADE_AGAIN)
    for page in pages(sound_rows(source, roots)):
        kept.roots |= {row["id"] for row in page}
        _insert(connection, roots, page)
    for page in pages(row for row in sound_rows(source, contents) if row["id"] in kept.sound.contents):
        _insert(connection, contents, page)
    for page in pages(row for row in sound_rows(source, vectors) if kept.sound.keeps(row)):
        _insert(connection, vectors, page)
    for page in pages(sound_rows(source, files)):
        _keep_files(connection, page, kept)
    _keep_labels(source, connection, kept)
    _keep_settings(connection, settings, segments, kept)
    writer.put_sequence(connection, max(kept.sound.highest, _sequence(source)))
    return kept


def _sequence(source: Database) -> int:
    """The highest id that was ever given, where it can be read and is believable."""
    with contextlib.suppress(IndexDamaged), source.read() as connection:
        return found if (found := writer.sequence(connection)) < LAST else 0
    return 0


def _keep_files(connection: sa.Connection, page: list[Row], kept: _Kept) -> None:
    here = [row for row in page if row["root_id"] in kept.roots]
    kept.homeless += len(page) - len(here)
    rows = []
    for row in here:
        lost = kept.sound.has_lost(row)
        if lost:
            row = {**row, "content_id": None, "reason": kept.reason, "transient": kept.reason == AGAIN}
            row |= writer.sealed(files, row)
        kept.again += lost
        kept.files += not lost
        rows.append({**row, "transient": bool(row["transient"])})
    _insert(connection, files, rows)


def _keep_labels(source: Database, connection: sa.Connection, kept: _Kept) -> None:
    for page in pages(row for row in sound_rows(source, labels) if row["content_id"] in kept.sound.contents):
        writer.make_labels(connection)
        _insert(connection, labels, page)
    kept.labels = count_lost(source, labels)


def _insert(connection: sa.Connection, table: sa.Table, rows: list[Row]) -> None:
    """Add rows; of two that claim one place the first holds."""
    if rows:
        connection.execute(sa.insert(table).prefix_with("OR IGNORE"), rows)


def _keep_settings(
    connection: sa.Connection, settings: dict[str, str], segments: SegmentStore, kept: _Kept
) -> None:
    # A place that was committed is never written again, so that the next vector goes to a new segment.
    last = max([kept.sound.last_segment, *segments.numbers_on_disk()])
    with contextlib.suppress(IndexDamaged):
        last = max(last, catalog.end_of(settings)[0])
    # More commits than can have been where their number was lost: readers take it for a new one.
    settings.setdefault(catalog.GENERATION, str(int(time.time())))
    known = {writer.rules_key(root_id) for root_id in kept.roots}
    # What is the name of no root, and a view that may cover lost rows, are left behind.
    values = {
        key: value
        for key, value in settings.items()
        if key != "view" and (not key.startswith("rules:") or key in known)
    }
    # What holds no sound vector any more may be deleted once the damaged database is.
    replaced = sorted(
        {*catalog.replaced_segments(settings), *segments.numbers_on_disk()} - kept.sound.segments
    )
    end = {"format": str(FORMAT), "end": json.dumps([last + 1, 0]), "replaced": json.dumps(replaced)}
    writer.put_settings(connection, {**values, **end})


def _swap(folder: Path, new: Path) -> None:
    """Put the new database in the place of the old one, which is kept under another name.

    Raises OSError, and IndexUnwritable while somebody reads from the old one's log.
    """
    old, aside = folder / DATABASE, folder / DAMAGED
    with contextlib.closing(Database(old)) as database:
        merged = database.merge_log()
    _remove(aside)
    try:
        os.link(old, aside)
    except OSError:
        shutil.copyfile(old, aside)
    # A log of the old one would be taken for a log of the new one.
    for suffix in LOGS:
        log = old.with_name(old.name + suffix)
        if merged or suffix == "-shm":
            log.unlink(missing_ok=True)
        elif log.exists():
            log.replace(aside.with_name(aside.name + suffix))
    sync_folder(folder)
    new.replace(old)
    sync_folder(folder)


def _remove(path: Path) -> None:
    for suffix in ("", *LOGS):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _tell(kept: _Kept, folder: Path, note: Note) -> None:
    note(
        f"Mended {folder}: {kept.files} files are kept as they were, {kept.again} have to be "
        f"{'read' if kept.reason == AGAIN else 'imported'} again. "
        f"The damaged database is kept as {DAMAGED}; delete it when all is well."
    )
    if kept.labels:
        note(f"{kept.labels} labels of photos were damaged and are lost; the photos keep their others.")
    if kept.homeless:
        note(
            f"The folder of {kept.homeless} files can no longer be read from the index. Name it once more: "
            f"simsearch index FOLDER -i {folder}; nothing of it is embedded again."
        )
    if kept.rules:
        names = ", ".join(kept.rules)
        raise IndexDamaged(
            f"{folder} is mended, but what a person had set is lost ({names}), so that nothing was read. "
            "Run simsearch index, with --exclude, --hidden or --max-pixels where you had given them."
        )
