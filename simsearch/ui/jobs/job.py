"""One job: a child process, what it has told so far, and the way to stop it."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar, cast

from simsearch.errors import SimsearchError
from simsearch.ui.jobs.packing import unpacked

T = TypeVar("T")

GRACE = 20.0
"""Seconds that a job has for ending by itself when it is cancelled; then it is killed."""

RUNNING, DONE, FAILED, CANCELLED = "running", "done", "failed", "cancelled"
_NOTES, _WINDOW = 50, 20.0


@dataclass(frozen=True, slots=True)
class JobState:
    """How a job stands.

    Attributes:
        phase: "running", "done", "failed" or "cancelled".
        stage: what is being done, a word in lower case; empty while the process starts.
        done, total: how far the stage is; `total` is None while it is not known.
        skipped: files that could not be used so far.
        notes: lines for a person, the newest last; at most 50.
        error: why it failed, in words.
        seconds: since it began, until it ended.
        per_second: how many are done in a second, over the last 20 seconds of this stage; None too early.
        stopping: whether it was cancelled and has not ended yet.
    """

    phase: str
    stage: str
    done: int
    total: int | None
    skipped: int
    notes: tuple[str, ...]
    error: str | None
    seconds: float
    per_second: float | None
    stopping: bool

    @property
    def seconds_left(self) -> float | None:
        """Seconds until this stage is done, at the present rate; None where that is not known."""
        if self.total is None or not self.per_second:
            return None
        return max(0, self.total - self.done) / self.per_second


class Job:
    """Work in a child process (see `simsearch.ui.jobs.child`); any thread may ask for its state.

    The child ends when the server does: it reads from a pipe that the server holds, and closing that pipe is
    also how it is cancelled. Raises SimsearchError when no process can be started.
    """

    def __init__(self, task: Mapping[str, object]) -> None:
        self.id = secrets.token_hex(6)
        self.task = dict(task)
        self._lock = threading.Lock()
        self._phase, self._stage, self._done, self._skipped = RUNNING, "", 0, 0
        self._total: int | None = None
        self._notes: deque[str] = deque(maxlen=_NOTES)
        self._error: str | None = None
        self._result: Any = None
        self._unpacked: Any = None
        self._stopping = False
        self._marks: deque[tuple[float, int]] = deque()
        self._started, self._ended = time.monotonic(), 0.0
        self._process = _start(self.task)
        self._reader = threading.Thread(target=self._listen, name=f"job {self.kind}", daemon=True)
        self._reader.start()

    @property
    def kind(self) -> str:
        """What it does: "index", "dedup", "pairs", "verify", "rebuild" or "look"."""
        return str(self.task["kind"])

    @property
    def pid(self) -> int:
        """The process id of the child."""
        return self._process.pid

    def state(self) -> JobState:
        """How it stands now."""
        with self._lock:
            now = self._ended or time.monotonic()
            return JobState(
                self._phase,
                self._stage,
                self._done,
                self._total,
                self._skipped,
                tuple(self._notes),
                self._error,
                now - self._started,
                self._rate(),
                self._stopping and self._phase == RUNNING,
            )

    def cancel(self) -> None:
        """Stop the work; what it has committed stays. Returns at once; the child is killed after `GRACE`."""
        with self._lock:
            if self._stopping or self._phase != RUNNING:
                return
            self._stopping = True
        with contextlib.suppress(OSError):
            cast(IO[bytes], self._process.stdin).close()
        threading.Thread(target=self._insist, name="job cancelled", daemon=True).start()

    def wait(self, seconds: float | None = None) -> JobState:
        """Wait until it has ended, at most so long."""
        self._reader.join(seconds)
        return self.state()

    def result(self, kind: type[T]) -> T:
        """What came out, a record of type `kind`. Raises SimsearchError unless the job is done."""
        with self._lock:
            if self._phase != DONE:
                raise SimsearchError(self._error or "This work is not done, so nothing came out of it yet.")
            if self._unpacked is None:
                self._unpacked = unpacked(kind, self._result)
            return cast(T, self._unpacked)

    def _insist(self) -> None:
        self._reader.join(GRACE)
        if self._reader.is_alive():
            self._process.kill()

    def _listen(self) -> None:
        outcome: dict[str, Any] = {}
        for line in cast(IO[bytes], self._process.stdout):
            # What a killed process was writing has no end.
            if line.endswith(b"\n"):
                outcome = self._hear(json.loads(line))
        code = self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                cast(IO[bytes], pipe).close()
        with self._lock:
            self._ended = time.monotonic()
            self._result = outcome.get("result")
            self._error = outcome.get("error")
            self._phase = outcome.get("event", CANCELLED if self._stopping else FAILED)
            if self._phase == FAILED and self._error is None:
                self._error = _why(code)

    def _hear(self, event: dict[str, Any]) -> dict[str, Any]:
        """Take in what the child says; returns it when it is the last word, else nothing."""
        with self._lock:
            if event["event"] == "note":
                self._notes.append(event["text"])
            elif event["event"] == "progress":
                if event["stage"] != self._stage or event["done"] < self._done:
                    self._marks.clear()
                self._stage, self._done, self._total = event["stage"], event["done"], event["total"]
                self._skipped = event["skipped"]
                self._mark(time.monotonic())
            else:
                return event
        return {}

    def _mark(self, now: float) -> None:
        self._marks.append((now, self._done))
        while now - self._marks[0][0] > _WINDOW:
            self._marks.popleft()

    def _rate(self) -> float | None:
        if not self._marks:
            return None
        (then, had), (now, has) = self._marks[0], self._marks[-1]
        return (has - had) / (now - then) if now - then >= 1 and has > had else None


def start_module(module: str) -> subprocess.Popen[bytes]:
    """A process that runs a module of this package, with pipes to its standard input and output.

    Raises SimsearchError when none can be started.
    """
    package = str(Path(__file__).resolve().parents[3])
    search = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), package]))
    try:
        return subprocess.Popen(
            # -P: modules in the folder where the user happens to be must not pass for Python's own.
            [sys.executable, "-P", "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # A session of its own: Ctrl-C at the server's terminal ends the server, and that the child.
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": search},
        )
    except OSError as exc:
        raise SimsearchError(
            f"No process can be started for this work: {exc.strerror or exc}. "
            "Close other programs and try again."
        ) from exc


def _start(task: Mapping[str, object]) -> subprocess.Popen[bytes]:
    process = start_module("simsearch.ui.jobs.child")
    pipe = cast(IO[bytes], process.stdin)
    # A child that has died already is told by the end of its output.
    with contextlib.suppress(OSError):
        pipe.write(json.dumps(task).encode("ascii") + b"\n")
        pipe.flush()
    return process


def _why(code: int) -> str:
    """Why a child ended without a last word."""
    advice = "What it had committed is kept: start it again, and it goes on from there."
    if code >= 0:
        return f"The work ended by itself, with exit code {code}. Its terminal may tell why. {advice}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    memory = " A system that runs out of memory does so." if name == "SIGKILL" else ""
    return f"The work was ended from outside ({name}).{memory} {advice}"
