"""One decoding process: how it is started, spoken to with a deadline, and ended."""

from __future__ import annotations

import os
import select
import signal
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import BinaryIO, cast

from simsearch.media.worker import send

# Not every system has them all.
CRASHES = [
    getattr(signal, name)
    for name in ("SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL")
    if hasattr(signal, name)
]


class Late(Exception):
    """The worker did not answer in time."""


class Dead(Exception):
    """The worker is gone."""


class Child:
    """One decoding process and its two pipes."""

    def __init__(self, setup: bytes) -> None:
        package = str(Path(__file__).resolve().parents[3])
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
            raise Dead from exc

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
                    raise Dead
                chunks.append(chunk)
                size -= len(chunk)
        except (OSError, ValueError) as exc:
            raise Dead from exc
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
            raise Late

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
