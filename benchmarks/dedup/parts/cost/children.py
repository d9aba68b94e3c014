"""Runs one measurement in a process of its own, so that its CPU seconds and its peak memory are its alone."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from benchmarks.peers.asking import REPO
from benchmarks.peers.children import ChildFailed, run_child
from benchmarks.peers.environments import reason
from benchmarks.search.child import memory

MIB = 1e6 / 2**20
SECONDS = 3600.0

Told = dict[str, Any]


def child(module: str, *arguments: str | Path | int, seconds: float = SECONDS) -> Told:
    """What a module beside this one printed as JSON, with its peak memory; or under "error" why not.

    "peak_mib" is the most memory that it had over what it says it began with, "below_mib" that of the largest
    of its children.
    """
    command = [sys.executable, "-m", f"{__package__}.{module}", *map(str, arguments)]
    try:
        finished = run_child(command, environment={"PYTHONPATH": REPO}, watch=True, seconds=seconds)
        told: Told = finished.answer()
    except ChildFailed as exc:
        return {"error": reason(str(exc))}
    return {**told, "peak_mib": finished.peak - told["begun_mib"], "below_mib": finished.peak_below}


def begun() -> float:
    """MiB that this process has now."""
    return memory() * MIB
