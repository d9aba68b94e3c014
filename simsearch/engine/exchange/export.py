"""Writes what an index holds as plain files: vectors.npy, photos.csv (or Parquet) and spec.json."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import sqlalchemy as sa

from simsearch.engine.exchange.tables import PhotoRow, write_csv, write_parquet
from simsearch.engine.index import Index
from simsearch.engine.ranking import checked_rows, content_paths
from simsearch.errors import IndexEmpty, IndexUnwritable
from simsearch.paths import existing_index, text
from simsearch.records import ExportReport
from simsearch.storage import catalog
from simsearch.storage.catalog import VectorTable
from simsearch.storage.disk.durable import sync_folder

BLOCK = 1000
VECTORS, SPEC = "vectors.npy", "spec.json"


def export(
    folder: Path, index: str | os.PathLike[str] | None = None, *, parquet: bool = False
) -> ExportReport:
    """Write the vectors and their photos into a new folder, one row a photo, in the order of their ids.

    vectors.npy is float32 (n, dim), as stored; row r of photos.csv (photos.parquet) belongs to row r of it.
    The folder appears when it is complete. It is one commit's state whatever a writer does meanwhile.

    Raises IndexMissing, IndexEmpty, IndexDamaged, ExtraMissing, and IndexUnwritable when the folder exists
    and is not empty, or cannot be written.
    """
    folder = folder.absolute()
    with Index.open(existing_index(index)) as opened:
        with opened.database.read() as connection:
            photos = catalog.count(connection, "photos")
        if not photos:
            raise IndexEmpty(f"The index at {opened.path} holds no photo to export.")
        try:
            if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
                raise IndexUnwritable(f"{folder} exists and is not empty; name a new folder.")
            part = folder.with_name(f"{folder.name}.{secrets.token_hex(4)}.part")
            part.mkdir(parents=True)
            try:
                report = opened.steadily(lambda connection: _write(opened, connection, part, parquet))
                _sync_files(part)
                part.replace(folder)
                sync_folder(folder.parent)
            finally:
                shutil.rmtree(part, ignore_errors=True)
        except OSError as exc:
            raise IndexUnwritable(f"Cannot write {folder}: {exc.strerror or exc}. Make room there.") from exc
    return ExportReport(str(opened.path), str(folder), *report)


def _write(
    index: Index, connection: sa.Connection, folder: Path, parquet: bool
) -> tuple[int, int, tuple[str, ...]]:
    """Write all files; rows, dim and the names of the files."""
    table, _ = catalog.live_vectors(connection)
    # All are open before the first is read, so that no compaction takes one away from here on.
    index.segments.open([int(number) for number in np.unique(table.segments)])
    _write_vectors(index, table, folder / VECTORS)
    name, write = ("photos.parquet", write_parquet) if parquet else ("photos.csv", write_csv)
    write(folder / name, _photo_rows(connection, table))
    roots = [text(root.path) for root in catalog.read_roots(connection)]
    told = json.dumps({"simsearch": 1, "spec": asdict(index.spec), "roots": roots}, indent=1)
    (folder / SPEC).write_text(told + "\n", encoding="utf-8")
    return len(table), index.spec.dim, (VECTORS, name, SPEC)


def _write_vectors(index: Index, table: VectorTable, path: Path) -> None:
    # Written and not mapped: on a full disk a map ends the process by SIGBUS.
    header = {"descr": "<f4", "fortran_order": False, "shape": (len(table), index.spec.dim)}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for _, part in _blocks(table):
            file.write(np.ascontiguousarray(checked_rows(index.segments, part), dtype="<f4").data)


def _sync_files(folder: Path) -> None:
    for path in folder.iterdir():
        with path.open("rb+") as file:
            os.fsync(file.fileno())
    sync_folder(folder)


def _photo_rows(connection: sa.Connection, table: VectorTable) -> Iterator[PhotoRow]:
    for start, part in _blocks(table):
        contents: Sequence[int] = part.contents.tolist()
        facts, paths = catalog.contents_by_id(connection, contents), content_paths(connection, contents)
        for place, (vector_id, content_id) in enumerate(zip(part.ids.tolist(), contents, strict=True)):
            own, known = [text(path) for path in paths[content_id]], facts[content_id]
            yield PhotoRow(
                row=start + place,
                id=vector_id,
                path=own[0],
                sha256=known.sha256.hex(),
                width=known.width,
                height=known.height,
                format=known.format,
                taken_at=known.taken_at,
                copies=tuple(own[1:]),
            )


def _blocks(table: VectorTable) -> Iterator[tuple[int, VectorTable]]:
    for start in range(0, len(table), BLOCK):
        yield start, table.pick(np.arange(start, min(start + BLOCK, len(table))))
