"""imagededup: its CNN method's search for duplicates among vectors that are there already."""

from __future__ import annotations

import json
import resource
import sys
import time
from importlib.metadata import version

import numpy as np
import torch
from imagededup.methods import CNN
from imagededup.utils import CustomModel

THRESHOLD = 0.9


def cpu_seconds() -> float:
    """CPU seconds of this process and of its children that have ended."""
    both = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def mebibytes(name: str) -> float:
    """Memory of this process by its name in Linux's /proc/self/status."""
    with open("/proc/self/status", encoding="utf-8") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / 1024


def main(rows: str, count: str) -> None:
    """Print seconds and memory of its find_duplicates with its own default threshold and workers."""
    vectors = np.load(rows)[: int(count)]
    encodings = {f"{number:08d}.jpg": vector for number, vector in enumerate(vectors)}
    # No network runs over vectors; its own would be downloaded.
    cnn = CNN(verbose=False, model_config=CustomModel("none", torch.nn.Identity(), lambda image: image))
    before, cpu, wall = mebibytes("VmRSS"), cpu_seconds(), time.perf_counter()
    found = cnn.find_duplicates(encoding_map=encodings, min_similarity_threshold=THRESHOLD)
    told = {
        "cpu_s": cpu_seconds() - cpu,
        "wall_s": time.perf_counter() - wall,
        "peak_mib": mebibytes("VmHWM") - before,
        "below_mib": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024,
        "found": sum(map(len, found.values())),
        "version": version("imagededup"),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
