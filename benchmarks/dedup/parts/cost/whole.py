"""A process of its own: all of find_duplicates on an index, in CPU seconds of each stage.

python -m benchmarks.dedup.parts.cost.whole INDEX prints them as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from benchmarks.dedup.parts.cost.children import begun
from benchmarks.machine import cpu_seconds
from simsearch.dedup.find import find_duplicates


def whole(index: str) -> dict[str, Any]:
    """CPU seconds, workers' too: reading up to the last picture, candidates, pairs, and what comes after."""
    before, started, wall = begun(), cpu_seconds(), time.perf_counter()
    first: dict[str, float] = {}
    last: dict[str, float] = {}

    def progress(stage: str, done: int, total: int) -> None:
        # To add up the workers' seconds takes a look at all processes: not for each picture.
        if stage not in first or done == total:
            last[stage] = cpu_seconds()
            first.setdefault(stage, last[stage])

    report = find_duplicates(index, progress=progress)
    ended = cpu_seconds()
    read = last.get("reading", started)
    compared, done = first.get("comparing", ended), last.get("comparing", ended)
    return {
        "photos": report.photos,
        "pairs": report.compared,
        "groups": len(report.groups),
        "cpu_s": ended - started,
        "wall_s": time.perf_counter() - wall,
        "reading_s": read - started,
        "candidates_s": compared - read,
        "comparing_s": done - compared,
        "rest_s": ended - done,
        "begun_mib": before,
    }


if __name__ == "__main__":
    print(json.dumps(whole(sys.argv[1])))
