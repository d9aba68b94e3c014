"""Small JPEGs of pictures, made when first looked at and kept by the SHA-256 of the picture's bytes."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import sqlite3
import warnings
import zlib
from pathlib import Path

from PIL import Image

from simsearch.errors import PhotoUnreadable
from simsearch.media.decode import DecodeLimits, open_upright
from simsearch.media.sources.held import read_file

SIDE, QUALITY = 256, 82


def thumbnail(
    source: bytes | Path,
    *,
    side: int = SIDE,
    store: Path | None = None,
    limits: DecodeLimits | None = None,
) -> bytes | None:
    """JPEG bytes of an upright picture at most `side` pixels wide and high, without any metadata.

    `source` is a `Path` or a picture's bytes; `store` is a database that keeps thumbnails. None where the
    file cannot be read or decoded now.
    """
    limits = limits or DecodeLimits()
    name = os.path.basename(os.fsencode(source)) if isinstance(source, Path) else b""
    try:
        data = read_file(os.fsencode(source), limits.max_bytes)[0] if isinstance(source, Path) else source
        digest = hashlib.sha256(data).digest()
        kept = look_up(store, digest, side) if store is not None else None
        if kept is not None:
            return kept
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _, image = open_upright(data, limits, keep=2 * side, name=name)
    except PhotoUnreadable:
        return None
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=QUALITY)
    if store is not None:
        keep(store, digest, side, out.getvalue())
    return out.getvalue()


def kept_digests(store: Path, *, side: int = SIDE) -> set[bytes]:
    """The SHA-256 of every picture whose thumbnail is kept."""
    with contextlib.suppress(sqlite3.Error):
        with contextlib.closing(_open_to_read(store)) as connection:
            query = "SELECT sha256 FROM thumbs WHERE side = ?"
            rows = connection.execute(query, (side,))
            return {row[0] for row in rows if isinstance(row[0], bytes)}
    return set()


def keep_only(store: Path, digests: set[bytes]) -> None:
    """Drop the thumbnails of all other pictures, by their SHA-256, and give back the room."""
    if not store.exists() or store.is_symlink():
        return
    # The store is derived: where it cannot be written it stays as it is.
    with contextlib.suppress(sqlite3.Error):
        with contextlib.closing(sqlite3.connect(store, timeout=1, isolation_level=None)) as connection:
            # A damaged row may hold anything but bytes.
            kept = {row[0] for row in connection.execute("SELECT DISTINCT sha256 FROM thumbs")}
            connection.execute("BEGIN")
            connection.executemany("DELETE FROM thumbs WHERE sha256 IS ?", [(d,) for d in kept - digests])
            connection.execute("COMMIT")
            if kept - digests:
                connection.execute("VACUUM")


def look_up(store: Path, digest: bytes, side: int) -> bytes | None:
    """The kept thumbnail of a picture, by the SHA-256 of its bytes; None where there is none."""
    # The store is derived: where it cannot be read, the picture is made again.
    with contextlib.suppress(sqlite3.Error):
        with contextlib.closing(_open_to_read(store)) as connection:
            query = "SELECT jpeg FROM thumbs WHERE sha256 = ? AND side = ?"
            row = connection.execute(query, (digest, side)).fetchone()
            known = row is not None and isinstance(row[0], bytes)
            return _unsealed(digest, row[0]) if known else None
    return None


def _open_to_read(store: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{store.absolute().as_uri()}?mode=ro", uri=True, timeout=1)


def keep(store: Path, digest: bytes, side: int, jpeg: bytes) -> None:
    """Keep the thumbnail of a picture, where the store can be written."""
    if store.is_symlink():
        return
    # A read-only folder or a full disk takes nothing from the answer.
    with contextlib.suppress(sqlite3.Error):
        with contextlib.closing(sqlite3.connect(store, timeout=1)) as connection, connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS thumbs (sha256 BLOB, side INTEGER, jpeg BLOB NOT NULL, "
                "PRIMARY KEY (sha256, side)) WITHOUT ROWID"
            )
            row = (digest, side, jpeg + _seal(digest, jpeg))
            connection.execute("INSERT OR REPLACE INTO thumbs VALUES (?, ?, ?)", row)


def _seal(digest: bytes, jpeg: bytes) -> bytes:
    return zlib.crc32(jpeg, zlib.crc32(digest)).to_bytes(4, "little")


def _unsealed(digest: bytes, kept: bytes) -> bytes | None:
    """The JPEG without the CRC-32 behind it, or None when that does not hold."""
    return kept[:-4] if kept[-4:] == _seal(digest, kept[:-4]) else None
