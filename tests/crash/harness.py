"""Runs a command that is struck at a chosen system call, and works out what a power cut would have left."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).with_name("shim.c")


def build_shim(folder: Path, source: Path = SOURCE) -> Path:
    """Compile the preloaded library; `make test` has installed a C compiler."""
    library = folder / "shim.so"
    subprocess.run(
        ["cc", "-O1", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl", "-lpthread"], check=True
    )
    return library


@dataclass(frozen=True)
class Crash:
    """A run that was struck (or not): exit status, what it said, and the events that it went through."""

    status: int
    said: str
    events: list[str]
    shadow: Path

    @property
    def struck(self) -> bool:
        """Whether the fault came about at all."""
        return self.status == -9 or any(line.endswith(" 1") for line in self.events)


class Runner:
    """One warm process with the library preloaded, of which each run is a fork: a module that serves."""

    def __init__(self, shim: Path, work: Path, module: str = "crash.child") -> None:
        self.work = work
        tests = str(SOURCE.parents[1])
        environment = {
            **os.environ,
            "LD_PRELOAD": str(shim),
            "PYTHONPATH": os.pathsep.join([tests, str(SOURCE.parents[2])]),
            # Threads do not outlive a fork.
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )

    def run(self, action: Sequence[str], root: Path, kind: str, at: int) -> Crash:
        """Run `action` and strike in the way of `kind` at event number `at` below `root`; 0 is never."""
        shadow, log, errors = self.work / "shadow", self.work / "events.log", self.work / "errors"
        shutil.rmtree(shadow, ignore_errors=True)
        shadow.mkdir(parents=True)
        log.unlink(missing_ok=True)
        environment = {
            "CRASH_ROOT": str(root),
            "CRASH_AT": str(at),
            "CRASH_KIND": kind,
            "CRASH_SHADOW": str(shadow),
            "CRASH_LOG": str(log),
        }
        task = {"environment": environment, "action": list(action), "errors": str(errors)}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(task) + "\n")
        self._process.stdin.flush()
        status = int(self._process.stdout.readline())
        events = log.read_text().splitlines() if log.exists() else []
        said = errors.read_text(errors="replace")
        if status not in (0, 3, -9):
            raise AssertionError(f"{action} at event {at} of {kind} failed by itself: {said}")
        return Crash(status, said, events, shadow)

    def close(self) -> None:
        """End the warm process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


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
