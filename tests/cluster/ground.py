"""A folder with all that happens to files, and what an index holds, read by sqlite3 and NumPy."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from conftest import age, picture
from numpy.typing import NDArray
from oracle import read_index

from simsearch.engine.cluster.shards.format import MAGIC

LITE0 = "efficientnet_lite0"


def collection(folder: Path, photos: int = 40) -> Path:
    """`photos` different pictures, three copies of some, an odd name, and five files that are no pictures."""
    for number in range(photos):
        place = folder / ("a" if number % 2 else "b")
        place.mkdir(parents=True, exist_ok=True)
        picture(number).save(place / f"{number:04d}.jpg", quality=92)
    for name, source in (
        ("a/0001 copy.jpg", "a/0001.jpg"),
        ("z.jpg", "b/0000.jpg"),
        ("zz.jpg", "a/0001.jpg"),
    ):
        shutil.copyfile(folder / source, folder / name)
    odd = os.fsencode(folder) + b"/\xff\n.jpg"
    with open(odd, "wb") as file:
        picture(1000).save(file, "JPEG")
    whole = (folder / "b" / "0002.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 3])
    (folder / "cut again.jpg").write_bytes(whole[: len(whole) // 3])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "page.jpg").write_bytes(b"<html>not found</html>")
    (folder / "notes.txt").write_text("no picture")
    age(folder)
    return folder


PICTURES, EMBEDDED, SKIPPED = 44, 41, 4
"""Of `collection` with 40 photos: files that end in the index, different ones of them, and those skipped."""


def files_of(index: Path) -> dict[bytes, tuple[Any, ...]]:
    """By path: size, mtime, inode, why it is skipped, digest, width, height, format, time."""
    with closing(sqlite3.connect(index / "index.db")) as connection:
        rows = connection.execute(
            "SELECT r.path, f.relpath, f.size, f.mtime_ns, f.inode, f.reason, f.transient, c.sha256, "
            "c.width, c.height, c.format, c.taken_at FROM files f JOIN roots r ON r.id = f.root_id "
            "LEFT JOIN contents c ON c.id = f.content_id"
        ).fetchall()
    return {os.path.join(root, relpath): tuple(rest) for root, relpath, *rest in rows}


def vectors_of(index: Path) -> dict[str, NDArray[np.float32]]:
    """The vector of each path."""
    truth = read_index(index)
    return {path: row for paths, row in zip(truth.paths, truth.vectors, strict=True) for path in paths}


def labels_of(index: Path) -> dict[tuple[bytes, int], int]:
    """By digest and class: millionths."""
    with closing(sqlite3.connect(index / "index.db")) as connection:
        rows = connection.execute(
            "SELECT c.sha256, l.class, l.millionths FROM labels l JOIN contents c ON c.id = l.content_id"
        ).fetchall()
    return {(digest, number): millionths for digest, number, millionths in rows}


def assert_same(index: Path, other: Path) -> None:
    """Row for row by path the same; one row a picture."""
    assert files_of(index) == files_of(other)
    mine, theirs = vectors_of(index), vectors_of(other)
    assert mine.keys() == theirs.keys()
    for path, row in mine.items():
        assert float(row @ theirs[path]) > 0.9999
        assert np.abs(row - theirs[path]).max() < 1e-4
    labels, others = labels_of(index), labels_of(other)
    differing = labels.keys() ^ others.keys()
    # The fifth of five that are equally improbable may be another one.
    assert len(differing) <= len(labels) // 50
    assert all(abs(labels[key] - others[key]) <= 100 for key in labels.keys() & others.keys())
    assert rows_of(index) == rows_of(other)


def rows_of(index: Path) -> tuple[int, int]:
    """How many pictures, and how many vectors."""
    with closing(sqlite3.connect(index / "index.db")) as connection:
        counts = [
            connection.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in ("contents", "vectors")
        ]
    return counts[0], counts[1]


def shards_in(index: Path) -> list[Path]:
    """Shards that wait to be committed."""
    return sorted((index / "shards").glob("*.shard"))


def pictures_in(shard: Path) -> Iterator[str]:
    """The paths of a shard that have a vector, by the bytes of the file alone."""
    import json

    data = shard.read_bytes()
    assert data.startswith(MAGIC)
    size = int.from_bytes(data[8:16], "little")
    for told in json.loads(data[16 : 16 + size])["files"]:
        if told["kind"] == "picture":
            yield told["path"]
