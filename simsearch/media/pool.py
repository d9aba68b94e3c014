"""Decoding in worker processes, each with a deadline and a memory limit; a bad file costs only itself."""

from __future__ import annotations

import hashlib
import json
import os
import queue
import struct
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType

import numpy as np

from simsearch.errors import PhotoUnreadable
from simsearch.framing import Fitting, Framing, Tiling
from simsearch.media.decode import DecodeLimits, decode
from simsearch.media.files import FileUnreadable
from simsearch.media.formats import MAX_PIXELS
from simsearch.media.processes.child import Child, Dead, Late
from simsearch.media.sources.held import Fetched, Held, hold, read_file
from simsearch.media.worker import PING, STAT
from simsearch.paths import is_source, label
from simsearch.records import Decoded, Facts, FileStat, Known, NotAnImage, Outcome, Unreadable

MEMORY = 3 << 29  # bytes of address space a worker: 1.5 GiB; more where --max-pixels is raised
SECONDS = 30.0


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
        self.max_bytes = limits.max_bytes
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
        self._free: queue.LifoQueue[Child | None] = queue.LifoQueue()
        for _ in range(max(1, workers)):
            self._free.put(None)
        self._alive: set[Child] = set()
        self._lock = threading.Lock()
        self._closed = False

    def __enter__(self) -> DecodePool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def read(
        self,
        path: bytes,
        known: Callable[[bytes], bool] = lambda _: False,
        fetched: Fetched | None = None,
    ) -> Outcome:
        """Read a file; `known(digest)`, called in this thread, says whether its bytes need no decoding.

        What is in a store or an archive is fetched first, unless `fetched` is what came of that, which ends
        with this reading. Thread-safe; waits for a free worker.
        """
        if fetched is None and is_source(path):
            fetched = hold(path, self.max_bytes)
        if fetched is None:
            return self._read(path, known)
        if not isinstance(fetched, Held):
            return fetched
        with fetched:
            outcome = self._read(fetched.place, known)
        return outcome if isinstance(outcome, NotAnImage) else replace(outcome, stat=fetched.stat)

    def _read(self, path: bytes, known: Callable[[bytes], bool]) -> Outcome:
        worker = self._free.get()
        try:
            if worker is not None and not self._is_usable(worker):
                worker = None
            worker = worker or self._start()
            outcome = self._exchange(worker, path, known)
        except Late:
            if worker is not None:
                self._discard(worker)
                worker = None
            outcome = Unreadable(f"took longer than {self._seconds:g} s to decode", transient=True)
        except Dead:
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

    def _is_usable(self, worker: Child) -> bool:
        """Whether a worker still answers; one that ended between two files says nothing of the next one."""
        try:
            worker.send(PING)
            if worker.receive(time.monotonic() + self._seconds) == PING:
                return True
        except (Late, Dead):
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

    def _start(self) -> Child:
        with self._lock:
            if self._closed:
                raise Dead
            worker = Child(self._setup)
            self._alive.add(worker)
            return worker

    def _discard(self, worker: Child) -> bool:
        """End a worker; whether it had crashed by itself."""
        with self._lock:
            mine = worker in self._alive
            self._alive.discard(worker)
        return mine and worker.reap()

    def _exchange(self, worker: Child, path: bytes, known: Callable[[bytes], bool]) -> Outcome:
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
    named = label(source) if isinstance(source, Path) else "The picture"
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
        raise PhotoUnreadable(f"{named} {exc}. Check the path and its permissions.") from exc
    except PhotoUnreadable as exc:
        raise PhotoUnreadable(f"{named} is no picture that can be used: {exc}.") from exc
    return Decoded(hashlib.sha256(data).digest(), stat, facts, pixels)


def _unreadable(reply: bytes) -> Unreadable:
    told = json.loads(reply[1:])
    stat = FileStat(*told["stat"]) if told["stat"] else None
    return Unreadable(told["reason"], bool(told["transient"]), stat)
