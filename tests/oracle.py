"""An index read without simsearch: sqlite3 for the rows, NumPy for the vectors and the ranking."""

from __future__ import annotations

import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

HEADER = 4096


@dataclass(frozen=True)
class Truth:
    """ids (n,), unit vectors (n, dim), the paths of each in byte order, and whether scores are centred."""

    ids: list[int]
    vectors: NDArray[np.float32]
    paths: list[list[str]]
    center: bool = False

    def seen(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Rows as scores see them: less the mean times n / (n + 30), at length 1, where they are centred."""
        wide = rows.astype(np.float64)
        if self.center:
            count = len(self.vectors)
            wide -= self.vectors.mean(axis=0, dtype=np.float64) * count / (count + 30)
            wide /= np.linalg.norm(wide, axis=1, keepdims=True)
        return wide

    def rank(self, query: NDArray[np.float32], k: int, without: str | None = None) -> list[tuple[str, float]]:
        """(first path, cosine) of the k best by brute force; at equal score by path."""
        scores = self.seen(self.vectors) @ self.seen(query[None])[0]
        rows = []
        for score, paths in zip(scores, self.paths, strict=True):
            left = [path for path in paths if path != without]
            if left:
                rows.append((left[0], float(np.float32(np.clip(score, -1, 1)))))
        return sorted(rows, key=lambda row: (-row[1], os.fsencode(row[0])))[:k]


def read_index(folder: Path) -> Truth:
    """Everything that an index can answer with, by the documented format alone (docs/format.md)."""
    connection = sqlite3.connect(folder / "index.db")
    try:
        roots = dict(connection.execute("SELECT id, path FROM roots"))
        rows = connection.execute(
            "SELECT v.id, v.segment, v.row, f.root_id, f.relpath FROM vectors v "
            "JOIN files f ON f.content_id = v.content_id WHERE v.part = 'whole' ORDER BY v.id"
        ).fetchall()
        settings = dict(connection.execute("SELECT key, value FROM settings"))
    finally:
        connection.close()
    dim = int(settings["spec"].split('"dim":')[1].split(",")[0])
    found: dict[int, tuple[int, int, list[bytes]]] = {}
    for vector_id, segment, row, root, relpath in rows:
        path = os.path.join(roots[root], relpath) if relpath else roots[root]
        found.setdefault(vector_id, (segment, row, []))[2].append(path)
    vectors = np.empty((len(found), dim), dtype=np.float32)
    for i, (segment, row, _) in enumerate(found.values()):
        with (folder / "segments" / f"{segment:06d}.seg").open("rb") as file:
            file.seek(HEADER + row * dim * 4)
            vectors[i] = np.frombuffer(file.read(dim * 4), dtype="<f4")
    paths = [[os.fsdecode(p) for p in sorted(entry[2])] for entry in found.values()]
    return Truth(list(found), vectors, paths, settings.get("center") == "on")
