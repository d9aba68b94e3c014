"""Which tiles: every layout on one half of the photos, by vectors of all their tiles made once."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.report import Report, Table
from benchmarks.tiles.crops import KINDS, class_of, crops_of, half_of
from simsearch.framing import Tiling, frame, frame_tiles
from simsearch.models.embedder import Embedder

LAYOUTS: dict[str, tuple[tuple[int, int], ...]] = {
    "no tiles": (),
    "2 x 2 of 1/2": ((500, 2),),
    "2 x 2 of 2/3": ((667, 2),),
    "3 x 3 of 1/3": ((333, 3),),
    "3 x 3 of 1/2": ((500, 3),),
    "2 x 2 of 2/3 and 3 x 3 of 1/2": ((667, 2), (500, 3)),
    "4 x 4 of 2/5": ((400, 4),),
    "3 x 3 of 1/2 and 3 x 3 of 1/3": ((500, 3), (333, 3)),
}

Vectors = NDArray[np.float32]


def layouts(folder: Path, embedder: Embedder) -> Report:
    """Hits in the first five places and mean average precision, for each layout."""
    photos = half_of(folder, odd=False)
    grids = sorted({grid for layout in LAYOUTS.values() for grid in layout})
    parts = {grid: Tiling((grid,)) for grid in grids}
    whole = np.concatenate(
        [embedder.embed(frame(_load(photo), embedder.spec.framing)[None]) for photo in photos]
    )
    tiles = {grid: _tiles(photos, embedder, tiling) for grid, tiling in parts.items()}
    asked = {kind: _asked(photos, embedder, share) for kind, share in KINDS.items()}
    classes = np.array([class_of(photo) for photo in photos])
    rows: list[tuple[str | float | int, ...]] = []
    raw: dict[str, Any] = {}
    for name, layout in LAYOUTS.items():
        vectors = np.concatenate([whole[:, None], *(tiles[grid] for grid in layout)], axis=1)
        found = [hit_rates(query, right, vectors) for query, right in asked.values()]
        precision = mean_average_precision(_scores(whole, vectors), classes)
        rates = [rate for pair in found for rate in pair]
        raw[name] = {"vectors": vectors.shape[1], "rates": rates, "mAP": precision}
        rows.append((name, vectors.shape[1], *(f"{100 * rate:.1f} %" for rate in rates), f"{precision:.4f}"))
    firsts = [f"{kind}, first {count}" for kind in KINDS for count in (1, 5)]
    columns = ("tiles", "vectors a photo", *firsts, "mAP of whole photos")
    title = f"Layouts: crops that find their photo among {len(photos)}, {embedder.spec.backbone}"
    return Report(
        "tiles-layouts",
        f"python -m benchmarks tiles --part layouts --photos {folder.name}",
        (Table(title, columns, tuple(rows)),),
        raw,
    )


def hit_rates(queries: Vectors, right: NDArray[np.int64], vectors: Vectors) -> tuple[float, float]:
    """The share of queries whose photo is the first, and among the first five; its best part counts."""
    scores = _scores(queries, vectors)
    ahead = (scores > scores[np.arange(len(right)), right][:, None]).sum(axis=1)
    return float((ahead < 1).mean()), float((ahead < 5).mean())


def mean_average_precision(scores: NDArray[np.float32], classes: NDArray[np.int64]) -> float:
    """Each photo asks for the others of its class; `scores` are (n, n)."""
    scores = scores.copy()
    np.fill_diagonal(scores, -np.inf)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :-1]
    right = classes[order] == classes[:, None]
    precision = np.cumsum(right, axis=1) / np.arange(1, right.shape[1] + 1)
    return float(np.mean((precision * right).sum(axis=1) / right.sum(axis=1)))


def _scores(queries: Vectors, vectors: Vectors) -> NDArray[np.float32]:
    parts = [queries @ vectors[:, part].T for part in range(vectors.shape[1])]
    best: NDArray[np.float32] = np.max(parts, axis=0)
    return best


def _tiles(photos: list[Path], embedder: Embedder, tiling: Tiling) -> Vectors:
    framing = embedder.spec.framing
    return np.stack([embedder.embed(frame_tiles(_load(photo), framing, tiling)) for photo in photos])


def _asked(photos: list[Path], embedder: Embedder, share: float) -> tuple[Vectors, NDArray[np.int64]]:
    crops = crops_of(photos, share)
    framing = embedder.spec.framing
    vectors = [embedder.embed(frame(_load(io.BytesIO(crop.data)), framing)[None])[0] for crop in crops]
    return np.stack(vectors), np.array([photos.index(crop.photo) for crop in crops])


def _load(source: Path | io.BytesIO) -> Image.Image:
    with Image.open(source) as image:
        return image.convert("RGB")
