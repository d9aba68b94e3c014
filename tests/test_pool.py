"""Workers: the right pixels for each file, and what a crash, a late answer or the parent's death leave."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from children import is_running, wait_for, workers_of
from conftest import REPO, picture
from PIL import Image

from simsearch.framing import Framing
from simsearch.media.decode import DecodeLimits, decode
from simsearch.media.pool import MEMORY, DecodePool
from simsearch.records import Decoded, Known, NotAnImage, Unreadable

FRAMING = Framing(36, 32)
Maker = Callable[[int], Path]


def solid(path: Path, colour: tuple[int, int, int]) -> bytes:
    Image.new("RGB", (64, 48), colour).save(path, "PNG")
    return bytes(path)


def is_solid(outcome: object, colour: tuple[int, int, int]) -> bool:
    return isinstance(outcome, Decoded) and bool((outcome.pixels == colour).all())


def test_every_file_gets_its_own_pixels_from_four_threads(small_photos: Maker) -> None:
    files = sorted(p for p in small_photos(40).rglob("*.jpg"))
    with DecodePool(2, FRAMING) as pool, ThreadPoolExecutor(4) as threads:
        outcomes = list(threads.map(lambda p: pool.read(bytes(p)), files * 3))
        assert len(workers_of(os.getpid())) <= 2
    for path, outcome in zip(files * 3, outcomes, strict=True):
        data, stat = path.read_bytes(), path.stat()
        facts, pixels = decode(data, FRAMING)
        assert isinstance(outcome, Decoded)
        assert np.array_equal(outcome.pixels, pixels)
        assert (outcome.digest, outcome.facts) == (hashlib.sha256(data).digest(), facts)
        assert (outcome.stat.size, outcome.stat.mtime_ns) == (stat.st_size, stat.st_mtime_ns)


def test_a_known_file_is_not_decoded(tmp_path: Path) -> None:
    # Its signature says PNG, the rest cannot be decoded: only one that is not decoded comes back as known.
    data = b"\x89PNG\r\n\x1a\n" + b"no picture at all"
    (tmp_path / "a.png").write_bytes(data)
    path, asked = bytes(tmp_path / "a.png"), []

    def known(digest: bytes) -> bool:
        asked.append((digest, threading.get_ident()))
        return True

    with DecodePool(1, FRAMING) as pool:
        outcome = pool.read(path, known)
        assert isinstance(outcome, Known)
        assert outcome.digest == hashlib.sha256(data).digest()
        assert outcome.stat.size == len(data)
        assert asked == [(outcome.digest, threading.get_ident())]
        # The worker is in step afterwards, and the same file is refused when it is not known.
        assert isinstance(pool.read(path), Unreadable)
        assert is_solid(pool.read(solid(tmp_path / "b.png", (1, 2, 3))), (1, 2, 3))


def test_an_error_of_the_caller_costs_no_worker_for_good(tmp_path: Path) -> None:
    path = solid(tmp_path / "a.png", (9, 8, 7))

    def broken(digest: bytes) -> bool:
        raise LookupError

    with DecodePool(1, FRAMING) as pool:
        with pytest.raises(LookupError):
            pool.read(path, broken)
        assert is_solid(pool.read(path), (9, 8, 7))


def test_outcomes_that_are_no_pixels(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    (tmp_path / "a.jpg").write_text("text")
    os.mkfifo(tmp_path / "b.jpg")
    with DecodePool(1, FRAMING, limits=DecodeLimits(max_bytes=1 << 20)) as pool:

        def read(name: str) -> object:
            return pool.read(bytes(tmp_path / name))

        assert read("a.txt") == NotAnImage()
        text, gone, pipe = read("a.jpg"), read("gone.jpg"), read("b.jpg")
        assert isinstance(text, Unreadable)
        assert (text.reason, text.transient) == ("not a JPEG: its content is no picture", False)
        assert text.stat is not None
        assert text.stat.size == 4
        assert gone == Unreadable("cannot be read: No such file or directory", True)
        assert isinstance(pipe, Unreadable)
        assert (pipe.reason, pipe.transient) == ("is not a regular file", True)
        (tmp_path / "big.jpg").write_bytes(b"\xff\xd8\xff" + b"\0" * (1 << 20))
        big = read("big.jpg")
        assert isinstance(big, Unreadable)
        assert (big.reason, big.transient) == ("the file is larger than 1 MiB", False)


@pytest.mark.parametrize(
    ("number", "reason", "transient"),
    [
        (signal.SIGSEGV, "the decoder crashed on it", False),
        # Nothing of the file's: the system that needs memory, or a person, ends processes like that.
        (signal.SIGKILL, "the decoder was ended from outside", True),
    ],
)
def test_a_worker_that_dies_in_the_middle_costs_one_file(
    tmp_path: Path, number: signal.Signals, reason: str, transient: bool
) -> None:
    paths = {(v, v, v): solid(tmp_path / f"{v}.png", (v, v, v)) for v in range(0, 200, 20)}

    def deadly(digest: bytes) -> bool:
        (pid,) = workers_of(os.getpid())
        os.kill(pid, number)
        wait_for(lambda: not is_running(pid))
        return False

    with DecodePool(1, FRAMING) as pool:
        for n, (colour, path) in enumerate(paths.items()):
            if n == 3:
                assert pool.read(path, deadly) == Unreadable(reason, transient)
            else:
                assert is_solid(pool.read(path), colour)


def test_a_worker_that_died_between_two_files_costs_none(tmp_path: Path) -> None:
    path = solid(tmp_path / "a.png", (5, 6, 7))
    with DecodePool(1, FRAMING) as pool:
        assert is_solid(pool.read(path), (5, 6, 7))
        (pid,) = workers_of(os.getpid())
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not is_running(pid))
        assert is_solid(pool.read(path), (5, 6, 7))


def test_a_late_answer_is_tried_again_next_time(tmp_path: Path) -> None:
    # A worker takes longer than 1 ms to start.
    path = solid(tmp_path / "a.png", (5, 6, 7))
    with DecodePool(1, FRAMING, seconds=0.001) as pool:
        assert pool.read(path) == Unreadable("took longer than 0.001 s to decode", transient=True)
        assert workers_of(os.getpid()) == []


def test_time_that_the_caller_takes_is_not_the_files(tmp_path: Path) -> None:
    path = solid(tmp_path / "a.png", (5, 6, 7))

    def slow(digest: bytes) -> bool:
        time.sleep(5.5)
        return False

    # To start a worker is the file's time; a busy machine takes a second or two for it.
    with DecodePool(1, FRAMING, seconds=5.0) as pool:
        assert is_solid(pool.read(path), (5, 6, 7))
        assert is_solid(pool.read(path, slow), (5, 6, 7))


def test_workers_start_late_and_close_ends_them(tmp_path: Path) -> None:
    path = solid(tmp_path / "a.png", (5, 6, 7))
    pool = DecodePool(3, FRAMING)
    assert workers_of(os.getpid()) == []
    pool.read(path)
    pool.read(path)
    assert len(workers_of(os.getpid())) == 1
    pool.close()
    assert workers_of(os.getpid()) == []
    pool.close()
    # Whoever still reads gets no verdict on the file that would last.
    outcome = pool.read(path)
    assert isinstance(outcome, Unreadable)
    assert outcome.transient


def test_close_ends_a_read_in_another_thread(tmp_path: Path) -> None:
    path = solid(tmp_path / "a.png", (5, 6, 7))
    pool, asked, go_on = DecodePool(1, FRAMING), threading.Event(), threading.Event()

    def waits(digest: bytes) -> bool:
        asked.set()
        return not go_on.wait(120)

    with ThreadPoolExecutor(1) as threads:
        reading = threads.submit(pool.read, path, waits)
        assert asked.wait(120)
        pool.close()
        go_on.set()
        outcome = reading.result(timeout=120)
    assert isinstance(outcome, Unreadable)
    assert outcome.transient


PARENT = """
import sys, threading
from simsearch.framing import Framing
from simsearch.media.pool import DecodePool

pool = DecodePool(2, Framing(36, 32))
def known(digest):
    if sys.argv[2] == "busy":
        print("ready", flush=True)
        threading.Event().wait()
    return False
def read():
    pool.read(sys.argv[1].encode(), known)
threads = [threading.Thread(target=read) for _ in range(2)]
[t.start() for t in threads]
[t.join() for t in threads]
print("ready", flush=True)
threading.Event().wait()
"""


@pytest.mark.parametrize("state", ["busy", "idle"])
def test_no_worker_outlives_a_killed_parent(tmp_path: Path, state: str) -> None:
    path = solid(tmp_path / "a.png", (5, 6, 7))
    command = [sys.executable, "-c", PARENT, os.fsdecode(path), state]
    with subprocess.Popen(command, cwd=REPO, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"ready\n"
        workers = workers_of(parent.pid)
        assert workers
        parent.kill()
        wait_for(lambda: not any(map(is_running, workers)))


def test_modules_where_the_user_happens_to_be_are_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = solid(tmp_path / "a.png", (5, 6, 7))
    for name in ("struct", "numpy", "simsearch", "random"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('not me')\n")
    monkeypatch.chdir(tmp_path)
    with DecodePool(1, FRAMING) as pool:
        assert is_solid(pool.read(path), (5, 6, 7))


def peak_bytes(pid: int) -> int:
    """The most memory that a process has held at once (VmHWM)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise LookupError(pid)


def test_memory_is_bounded_on_bombs(tmp_path: Path) -> None:
    # A file of a few megabytes; grey with alpha takes 4 bytes a pixel in Pillow, 676 MB, and its
    # colours as much again, and the white below it.
    bomb = tmp_path / "bomb.png"
    Image.new("LA", (13_000, 13_000)).save(bomb, compress_level=1)
    with DecodePool(1, FRAMING) as pool:
        outcome = pool.read(bytes(bomb))
        assert isinstance(outcome, Unreadable)
        assert (outcome.reason, outcome.transient) == ("needs more memory than a picture may take", False)
        (pid,) = workers_of(os.getpid())
        assert peak_bytes(pid) <= MEMORY
        assert is_solid(pool.read(solid(tmp_path / "a.png", (5, 6, 7))), (5, 6, 7))
        assert workers_of(os.getpid()) == [pid]


@pytest.mark.parametrize("folder", ["hostile", "heif"])
def test_memory_is_bounded_on_hostile_files(shared_data: Path, folder: str) -> None:
    files = sorted(p for p in (shared_data / folder).rglob("*") if p.is_file())
    with DecodePool(1, FRAMING) as pool:
        for path in files:
            outcome = pool.read(bytes(path))
            # None of them takes a worker with it.
            assert not (isinstance(outcome, Unreadable) and outcome.transient), (path.name, outcome)
        (pid,) = workers_of(os.getpid())
        assert peak_bytes(pid) < 1 << 30


def test_small_pictures_of_many_kinds_pass_one_worker_in_turn(tmp_path: Path) -> None:
    kinds = {"jpg": "JPEG", "webp": "WEBP", "tif": "TIFF", "avif": "AVIF", "gif": "GIF"}
    with DecodePool(1, FRAMING) as pool:
        for n, (suffix, format) in enumerate(kinds.items()):
            path = tmp_path / f"{n}.{suffix}"
            picture(n).save(path, format)
            outcome = pool.read(bytes(path))
            assert isinstance(outcome, Decoded)
            assert outcome.facts.format == format
            assert np.array_equal(outcome.pixels, decode(path.read_bytes(), FRAMING)[1])
