"""Made pictures that have corners to hold on to, and an index of them that needs no network."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from simsearch.engine.append import NewContent
from simsearch.engine.create import create_index, prepare_folder
from simsearch.engine.disk import file_stat
from simsearch.records import Facts
from simsearch.spec import EmbeddingSpec
from simsearch.storage.writer import FileChange, put_root

DIM = 8


def scene(seed: int, size: tuple[int, int] = (480, 320)) -> Image.Image:
    """Many rectangles, others for each seed."""
    rng = np.random.default_rng(seed)
    made = Image.new("RGB", size, "grey")
    brush = ImageDraw.Draw(made)
    for _ in range(350):
        x, y = (int(rng.integers(0, side)) for side in size)
        colour = tuple(int(value) for value in rng.integers(0, 256, 3))
        brush.rectangle((x, y, x + int(rng.integers(4, 40)), y + int(rng.integers(4, 40))), fill=colour)
    return made


def enter(photos: Path, index: Path) -> None:
    """Make an index of all files below a folder, with random vectors: copies are found by the rest."""
    rng, made, changes = np.random.default_rng(0), {}, []
    prepare_folder(index)
    with create_index(
        index, EmbeddingSpec.named("made", DIM), weights_path="", fallback=None, note=print
    ) as opened:
        with opened.database.write() as connection:
            root = put_root(connection, os.fsencode(photos))
        for path in sorted(path for path in photos.rglob("*") if path.is_file()):
            digest = hashlib.sha256(path.read_bytes()).digest()
            vector = rng.standard_normal(DIM).astype(np.float32)
            with Image.open(path) as picture:
                facts = Facts(*picture.size, picture.format or "", None)
            made[digest] = NewContent(digest, facts, vector / np.linalg.norm(vector))
            stat = file_stat(os.fsencode(path))
            assert stat is not None
            name = os.fsencode(path.relative_to(photos))
            changes.append(FileChange(root.id, name, stat, time.time_ns(), digest=digest))
        opened.commit(list(made.values()), changes)
