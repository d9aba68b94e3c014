"""The one line that a peer's script prints: photos, seconds of its own work, what it did, versions."""

from __future__ import annotations

import json
import os
from importlib.metadata import version
from pathlib import Path


def photos_in(folder: str) -> list[str]:
    """The files of a flat folder, sorted."""
    return sorted(str(path) for path in Path(folder).iterdir())


def threads() -> int:
    """The CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def tell(photos: int, seconds: float, did: str, *packages: str) -> None:
    """Print the answer as the last line of stdout."""
    versions = {name: version(name) for name in packages}
    print()
    print(json.dumps({"photos": photos, "seconds": seconds, "did": did, "versions": versions}))
