"""What the measurements ran on and what they spent: processor, versions, wall and CPU seconds."""

from __future__ import annotations

import os
import platform
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TypeVar

from simsearch.models.runners import available_threads

T = TypeVar("T")

PACKAGES = ("simsearch", "onnxruntime", "torch", "torchvision", "faiss-cpu", "pillow", "numpy")


@dataclass(frozen=True, slots=True)
class Cost:
    """Wall and CPU seconds of a piece of work."""

    wall: float
    cpu: float


def timed(work: Callable[[], T]) -> tuple[T, Cost]:
    """A result, and the wall and CPU seconds (children's too) that it took."""
    before, started = cpu_seconds(), time.perf_counter()
    result = work()
    wall = time.perf_counter() - started
    return result, Cost(wall, cpu_seconds() - before)


def cpu_seconds() -> float:
    """CPU seconds of this process and of its children, those that have ended and those that live."""
    both = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in both) + living_children()


def living_children() -> float:
    """CPU seconds so far of the children that live, such as decoding workers; 0 without Linux's /proc."""
    own, ticks = str(os.getpid()), 0
    for place in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name, in brackets, may hold spaces; state, parent and the rest come after it.
            fields = place.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        if fields[1] == own:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def machine() -> dict[str, str | int | float]:
    """Facts of this machine that decide how quick it is, under names fit for JSON."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": processor(),
        "cores": available_threads(),
        "memory_gib": round(memory, 1),
        "system": platform.system(),
        "python": platform.python_version(),
    }


def versions() -> dict[str, str]:
    """Versions of the packages that do the work, without those that are not installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def processor() -> str:
    """The name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
