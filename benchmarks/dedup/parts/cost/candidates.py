"""A process of its own: candidates of many pictures by vectors, by hashes or by words.

python -m benchmarks.dedup.parts.cost.candidates KIND FOLDER ROWS prints seconds and memory as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.dedup.parts.cost.children import begun
from benchmarks.dedup.parts.cost.made import hash_table, points_of
from benchmarks.search.data.collection import Collection
from simsearch.dedup.candidates.hashing import NearestHashes
from simsearch.dedup.candidates.nearest import NearestPictures, neighbours_for
from simsearch.dedup.candidates.pairs import HASHED, WORDED
from simsearch.dedup.candidates.words import POINTS, SharedWords, Words, drawn
from simsearch.engine.index import Index
from simsearch.views.exact import one_thread

ASKED, ASSIGNED = 200, 300
ALL_ASKED = 100_000
"""Of more pictures, so many ask for their nearest hashes, and the seconds are scaled."""


def vectors(folder: Path, rows: int) -> dict[str, Any]:
    """The neighbours of all pictures of an index by whitened vectors, as an array of places."""
    before, started = begun(), time.perf_counter()
    k = neighbours_for(rows) + 1
    table = np.full((rows, k), -1, dtype=np.int32)
    with Index.open(Collection.at(folder).index) as index:
        cpu = time.process_time()

        def rows_at(places: NDArray[np.int64]) -> NDArray[np.float32]:
            return index.vectors((places + 1).tolist())

        done = 0
        for found, _ in NearestPictures(rows_at, rows).search(rows_at, rows, k):
            table[done : done + len(found)] = found
            done += len(found)
        spent = time.process_time() - cpu
    return {"cpu_s": spent, "wall_s": time.perf_counter() - started, "begun_mib": before, "k": k}


def hashes(folder: Path, rows: int) -> dict[str, Any]:
    """The nearest of made hashes by PDQ over eight forms; the hashes themselves count as memory."""
    before, some = begun(), min(rows, ALL_ASKED)
    table = hash_table(folder, rows)
    cpu, started = time.process_time(), time.perf_counter()
    nearest = NearestHashes(table)
    built = time.process_time()
    nearest.nearest(table[:some], HASHED, itself=True)
    asking = (time.process_time() - built) * rows / some
    return {
        "cpu_s": built - cpu + asking,
        "wall_s": time.perf_counter() - started if some == rows else None,
        "begun_mib": before,
    }


def words(folder: Path, rows: int) -> dict[str, Any]:
    """Shared words: lists of full size; of the looking up and the asking a sample, scaled to all pictures."""
    before, kept = begun(), points_of(folder, POINTS)
    cpu = time.process_time()
    vocabulary = drawn(rows, kept)
    if vocabulary is None:
        raise SystemExit("there are too few points for a vocabulary")
    learning = time.process_time() - cpu
    with one_thread():
        features = [kept(place) for place in range(ASSIGNED)]
        cpu = time.process_time()
        sample = [vocabulary.words(one.descriptors) for one in features]
        mirrored = [vocabulary.words(one.descriptors, mirror=True) for one in features]
        a_lookup = (time.process_time() - cpu) / ASSIGNED
        cpu = time.process_time()
        shared = SharedWords(_drawn(sample, rows), rows, vocabulary)
        listing = time.process_time() - cpu
        cpu = time.process_time()
        for one in (*sample[:ASKED], *mirrored[:ASKED]):
            shared.nearest(one, WORDED + 1)
        asking = (time.process_time() - cpu) / ASKED
    return {
        "cpu_s": learning + listing + rows * (a_lookup + asking),
        "wall_s": None,
        "begun_mib": before,
        "learning_s": learning,
        "lookup_ms": a_lookup * 1e3,
        "asking_ms": asking * 1e3,
    }


def _drawn(sample: list[Words], rows: int) -> Iterator[Words]:
    """Words for so many pictures, as often as they are in the sample."""
    found = np.concatenate(sample)
    length, chance = round(len(found) / len(sample)), np.random.default_rng(2)
    for _ in range(rows):
        yield np.unique(found[chance.integers(len(found), size=length)])


KINDS = {"vectors": vectors, "hashes": hashes, "words": words}

if __name__ == "__main__":
    print(json.dumps(KINDS[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]))))
