"""An index of made vectors: pictures at stated angles on a circle, so that ranks are worked out by hand."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import numpy as np
from conftest import age, picture
from numpy.typing import NDArray

from simsearch.engine.exchange.importing import import_embeddings
from simsearch.engine.exchange.origin import Origin


def made(work: Path, rows: dict[str, NDArray[np.float64]], copies: dict[str, str] | None = None) -> Path:
    """An index of tiny pictures with these vectors, by their names; `copies` are files with equal bytes."""
    photos = work / "photos"
    for number, name in enumerate(rows):
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        picture(number, (8, 8)).save(photos / name)
    for copy, name in (copies or {}).items():
        (photos / copy).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(photos / name, photos / copy)
    age(photos)
    names = [*rows, *(copies or {})]
    vectors = [rows[(copies or {}).get(name, name)] for name in names]
    np.save(work / "rows.npy", np.array(vectors, dtype=np.float32))
    (work / "rows.csv").write_text("\n".join(["path", *(str(photos / name) for name in names)]) + "\n")
    import_embeddings(Origin(work / "rows.npy", work / "rows.csv", name="made"), work / "index")
    return work / "index"


def on_a_circle(work: Path, degrees: dict[str, float], copies: dict[str, str] | None = None) -> Path:
    """`made` of unit vectors in two dimensions at these angles: the smaller the angle, the closer."""
    return made(work, {name: np.array(_point(angle)) for name, angle in degrees.items()}, copies)


def _point(degrees: float) -> tuple[float, float]:
    return math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
