"""A small real index and a place for fuzzed files, made once a process."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from conftest import age, picture

from simsearch.engine.append import NewContent
from simsearch.engine.create import create_index, prepare_folder
from simsearch.engine.index import Index
from simsearch.engine.viewing.record import ViewRecord, file_digest
from simsearch.models.choice import ModelChoice, resolve
from simsearch.records import Facts, FileStat
from simsearch.storage import writer
from simsearch.storage.schema import seal
from simsearch.storage.writer import FileChange
from simsearch.views.faiss_view import IvfView
from simsearch.views.tuning import Setting

PHOTOS, LISTED = 6, 1000


@dataclass(frozen=True)
class Ground:
    """An index of six photos: its folder, the bytes of its database, a query, and the right answers."""

    folder: Path
    database: bytes
    settings: dict[str, str]
    query: Any
    hits: Any
    photos: Any


@lru_cache(maxsize=1)
def place() -> Path:
    """A folder for the files of this process."""
    return Path(tempfile.mkdtemp(prefix="fuzz-"))


@lru_cache(maxsize=1)
def ground() -> Ground:
    """Photos that exist and are unchanged, random unit vectors, and a view in which every list is probed."""
    home = place() / "ground"
    photos = home / "photos"
    photos.mkdir(parents=True)
    for number in range(PHOTOS):
        picture(number, (16, 12)).save(photos / f"{number}.png")
    age(photos)
    folder = home / "index"
    prepare_folder(folder)
    resolved = resolve(ModelChoice(model="efficientnet_lite0"))
    with create_index(
        folder, resolved.spec, weights_path=resolved.weights_path, fallback="why", note=lambda _: None
    ) as index:
        rows = np.random.default_rng(0).normal(size=(LISTED, index.spec.dim)).astype(np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        _enter(index, photos, rows)
        _name_view(index, rows)
        hits, every = index.search(rows[:1]), list(index.photos())
    with sqlite3.connect(folder / "index.db") as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
        settings = dict(connection.execute("SELECT key, value FROM settings"))
    connection.close()
    return Ground(folder, (folder / "index.db").read_bytes(), settings, rows[:1], hits, every)


@contextmanager
def one_thread() -> Iterator[None]:
    """FAISS on one thread: two of them on a busy machine wait for each other for a minute."""
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(threads)


def _enter(index: Index, photos: Path, rows: Any) -> None:
    with index.database.write() as connection:
        root = writer.put_root(connection, os.fsencode(photos.resolve()))
    new, changes = [], []
    for number in range(PHOTOS):
        digest = bytes([number]) * 32
        found = (photos / f"{number}.png").stat()
        stat = FileStat(found.st_size, found.st_mtime_ns, found.st_ino, found.st_dev)
        new.append(NewContent(digest, Facts(16, 12, "PNG"), rows[number]))
        changes.append(FileChange(root.id, b"%d.png" % number, stat, time.time_ns(), digest=digest))
    index.commit(new, changes)


def _name_view(index: Index, rows: Any) -> None:
    ids = np.arange(1, LISTED + 1)
    with one_thread():
        view = IvfView.build(
            lambda at=None: iter([(ids, rows) if at is None else (ids[at], rows[at])]), LISTED, recall=0.5
        )
    path = index.path / "views" / "1.faiss"
    view.write(path)
    lists = view._ivf.nlist
    setting = Setting(lists, LISTED, 1.0)
    record = ViewRecord(
        path.name,
        "ivf",
        path.stat().st_size,
        file_digest(path),
        PHOTOS,
        LISTED,
        setting.nprobe,
        setting.reranked,
        setting.recall,
    )
    values = {
        "view": json.dumps(asdict(record)),
        "rules:1": json.dumps({"exclude": ["*.tmp"], "hidden": False}),
        "max_pixels": "1000000",
    }
    with index.database.write() as connection:
        writer.put_settings(connection, values)


@lru_cache(maxsize=1)
def copy() -> Path:
    """A copy of the index, whose database is written anew for each input; `fresh` does it."""
    target = place() / "copy"
    shutil.copytree(ground().folder, target)
    return target


def fresh(database: bytes) -> Path:
    """The copy with these bytes as its database, and no log of an earlier one."""
    folder = copy()
    # A new file, and not new bytes in the old one, whose locks SQLite may still hold.
    for name in ("index.db", "index.db-wal", "index.db-shm", "index.db-journal"):
        (folder / name).unlink(missing_ok=True)
    (folder / "index.db").write_bytes(database)
    if not (folder / "views" / "1.faiss").exists():
        shutil.copy(ground().folder / "views" / "1.faiss", folder / "views" / "1.faiss")
    return folder


def put_setting(folder: Path, key: str, value: str | None) -> None:
    """Write a setting under the seal that belongs to it; None takes it away."""
    connection = sqlite3.connect(folder / "index.db", isolation_level=None)
    try:
        connection.execute("DELETE FROM settings WHERE key = ?", (key,))
        if value is not None:
            connection.execute("INSERT INTO settings VALUES (?, ?, ?)", (key, value, seal((key, value))))
    finally:
        connection.close()
