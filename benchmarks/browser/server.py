"""A server of the pages as a person starts it, its address, and the memory that it holds."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.children import ChildFailed, simsearch

WAIT_S = 180
"""What a busy machine may take for anything that is waited for."""

_END_S = 60


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: where it answers, its process, and the seconds until it said so."""

    address: str
    pid: int
    seconds: float

    def memory(self) -> tuple[float, float]:
        """MiB in memory (VmRSS) of the server itself, and of all processes below it together."""
        return resident(self.pid), sum(map(resident, below(self.pid)))


@contextmanager
def serve(
    *arguments: str | Path,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    command: Sequence[str] = ("ui", "--no-open", "--port", "0"),
) -> Iterator[Server]:
    """A server started in `cwd` with these arguments of `simsearch ui`, or of `command`.

    It ends as by Ctrl-C; what it printed goes to stderr then. Raises ChildFailed where no address is told,
    and where the server ended before its time.
    """
    began = time.perf_counter()
    child = subprocess.Popen(
        simsearch(*command, *arguments),
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **(environment or {})},
    )
    lines: list[str] = []
    listening = threading.Thread(target=_listen, args=(child, lines), daemon=True)
    listening.start()
    try:
        address = _address(child, lines)
        yield Server(address, child.pid, time.perf_counter() - began)
    finally:
        died = child.poll()
        child.send_signal(signal.SIGINT)
        try:
            child.wait(_END_S)
        except subprocess.TimeoutExpired:
            child.kill()
            raise
        listening.join(_END_S)
        sys.stderr.write("".join(lines))
        if died is not None:
            raise ChildFailed(f"the server ended by itself, with status {died}: {''.join(lines)}")


def resident(pid: int) -> float:
    """MiB that a process has in memory; 0 where it has ended, or the system has no /proc."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0.0
    found = re.search(r"VmRSS:\s*(\d+)", status)
    return int(found[1]) / 1024 if found else 0.0


def below(pid: int) -> list[int]:
    """The processes below one, at any depth."""
    found: list[int] = []
    for place in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = [int(number) for number in place.read_text(encoding="utf-8").split()]
        except OSError:
            continue
        for child in children:
            found += [child, *below(child)]
    return found


def _listen(child: subprocess.Popen[str], lines: list[str]) -> None:
    if child.stdout is not None:
        lines.extend(iter(child.stdout.readline, ""))


def _address(child: subprocess.Popen[str], lines: list[str]) -> str:
    late = time.monotonic() + WAIT_S
    while time.monotonic() < late and child.poll() is None:
        found = re.search(r"http://127\.0\.0\.1:\d+", "".join(lines))
        if found:
            return found[0]
        time.sleep(0.02)
    raise ChildFailed(f"the server told no address within {WAIT_S} s")
