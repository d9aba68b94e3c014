"""Runs a command that is killed at a chosen system call, and works out what a power cut would have left."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).with_name("shim.c")


def build_shim(folder: Path) -> Path:
    """Compile the preloaded library; `make test` has installed a C compiler."""
    library = folder / "shim.so"
    subprocess.run(
        ["cc", "-O1", "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-ldl", "-lpthread"], check=True
    )
    return library


@dataclass(frozen=True)
class Crash:
    """A run that was killed (or not): exit status of the child and the events that it went through."""

    status: int
    events: list[str]
    shadow: Path


def run_killed(shim: Path, command: Sequence[str], root: Path, at: int, work: Path) -> Crash:
    """Run `command`, a Python program, and kill it with SIGKILL at event number `at` below `root`."""
    shadow, log = work / "shadow", work / "events.log"
    shutil.rmtree(shadow, ignore_errors=True)
    shadow.mkdir(parents=True)
    log.unlink(missing_ok=True)
    environment = {
        **os.environ,
        "LD_PRELOAD": str(shim),
        "CRASH_ROOT": str(root),
        "CRASH_AT": str(at),
        "CRASH_SHADOW": str(shadow),
        "CRASH_LOG": str(log),
    }
    done = subprocess.run(
        [sys.executable, *command], env=environment, capture_output=True, timeout=300, check=False
    )
    if done.returncode not in (0, -9):
        raise AssertionError(f"the child failed by itself: {done.stderr.decode(errors='replace')}")
    events = log.read_text().splitlines() if log.exists() else []
    return Crash(done.returncode, events, shadow)


@dataclass(frozen=True)
class Before:
    """What a folder held before the run, by inode: bytes of files, names in folders. All of it is durable."""

    files: dict[int, bytes]
    names: dict[int, dict[str, int]]


def remember(root: Path) -> Before:
    """The durable state of `root` before a run."""
    files: dict[int, bytes] = {}
    names: dict[int, dict[str, int]] = {}
    if root.exists():
        for folder, _, found in os.walk(root):
            names[os.stat(folder).st_ino] = {e.name: e.inode() for e in os.scandir(folder)}
            for name in found:
                path = Path(folder, name)
                files[path.stat().st_ino] = path.read_bytes()
    return Before(files, names)


def power_cut(root: Path, crash: Crash, before: Before, to: Path) -> None:
    """Write to `to` what is sure to be left of `root` when all that was never synced is lost.

    A file has the bytes of its last sync, else those from before the run, else none; a folder has the names
    of its last sync, else those from before. SQLite's shared memory is no file that outlives a machine.
    """
    kinds = {os.stat(root).st_ino: "dir"}
    for folder, folders, found in os.walk(root):
        kinds |= {Path(folder, name).stat().st_ino: "dir" for name in folders}
        kinds |= {Path(folder, name).stat().st_ino: "file" for name in found}
    _restore(os.stat(root).st_ino, crash, before, kinds, to)


def _restore(inode: int, crash: Crash, before: Before, kinds: dict[int, str], to: Path) -> None:
    to.mkdir(parents=True, exist_ok=True)
    listing = crash.shadow / f"dir-{inode}"
    names = before.names.get(inode, {})
    if listing.exists():
        lines = [line.split(" ", 1) for line in listing.read_text().splitlines()]
        names = {name: int(number) for number, name in lines}
    for name, child in names.items():
        if name.endswith("-shm"):
            continue
        synced = crash.shadow / f"file-{child}"
        if kinds.get(child) == "dir" or (crash.shadow / f"dir-{child}").exists():
            _restore(child, crash, before, kinds, to / name)
        elif synced.exists():
            (to / name).write_bytes(synced.read_bytes())
        else:
            (to / name).write_bytes(before.files.get(child, b""))
