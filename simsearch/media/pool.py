"""Decoding in worker processes, each with a deadline and a memory limit; a bad file costs only itself."""

from __future__ import annotations

import hashlib
import json
import os
import queue
import select
import signal
import struct
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, cast

import numpy as np

from simsearch.errors import PhotoUnreadable
from simsearch.framing import Fitting, Framing, Tiling
from simsearch.media.decode import DecodeLimits, decode
from simsearch.media.files import FileUnreadable, read_file
from simsearch.media.formats import MAX_PIXELS
from simsearch.media.worker import PING, STAT, send
from simsearch.records import Decoded, Facts, FileStat, Known, NotAnImage, Outcome, Unreadable

MEMORY = 3 << 29  # bytes of address space a worker: 1.5 GiB; more where --max-pixels is raised
SECONDS = 30.0
# Not every system has them all.
CRASHES = [
    getattr(signal, name)
    for name in ("SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL")
    if hasattr(signal, name)
]


class _Late(Exception):
    """The worker did not answer in time."""


class _Dead(Exception):
    """The worker is gone."""


class _Worker:
    """One decoding process and its two pipes."""

    def __init__(self, setup: bytes) -> None:
        package = str(Path(__file__).resolve().parents[2])
        search = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), package]))
        threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        # A session of its own: no Ctrl-C reaches it. Never forked: a fork would keep the index's lock.
        self._process = subprocess.Popen(
            # -P: modules in the folder where the user happens to be must not pass for Python's own.
            [sys.executable, "-P", "-m", "simsearch.media.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            close_fds=True,
            bufsize=0,
            env={**os.environ, **threads, "PYTHONPATH": search},
        )
        self._deadline = threading.Timer(0, self.kill)
        self._in = cast(BinaryIO, self._process.stdin)
        self._out = cast(BinaryIO, self._process.stdout)
        self.send(setup)

    def send(self, payload: bytes) -> None:
        """Write a frame."""
        try:
            send(self._in, payload)
        except (OSError, ValueError) as exc:
            raise _Dead from exc

    def receive(self, until: float) -> bytes:
        """Read a frame before the monotonic time `until`."""
        (size,) = struct.unpack(">I", self._exactly(4, until))
        return self._exactly(size, until)

    def _exactly(self, size: int, until: float) -> bytes:
        chunks: list[bytes] = []
        try:
            fd = self._out.fileno()
            while size:
                self._wait(fd, until)
                chunk = os.read(fd, min(size, 1 << 20))
                if not chunk:
                    raise _Dead
                chunks.append(chunk)
                size -= len(chunk)
        except (OSError, ValueError) as exc:
            raise _Dead from exc
        return b"".join(chunks)

    def _wait(self, fd: int, until: float) -> None:
        left = until - time.monotonic()
        if sys.platform == "win32":
            # A pipe cannot be waited for there: the process is ended when its time is up, and reading ends.
            self._deadline.cancel()
            self._deadline = threading.Timer(max(0.0, left), self.kill)
            self._deadline.daemon = True
            self._deadline.start()
            return
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        if left <= 0 or not poll.poll(left * 1000):
            raise _Late

    def kill(self) -> None:
        """End the process at once; safe from any thread."""
        self._process.kill()

    def reap(self) -> bool:
        """End the process and free its pipes; whether it had ended by a crash of its own."""
        self._process.kill()
        self._deadline.cancel()
        status = self._process.wait()
        self._in.close()
        self._out.close()
        return -status in CRASHES


class DecodePool:
    """Reads files in `workers` processes, started when first needed, replaced when they fail.

    Args:
        framing: how pixels come back: a square, or the whole picture made small.
        tiling: the tiles that come with a square; see `simsearch.media.decode.decode_parts`.
        limits: bounds on pixels and bytes.
        seconds: how long reading and decoding one file may take.
    """

    def __init__(
        self,
        workers: int,
        framing: Framing | Fitting,
        *,
        tiling: Tiling | None = None,
        limits: DecodeLimits | None = None,
        seconds: float = SECONDS,
    ) -> None:
        limits = limits or DecodeLimits()
        self.frames = 1 + (len(tiling) if tiling is not None else 0)
        self._seconds = seconds
        self._setup = json.dumps(
            {
                "framing": asdict(framing),
                "tiling": tiling.grids if tiling is not None else None,
                "limits": asdict(limits),
                "seconds": seconds,
                "memory": MEMORY * max(1.0, limits.max_pixels / MAX_PIXELS),
                "parent": os.getpid(),
            }
        ).encode()
        self._free: queue.LifoQueue[_Worker | None] = queue.LifoQueue()
        for _ in range(max(1, workers)):
            self._free.put(None)
        self._alive: set[_Worker] = set()
        self._lock = threading.Lock()
        self._closed = False

    def __enter__(self) -> DecodePool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def read(self, path: bytes, known: Callable[[bytes], bool] = lambda _: False) -> Outcome:
        """Read a file; `known(digest)`, called in this thread, says whether its bytes need no decoding.

        Thread-safe; waits for a free worker.
        """
        worker = self._free.get()
        try:
            if worker is not None and not self._is_usable(worker):
                worker = None
            worker = worker or self._start()
            outcome = self._exchange(worker, path, known)
        except _Late:
            if worker is not None:
                self._discard(worker)
                worker = None
            outcome = Unreadable(f"took longer than {self._seconds:g} s to decode", transient=True)
        except _Dead:
            crashed = worker is not None and self._discard(worker)
            worker = None
            reason = "the decoder crashed on it" if crashed else "the decoder was ended from outside"
            outcome = Unreadable(reason, transient=not crashed)
        except BaseException:
            if worker is not None:
                self._discard(worker)
                worker = None
            raise
        finally:
            self._free.put(worker)
        return outcome

    def _is_usable(self, worker: _Worker) -> bool:
        """Whether a worker still answers; one that ended between two files says nothing of the next one."""
        try:
            worker.send(PING)
            if worker.receive(time.monotonic() + self._seconds) == PING:
                return True
        except (_Late, _Dead):
            pass
        self._discard(worker)
        return False

    def close(self) -> None:
        """End all workers at once; a read that goes on in another thread comes back as unreadable."""
        with self._lock:
            self._closed = True
            alive, self._alive = self._alive, set()
        for worker in alive:
            worker.kill()
        for worker in alive:
            worker.reap()

    def _start(self) -> _Worker:
        with self._lock:
            if self._closed:
                raise _Dead
            worker = _Worker(self._setup)
            self._alive.add(worker)
            return worker

    def _discard(self, worker: _Worker) -> bool:
        """End a worker; whether it had crashed by itself."""
        with self._lock:
            mine = worker in self._alive
            self._alive.discard(worker)
        return mine and worker.reap()

    def _exchange(self, worker: _Worker, path: bytes, known: Callable[[bytes], bool]) -> Outcome:
        until = time.monotonic() + self._seconds
        worker.send(path)
        reply = worker.receive(until)
        if reply[:1] == b"N":
            return NotAnImage()
        if reply[:1] == b"U":
            return _unreadable(reply)
        digest, stat = reply[1:33], FileStat(*STAT.unpack(reply[33:]))
        asked = time.monotonic()
        if known(digest):
            worker.send(b"k")
            return Known(digest, stat)
        until += time.monotonic() - asked
        worker.send(b"g")
        reply = worker.receive(until)
        if reply[:1] == b"U":
            return _unreadable(reply)
        (size,) = struct.unpack(">I", reply[1:5])
        head = json.loads(reply[5 : 5 + size])
        frames = np.frombuffer(reply, dtype=np.uint8, offset=5 + size)
        frames = frames.reshape(1 + head["tiles"], *head["shape"])
        tiles = frames[1:] if head["tiles"] else None
        return Decoded(digest, stat, Facts(**head["facts"]), frames[0], tiles)


def decode_here(
    source: bytes | Path, framing: Framing | Fitting, limits: DecodeLimits | None = None
) -> Decoded:
    """Decode one picture in this process: a `Path`, or a picture's bytes.

    Raises PhotoUnreadable with the path and the reason.
    """
    limits = limits or DecodeLimits()
    label = str(source) if isinstance(source, Path) else "The picture"
    try:
        if isinstance(source, Path):
            data, stat = read_file(os.fsencode(source), limits.max_bytes)
            name = os.path.basename(os.fsencode(source))
        else:
            data, stat, name = source, FileStat(len(source), 0, 0, 0), b""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            facts, pixels = decode(data, framing, limits, name=name)
    except FileUnreadable as exc:
        raise PhotoUnreadable(f"{label} {exc}. Check the path and its permissions.") from exc
    except PhotoUnreadable as exc:
        raise PhotoUnreadable(f"{label} is no picture that can be used: {exc}.") from exc
    return Decoded(hashlib.sha256(data).digest(), stat, facts, pixels)


def _unreadable(reply: bytes) -> Unreadable:
    told = json.loads(reply[1:])
    stat = FileStat(*told["stat"]) if told["stat"] else None
    return Unreadable(told["reason"], bool(told["transient"]), stat)
