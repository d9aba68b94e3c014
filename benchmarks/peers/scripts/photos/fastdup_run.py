"""fastdup's usual run over a folder: its own small network, then the nearest neighbours of all photos."""

from __future__ import annotations

import os
import sys
import time

import fastdup

from benchmarks.peers.scripts.photos.telling import tell


def main(folder: str) -> None:
    """Run fastdup with its defaults and tell how long it took."""
    started = time.perf_counter()
    run = fastdup.create(work_dir=os.path.join(os.environ["WORK"], "fastdup"), input_dir=folder)
    run.run(overwrite=True)
    seconds = time.perf_counter() - started
    tell(len(run.annotations()), seconds, "its own network and all neighbours", "fastdup", "numpy")


if __name__ == "__main__":
    main(sys.argv[1])
