"""A child process with what it printed, what it cost and how much memory it held at its peak."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine import Cost

SECONDS = 3600.0
LOOK = 0.05


class ChildFailed(Exception):
    """A child process ended with an error or too late; carries the end of what it said."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A child that ended well; peaks in MiB, of the process itself and of the largest below it."""

    stdout: str
    cost: Cost
    peak: float = 0.0
    peak_below: float = 0.0

    def answer(self) -> Any:
        """The JSON value that it printed last: all of stdout, or its last line."""
        try:
            return json.loads(self.stdout)
        except ValueError:
            lines = self.stdout.strip().splitlines() or [""]
        try:
            return json.loads(lines[-1])
        except ValueError as exc:
            raise ChildFailed(f"the last line is no answer: {lines[-1]}") from exc


def simsearch(*args: str | Path) -> list[str]:
    """The command line of simsearch as a user starts it."""
    script = Path(sys.executable).with_name("simsearch")
    start = [str(script)] if script.exists() else [sys.executable, "-m", "simsearch"]
    return [*start, *map(str, args)]


def run_child(
    command: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    watch: bool = False,
    seconds: float = SECONDS,
) -> Finished:
    """Run a command to its end; with `watch` its memory is looked at meanwhile. Raises ChildFailed."""
    before, started = _ended_children(), time.perf_counter()
    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **(environment or {})},
        )
    except OSError as exc:
        raise ChildFailed(f"it does not start: {exc.strerror or exc}") from exc
    peaks = _Peaks(child.pid)
    if watch:
        peaks.start()
    try:
        stdout, stderr = child.communicate(timeout=seconds)
    except subprocess.TimeoutExpired as exc:
        raise ChildFailed(f"not done within {seconds:.0f} s") from exc
    finally:
        peaks.stop()
        child.kill()
        child.wait()
    cost = Cost(time.perf_counter() - started, _ended_children() - before)
    if child.returncode < 0:
        # What it had said by then tells nothing of why.
        raise ChildFailed(f"ended by {signal.Signals(-child.returncode).name} after {cost.wall:.0f} s")
    if child.returncode:
        said = (stderr or stdout).decode(errors="replace").strip()
        raise ChildFailed(said or f"it ended with status {child.returncode}")
    return Finished(stdout.decode(errors="surrogateescape"), cost, peaks.own, peaks.below)


def _ended_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


class _Peaks(threading.Thread):
    """Looks again and again at the peak memory of a process and of its children."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.own = self.below = 0.0
        self._pid, self._ended = pid, threading.Event()

    def run(self) -> None:
        while not self._ended.wait(LOOK):
            self.own = max(self.own, _peak(self._pid))
            for child in _children(self._pid):
                self.below = max(self.below, _peak(child))

    def stop(self) -> None:
        self._ended.set()
        if self.is_alive():
            self.join()


def _peak(pid: int) -> float:
    # Not ru_maxrss, which begins with what the parent had at the fork.
    found = re.search(r"VmHWM:\s*(\d+)", _read(Path(f"/proc/{pid}/status")))
    return int(found[1]) / 1024 if found else 0.0


def _children(pid: int) -> list[int]:
    return [int(n) for task in Path(f"/proc/{pid}/task").glob("*/children") for n in _read(task).split()]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
