"""fastdup: the vectors of its usual run over the task's files, and their cosines."""

from __future__ import annotations

import os
import sys
from typing import Any

import fastdup
import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.scripts.dedup.answering import Files, answer, by_cosine, read


def scores(files: Files) -> NDArray[Any]:
    """Cosines of fastdup's own vectors; files that it refuses have none."""
    place = os.environ["WORK"]
    folder = os.path.join(place, "photos")
    os.mkdir(folder)
    named = {}
    for number, path in enumerate(files.all):
        link = os.path.join(folder, f"{number:06d}{os.path.splitext(path)[1].lower()}")
        os.symlink(os.path.abspath(path), link)
        named[os.path.basename(link)] = path
    run = fastdup.create(work_dir=os.path.join(place, "fastdup"), input_dir=folder)
    run.run(overwrite=True)
    names, vectors = run.embeddings()
    found = zip(names, np.asarray(vectors), strict=True)
    return by_cosine(files, {named[os.path.basename(name)]: vector for name, vector in found})


def main(task: str, out: str) -> None:
    """Score all pairs of the task."""
    files = read(task)
    answer(files, out, lambda: scores(files), "cosine of its own vectors", ("fastdup", "numpy"))


if __name__ == "__main__":
    main(*sys.argv[1:])
