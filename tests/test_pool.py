"""Decoding processes: each file its own pixels, and what becomes of the late, the dead and the orphans."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from conftest import picture
from test_processes import is_running, wait_for, workers_of

from simsearch.framing import Framing
from simsearch.media.decode import decode
from simsearch.media.pool import DecodePool
from simsearch.records import Decoded, Known, NotAnImage, Outcome, Unreadable

FRAMING = Framing(232, 224)


@pytest.fixture
def files(tmp_path: Path) -> list[bytes]:
    for i in range(40):
        picture(i).save(tmp_path / f"{i:02d}.jpg")
    return [os.fsencode(path) for path in sorted(tmp_path.glob("*.jpg"))]


def assert_own_pixels(path: bytes, outcome: Outcome) -> None:
    data = Path(os.fsdecode(path)).read_bytes()
    assert isinstance(outcome, Decoded)
    assert outcome.digest == hashlib.sha256(data).digest()
    assert np.array_equal(outcome.pixels, decode(data, FRAMING)[1])
    found = os.stat(path)
    assert (outcome.stat.size, outcome.stat.mtime_ns) == (found.st_size, found.st_mtime_ns)


def test_each_file_gets_its_own_pixels_from_four_threads(files: list[bytes]) -> None:
    with DecodePool(2, FRAMING) as pool, ThreadPoolExecutor(4) as threads:
        for path, outcome in zip(files, threads.map(pool.read, files), strict=True):
            assert_own_pixels(path, outcome)


def test_known_bytes_are_not_decoded_and_others_are_told_apart(files: list[bytes], tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("words")
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8\xff\xe0 bad")
    with DecodePool(1, FRAMING) as pool:
        known = pool.read(files[0], lambda digest: True)
        assert isinstance(known, Known)
        assert known.digest == hashlib.sha256(Path(os.fsdecode(files[0])).read_bytes()).digest()
        assert pool.read(os.fsencode(tmp_path / "notes.txt")) == NotAnImage()
        bad = pool.read(os.fsencode(tmp_path / "bad.jpg"))
        assert isinstance(bad, Unreadable)
        assert not bad.transient
        gone = pool.read(os.fsencode(tmp_path / "gone.jpg"))
        assert isinstance(gone, Unreadable)
        assert gone.transient
        assert_own_pixels(files[1], pool.read(files[1]))


def test_a_killed_worker_costs_one_file_and_the_next_ones_get_their_own_pixels(files: list[bytes]) -> None:
    with DecodePool(1, FRAMING) as pool:
        assert_own_pixels(files[0], pool.read(files[0]))
        [worker] = workers_of(os.getpid())

        def kill(_: bytes) -> bool:
            os.kill(worker, signal.SIGKILL)
            return False

        lost = pool.read(files[1], kill)
        assert lost == Unreadable("the decoder crashed on it", transient=False)
        for path in files[2:6]:
            assert_own_pixels(path, pool.read(path))
        [another] = workers_of(os.getpid())
        assert another != worker
    wait_for(lambda: not is_running(another), 5)


def test_a_late_file_is_transient(files: list[bytes]) -> None:
    with DecodePool(1, FRAMING, seconds=0.0) as pool:
        late = pool.read(files[0])
    assert isinstance(late, Unreadable)
    assert late.transient
    assert "longer than 0 s" in late.reason


def test_no_worker_outlives_a_parent_that_was_killed(files: list[bytes]) -> None:
    code = (
        "import sys, time; from simsearch.framing import Framing\n"
        "from simsearch.media.pool import DecodePool\n"
        "pool = DecodePool(2, Framing(232, 224)); pool.read(sys.argv[1].encode())\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, os.fsdecode(files[0])], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"ready\n"
    workers = workers_of(parent.pid)
    assert len(workers) == 1
    parent.kill()
    parent.wait()
    parent.stdout.close()
    began = time.monotonic()
    wait_for(lambda: not any(is_running(pid) for pid in workers), 10)
    assert time.monotonic() - began < 10


def test_hostile_files_neither_hang_nor_stop_the_pool(shared_data: Path, files: list[bytes]) -> None:
    hostile = sorted(os.fsencode(p) for p in (shared_data / "hostile").iterdir() if p.is_file())
    with DecodePool(2, FRAMING) as pool, ThreadPoolExecutor(2) as threads:
        outcomes = list(threads.map(pool.read, hostile))
        assert_own_pixels(files[0], pool.read(files[0]))
    assert sum(isinstance(outcome, Decoded) for outcome in outcomes) > 100
    assert sum(isinstance(outcome, Unreadable) for outcome in outcomes) > 10
