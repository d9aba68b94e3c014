"""The unit costs that no other case has: the database, a commit, a digest, and k-means, on made rows."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

from benchmarks.report import Report, Table
from simsearch.engine.append import NewContent
from simsearch.engine.create import create_index, prepare_folder
from simsearch.engine.index import Index
from simsearch.engine.viewing.record import file_digest
from simsearch.records import Facts, FileStat
from simsearch.spec import EmbeddingSpec
from simsearch.storage import writer
from simsearch.storage.lock import WriterLock
from simsearch.storage.writer import FileChange
from simsearch.views.exact import one_thread

COMMIT = 256
"""Photos a commit, as an indexing run has them."""

DIM = 64
"""The database does not know how long a vector is: short ones are quicker to make."""

LABELS = tuple((number, 1_000_000 // (number + 2)) for number in range(5))
FACTS = Facts(4000, 3000, "JPEG", taken_at="2024-05-17T10:20:30")
REDUCED, LISTS, ROUNDS, A_LIST = 256, 1024, 10, 40


def report(rows: int) -> Report:
    """What `rows` photos cost the database, and two rates of this machine."""
    with tempfile.TemporaryDirectory() as folder:
        database = _database(Path(folder) / "index", rows)
        digest = _digest_rate(Path(folder) / "file")
    figures: dict[str, float] = {
        "rows": rows,
        **database,
        "digest_mb_s": digest,
        "kmeans_gflops": _kmeans_rate(),
    }
    shown = (
        ("index.db, bytes a photo with its labels", figures["bytes_a_photo"]),
        ("a commit's CPU, ms a photo", figures["commit_cpu_ms"]),
        ("one writer that only commits, photos/s", figures["commit_rate"]),
        ("SHA-256 of a file that the kernel holds, MB/s", figures["digest_mb_s"]),
        ("k-means on one thread, GFLOP a CPU second", figures["kmeans_gflops"]),
    )
    note = (
        f"Commits of {COMMIT} photos with paths of 48 bytes and five labels each, as an indexing run makes "
        f"them; bytes are those that the second half added. k-means: {LISTS:,} lists of rows of {REDUCED}."
    )
    title = f"Unit costs from {rows:,} made photos"
    command = f"python -m benchmarks scale --part units --rows {rows}"
    return Report("scale-units", command, (Table(title, ("what", "measured"), shown, note),), figures)


def _database(folder: Path, rows: int) -> dict[str, float]:
    prepare_folder(folder)
    spec = EmbeddingSpec.named("made", DIM)
    vector = np.full(DIM, DIM**-0.5, dtype=np.float32)
    with WriterLock(folder):
        with create_index(folder, spec, weights_path="", fallback=None, note=lambda _: None) as index:
            with index.database.write() as connection:
                root = writer.put_root(connection, b"/photos").id
            half = max(1, rows // (2 * COMMIT)) * COMMIT
            _commit(index, root, vector, 0, half)
            before, cpu, started = _bytes(index), time.process_time(), time.perf_counter()
            _commit(index, root, vector, half, 2 * half)
            wall, cpu = time.perf_counter() - started, time.process_time() - cpu
            return {
                "bytes_a_photo": (_bytes(index) - before) / half,
                "commit_cpu_ms": cpu / half * 1000,
                "commit_rate": half / wall,
            }


def _bytes(index: Index) -> int:
    return int(index.database.pragma("page_count")) * int(index.database.pragma("page_size"))


def _commit(index: Index, root: int, vector: NDArray[np.float32], first: int, last: int) -> None:
    for start in range(first, last, COMMIT):
        new, changes = [], []
        for number in range(start, start + COMMIT):
            digest = hashlib.sha256(b"%d" % number).digest()
            name = b"pictures/%04d/a name of the usual length %08d.jpg" % (number // 1000, number)
            new.append(NewContent(digest, FACTS, vector, LABELS))
            stat = FileStat(4_000_000, time.time_ns(), number + 1, 66_000)
            changes.append(FileChange(root, name, stat, time.time_ns(), digest=digest))
        index.commit(new, changes)


def _digest_rate(path: Path) -> float:
    path.write_bytes(os.urandom(1 << 20) * 256)
    file_digest(path)
    started = time.process_time()
    file_digest(path)
    return path.stat().st_size / 1e6 / (time.process_time() - started)


def _kmeans_rate() -> float:
    """Products and sums of FAISS's k-means as the lists of a view are trained, in 10^9 a CPU second."""
    rows = np.random.default_rng(0).standard_normal((A_LIST * LISTS, REDUCED), dtype=np.float32)
    with one_thread():
        means = faiss.Kmeans(REDUCED, LISTS, niter=ROUNDS, max_points_per_centroid=A_LIST)
        started = time.process_time()
        means.train(rows)
    return 2 * REDUCED * LISTS * len(rows) * ROUNDS / (time.process_time() - started) / 1e9
