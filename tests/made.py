"""An index of made vectors and tiny photos, large enough for an approximate view."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from conftest import age, picture

from simsearch.engine.exchange.importing import import_embeddings
from simsearch.engine.exchange.origin import Origin

ENOUGH = 1020
DIM = 16


def made_index(work: Path) -> tuple[Path, Path]:
    """The photos and the index, both below `work`; the index compares every row until a view is built."""
    photos, index = work / "tiny", work / "made"
    photos.mkdir()
    lines = ["path"]
    for n in range(ENOUGH):
        picture(n, (8, 8)).save(photos / f"{n:05d}.png", compress_level=1)
        lines.append(str(photos / f"{n:05d}.png"))
    age(photos)
    np.save(work / "made.npy", np.random.default_rng(0).standard_normal((ENOUGH, DIM)).astype(np.float32))
    (work / "made.csv").write_text("\n".join(lines) + "\n")
    import_embeddings(Origin(work / "made.npy", work / "made.csv", name="made"), index)
    return photos, index
