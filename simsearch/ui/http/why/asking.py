"""Asks the process that explains: started when first needed, ended when idle, replaced when it is late."""

from __future__ import annotations

import base64
import contextlib
import json
import subprocess
import threading
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from simsearch.errors import SimsearchError
from simsearch.models.attention.likeness import Likeness
from simsearch.quality.why.explain import Basis
from simsearch.ui.jobs.job import start_module

SECONDS = 90.0
"""How long one answer may take, the start of the process and the loading of the network included."""

IDLE = 300.0
"""Seconds without a question after which the process, which holds a network, is ended."""

Pixels = NDArray[np.uint8]


class Explainer:
    """One child process for all who ask, which answers one after another; any thread may call."""

    def __init__(self, *, seconds: float = SECONDS, idle: float = IDLE) -> None:
        self._seconds, self._idle = seconds, idle
        self._asking, self._lock = threading.Lock(), threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._rest: threading.Timer | None = None

    def ask(self, basis: Basis, first: Pixels, second: Pixels) -> Likeness:
        """How two pictures, uint8 (crop, crop, 3) as framed, come to their score.

        Raises SimsearchError with what went wrong there, or when it took too long.
        """
        question = {
            "spec": basis.spec.to_json(),
            "weights": basis.weights_path,
            "pixels": [_packed(first), _packed(second)],
            "mean": None if basis.mean is None else _packed(basis.mean.astype(np.float32)),
        }
        with self._asking:
            told = self._exchanged(json.dumps(question).encode("ascii") + b"\n")
        if "error" in told:
            raise SimsearchError(told["error"])
        numbers = [np.asarray(told[name], dtype=np.float64) for name in ("first", "second", "pairs")]
        return Likeness(float(told["score"]), *numbers)

    def close(self) -> None:
        """End the process at once; a later question starts another."""
        with self._lock:
            if self._rest is not None:
                self._rest.cancel()
            process, self._process = self._process, None
        if process is not None:
            _end(process)

    def _exchanged(self, question: bytes) -> dict[str, Any]:
        process = self._started()
        late = threading.Event()

        def insist() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(self._seconds, insist)
        timer.daemon = True
        timer.start()
        line = b""
        try:
            # One that has ended meanwhile is told by the end of its output.
            with contextlib.suppress(OSError):
                pipe = cast(IO[bytes], process.stdin)
                pipe.write(question)
                pipe.flush()
                line = cast(IO[bytes], process.stdout).readline()
        finally:
            timer.cancel()
            if not line.endswith(b"\n"):
                self.close()
        if not line.endswith(b"\n"):
            took = f"It took longer than {self._seconds:g} s" if late.is_set() else "The process for it ended"
            raise SimsearchError(f"{took}, so that this cannot be shown now. Try again.")
        self._rest_later()
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _started(self) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._rest is not None:
                self._rest.cancel()
            if self._process is None or self._process.poll() is not None:
                self._process = start_module("simsearch.ui.http.why.child")
            return self._process

    def _rest_later(self) -> None:
        with self._lock:
            process = self._process
            self._rest = threading.Timer(self._idle, self._rest_now, args=(process,))
            self._rest.daemon = True
            self._rest.start()

    def _rest_now(self, process: subprocess.Popen[bytes] | None) -> None:
        # Whoever asks at this moment is answered first.
        if not self._asking.acquire(blocking=False):
            return
        try:
            with self._lock:
                idle = self._process is process
            if idle:
                self.close()
        finally:
            self._asking.release()


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        # What it was not told any more cannot be written at the close either.
        with contextlib.suppress(OSError):
            cast(IO[bytes], pipe).close()


def _packed(numbers: NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(numbers).tobytes()).decode("ascii")


EXPLAINER = Explainer()
"""That of this process."""
