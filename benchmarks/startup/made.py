"""A large index in a minute: a few photos that are really indexed, and many made vectors of their model."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.children import run_child, simsearch
from simsearch.engine.append import NewContent
from simsearch.engine.create import open_for_writing
from simsearch.records import Facts, FileStat
from simsearch.storage import catalog
from simsearch.storage.lock import WriterLock
from simsearch.storage.writer import FileChange

BLOCK = 2000
CENTRES, LATENT = 400, 24
FACTS = Facts(width=384, height=256, format="JPEG")


def make_index(photos: Path, index: Path, model: tuple[str, ...], rows: int) -> None:
    """Index the photos, add made vectors until there are so many rows, and build the view."""
    run_child(simsearch("index", photos, "-i", index, *model, "-q"))
    with WriterLock(index):
        with open_for_writing(index, lambda _: None) as opened:
            with opened.database.read() as connection:
                [root] = catalog.read_roots(connection)
            number = 0
            for block in vectors(rows - len(opened), opened.spec.dim):
                new, changes = [], []
                for vector in block:
                    number += 1
                    name = f"made/{number:07d}.jpg".encode()
                    digest = hashlib.sha256(name).digest()
                    new.append(NewContent(digest, FACTS, vector))
                    stat = FileStat(size=number, mtime_ns=number, inode=number, device=0)
                    changes.append(FileChange(root.id, name, stat, time.time_ns(), digest=digest))
                opened.commit(new, changes)
    run_child(simsearch("rebuild", "-i", index, "-q"))


def vectors(count: int, dim: int) -> Iterator[NDArray[np.float32]]:
    """Unit vectors without negative numbers, clustered, of few dimensions: easy to search, large to hold."""
    chance = np.random.default_rng(0)
    centres = chance.standard_normal((CENTRES, LATENT), dtype=np.float32)
    outward = chance.standard_normal((LATENT, dim), dtype=np.float32) / LATENT**0.5
    for start in range(0, count, BLOCK):
        size = min(BLOCK, count - start)
        block = chance.standard_normal((size, LATENT), dtype=np.float32) / 2
        block += centres[chance.integers(0, CENTRES, size)]
        block = block @ outward
        block += chance.standard_normal((size, dim), dtype=np.float32) / 10
        np.maximum(block, 0, out=block)
        block /= np.linalg.norm(block, axis=1, keepdims=True)
        yield block
