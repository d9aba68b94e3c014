"""Keeps features and what pairs were found to be, by the pictures' SHA-256; derived, so it may be lost."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import struct
import threading
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simsearch.dedup.features.describe import STEPS, Features
from simsearch.dedup.features.hashes import BYTES, FORMS

NAME = "features.db"
VERSION = 2
"""Of what `describe` gives and of how it is written here."""

_HEAD = struct.Struct("<HHH")
_TABLES = """
CREATE TABLE IF NOT EXISTS features (
    id INTEGER PRIMARY KEY, sha256 BLOB NOT NULL UNIQUE, hashes BLOB NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS pairs (
    first INTEGER, second INTEGER, score REAL NOT NULL, inliers INTEGER NOT NULL,
    PRIMARY KEY (first, second)) WITHOUT ROWID;
"""


class FeatureStore:
    """The features of an index's pictures in its folder, or in a temporary file where the folder takes none.

    A damaged or foreign file is put aside and filled anew; a damaged row counts as missing. `judged` names
    what pairs were judged by: under another name they are forgotten. Threads may share one.
    """

    def __init__(self, folder: Path | None, judged: str) -> None:
        self._lock = threading.RLock()
        self._connection = self._open(folder, judged)

    def __enter__(self) -> FeatureStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Write what is not written yet, and close."""
        with self._lock, contextlib.suppress(sqlite3.Error):
            self._connection.commit()
            self._connection.close()

    def ids(self, digests: Sequence[bytes]) -> dict[bytes, int]:
        """The id of each picture that is kept."""
        return {digest: int(number) for digest, number, _ in self._rows(digests, "sha256, id, 0")}

    def hashes(self, digests: Sequence[bytes]) -> dict[bytes, tuple[NDArray[np.uint8], int]]:
        """PDQ hashes uint8 (8, 32) and quality of each picture that is kept."""
        found = {}
        for digest, kept, _ in self._rows(digests, "sha256, hashes, 0"):
            if isinstance(kept, bytes) and len(kept) == FORMS * BYTES + 1:
                found[digest] = (np.frombuffer(kept, np.uint8, FORMS * BYTES).reshape(FORMS, BYTES), kept[-1])
        return found

    def features(self, digest: bytes) -> Features | None:
        """What is kept of a picture, or None."""
        for _, hashes, body in self._rows([digest], "sha256, hashes, body"):
            with contextlib.suppress(struct.error, ValueError, TypeError):
                return _read(hashes, body)
        return None

    def put(self, digest: bytes, features: Features) -> None:
        """Keep what was found of a picture."""
        hashes = features.hashes.tobytes() + bytes([features.quality])
        row = (digest, hashes, _written(features))
        with self._lock, contextlib.suppress(sqlite3.Error):
            self._connection.execute(
                "INSERT INTO features (sha256, hashes, body) VALUES (?, ?, ?) "
                "ON CONFLICT (sha256) DO UPDATE SET hashes = excluded.hashes, body = excluded.body",
                row,
            )

    def scores(self, first: int) -> dict[int, tuple[float, int]]:
        """Score and inliers by the second id of all pairs that are kept with this first one."""
        found: dict[int, tuple[float, int]] = {}
        with self._lock, contextlib.suppress(sqlite3.Error):
            query = "SELECT second, score, inliers FROM pairs WHERE first = ?"
            for second, score, inliers in self._connection.execute(query, (first,)):
                found[second] = (float(score), int(inliers))
        return found

    def put_scores(self, scores: Iterable[tuple[int, int, float, int]]) -> None:
        """Keep (first id, second id, score, inliers), the first id below the second."""
        with self._lock, contextlib.suppress(sqlite3.Error):
            self._connection.executemany("INSERT OR REPLACE INTO pairs VALUES (?, ?, ?, ?)", scores)

    def commit(self) -> None:
        """Make what was put durable; a full disk takes nothing from the answer."""
        with self._lock, contextlib.suppress(sqlite3.Error):
            self._connection.commit()

    def _rows(self, digests: Sequence[bytes], columns: str) -> list[tuple[bytes, Any, Any]]:
        found: list[tuple[bytes, Any, Any]] = []
        for start in range(0, len(digests), 500):
            chunk = digests[start : start + 500]
            marks = ",".join("?" * len(chunk))
            # `columns` and `marks` are made here, of no user's text.
            query = f"SELECT {columns} FROM features WHERE sha256 IN ({marks})"  # nosec B608
            with self._lock, contextlib.suppress(sqlite3.Error):
                found += self._connection.execute(query, chunk).fetchall()
        return found

    def _open(self, folder: Path | None, judged: str) -> sqlite3.Connection:
        if folder is not None and not (folder / NAME).is_symlink():
            for _ in range(2):
                with contextlib.suppress(sqlite3.OperationalError):
                    try:
                        return _connect(str(folder / NAME), judged)
                    except sqlite3.DatabaseError as exc:
                        if isinstance(exc, sqlite3.OperationalError):
                            raise
                        with contextlib.suppress(OSError):
                            os.unlink(folder / NAME)
        # Without a name SQLite keeps it in a file of its own that goes when it is closed.
        return _connect("", judged)


def keep_only(folder: Path, digests: set[bytes]) -> None:
    """Drop the features of all other pictures, by their SHA-256, and give back the room."""
    path = folder / NAME
    if not path.exists() or path.is_symlink():
        return
    with contextlib.suppress(sqlite3.Error):
        with contextlib.closing(sqlite3.connect(path, timeout=1, isolation_level=None)) as connection:
            kept = connection.execute("SELECT id, sha256 FROM features").fetchall()
            gone = [(number,) for number, digest in kept if digest not in digests]
            connection.execute("BEGIN")
            connection.executemany("DELETE FROM features WHERE id = ?", gone)
            connection.execute(
                "DELETE FROM pairs WHERE first NOT IN (SELECT id FROM features) "
                "OR second NOT IN (SELECT id FROM features)"
            )
            connection.execute("COMMIT")
            if gone:
                connection.execute("VACUUM")


def _connect(place: str, judged: str) -> sqlite3.Connection:
    connection = sqlite3.connect(place, timeout=30, check_same_thread=False)
    try:
        connection.execute("PRAGMA synchronous=NORMAL")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version != VERSION:
            connection.executescript("DROP TABLE IF EXISTS features; DROP TABLE IF EXISTS pairs;")
        connection.executescript(_TABLES)
        connection.execute("CREATE TABLE IF NOT EXISTS judged (by TEXT)")
        known = connection.execute("SELECT by FROM judged").fetchall()
        if known != [(judged,)]:
            connection.execute("DELETE FROM pairs")
            connection.execute("DELETE FROM judged")
            connection.execute("INSERT INTO judged VALUES (?)", (judged,))
        if version != VERSION:
            connection.execute(f"PRAGMA user_version={VERSION}")
        connection.commit()
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _written(features: Features) -> bytes:
    height, width = features.grey.shape
    places = np.rint(features.places * STEPS).astype("<u2")
    parts = (
        _HEAD.pack(len(places), height, width),
        places.tobytes(),
        features.descriptors.tobytes(),
        features.grey.tobytes(),
    )
    # Compressing saves a quarter of the room and would cost half of what reading a picture again does.
    body = b"".join(parts)
    return body + zlib.crc32(body).to_bytes(4, "little")


def _read(hashes: bytes, kept: bytes) -> Features:
    body = kept[:-4]
    if zlib.crc32(body).to_bytes(4, "little") != kept[-4:] or len(hashes) != FORMS * BYTES + 1:
        raise ValueError("not what was written")
    points, height, width = _HEAD.unpack_from(body)
    at = _HEAD.size
    places = np.frombuffer(body, "<u2", points * 2, at).reshape(points, 2).astype(np.float32) / np.float32(
        STEPS
    )
    at += points * 4
    descriptors = np.frombuffer(body, np.uint8, points * 128, at).reshape(points, 128)
    grey = np.frombuffer(body, np.uint8, height * width, at + points * 128).reshape(height, width)
    forms = np.frombuffer(hashes, np.uint8, FORMS * BYTES).reshape(FORMS, BYTES)
    return Features(forms, hashes[-1], places, descriptors, grey)
