"""Child processes: the command line begun, ports for them, and what runs as the kernel sees it, by /proc."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path


def start(*args: str | os.PathLike[str]) -> subprocess.Popen[bytes]:
    """The command line, begun; both of its streams are kept."""
    command = [sys.executable, "-m", "simsearch", *map(os.fspath, args)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def free_port() -> int:
    """A port of 127.0.0.1 at which nobody listens, for a server that has to be told one.

    It lies below those that Linux gives to whoever connects, so that no other test's connection takes it
    before the server does.
    """
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        with socket.socket() as tried:
            try:
                tried.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


def workers_of(parent: int) -> list[int]:
    """Process ids of a process's children that are running workers."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, ppid = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if int(ppid) == parent and state != "Z" and b"simsearch.media.worker" in command:
                found.append(int(entry.name))
    return found


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(condition: Callable[[], bool], seconds: float = 300.0) -> None:
    """Wait until it is true; a test fails that waits longer."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it never came true"
        time.sleep(0.02)
