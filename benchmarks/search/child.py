"""Runs one measurement in a process of its own, so that its memory and its CPU time are its alone."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def run(task: str, folder: Path, *, one_thread: bool = False, **options: Any) -> dict[str, Any]:
    """What the function `task` ("module.name" of tasks) returns for a collection's folder.

    Raises RuntimeError when the process fails; its own words have gone to stderr.
    """
    command = [sys.executable, "-m", "benchmarks.search.child", task, str(folder), json.dumps(options)]
    environment = {**os.environ, **(ONE_THREAD if one_thread else {})}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, check=False)
    if done.returncode:
        raise RuntimeError(f"The measurement {task} ended with status {done.returncode}.")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def memory(name: str = "VmRSS") -> float:
    """Memory of this process in MB by its name in Linux's /proc/self/status.

    VmRSS is all of it now, RssAnon what is no page of a file, VmHWM the most it ever was.
    """
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError(f"This system does not tell {name}; the search case runs on Linux.")


def main(task: str, folder: str, options: str) -> None:
    """Run a task and print what it found as JSON."""
    module, _, name = task.partition(".")
    function = getattr(importlib.import_module(f"benchmarks.search.tasks.{module}"), name)
    print(json.dumps(function(Path(folder), **json.loads(options))))


if __name__ == "__main__":
    main(*sys.argv[1:])
