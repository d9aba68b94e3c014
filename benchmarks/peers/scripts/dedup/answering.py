"""What each script of this folder reads and writes: the task's files, and scores of queries and originals."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.scripts.photos.telling import tell

BEST = 50
QUERIES_AT_A_TIME = 256


@dataclass(frozen=True, slots=True)
class Files:
    """The task as a script gets it: {"originals": [PATH], "queries": [PATH]}."""

    originals: list[str]
    queries: list[str]

    @property
    def all(self) -> list[str]:
        """Each file once, the originals first."""
        return list(dict.fromkeys(self.originals + self.queries))


def read(task: str) -> Files:
    """The task out of its JSON file."""
    told = json.loads(Path(task).read_text(encoding="utf-8"))
    return Files(told["originals"], told["queries"])


def answer(
    files: Files, out: str, scored: Callable[[], NDArray[Any]], did: str, packages: Sequence[str]
) -> None:
    """Write the best 50 originals of each query into `out`, an .npz, and tell what it took.

    `scored` does the work and returns scores (queries, originals), larger for what is more alike; NaN where
    a file could not be read. The .npz holds queries and originals (indices) and scores, of equal length.
    """
    started = time.perf_counter()
    scores = scored()
    seconds = time.perf_counter() - started
    scores = np.where(np.isnan(scores), -np.inf, scores)
    kept = min(BEST, scores.shape[1])
    best = np.argsort(-scores, axis=1, kind="stable")[:, :kept]
    values = np.take_along_axis(scores, best, axis=1).ravel()
    queries = np.repeat(np.arange(len(scores)), kept)
    fit = np.isfinite(values)
    np.savez(out, queries=queries[fit], originals=best.ravel()[fit], scores=values[fit])
    tell(len(files.all), seconds, did, *packages)


def by_cosine(files: Files, vectors: dict[str, NDArray[Any]]) -> NDArray[Any]:
    """Cosines (queries, originals) of the files' vectors; NaN where a file has none."""
    dim = len(next(iter(vectors.values())))
    missing = np.full(dim, np.nan, dtype=np.float32)
    left, right = (
        np.stack([np.asarray(vectors.get(path, missing), dtype=np.float32) for path in paths])
        for paths in (files.queries, files.originals)
    )
    for side in (left, right):
        side /= np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-12)
    return np.asarray(left @ right.T)


def by_bits(queries: NDArray[np.uint8], originals: NDArray[np.uint8]) -> NDArray[Any]:
    """Equal bits (queries, originals) of hashes (queries, bytes) and (originals, forms, bytes); best form."""
    parts = []
    for start in range(0, len(queries), QUERIES_AT_A_TIME):
        apart = queries[start : start + QUERIES_AT_A_TIME, None, None, :] ^ originals[None]
        parts.append(np.bitwise_count(apart).sum(axis=3).min(axis=2))
    return np.asarray(queries.shape[1] * 8 - np.concatenate(parts).astype(np.float32))
