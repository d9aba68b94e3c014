"""usearch on the raw rows, kept as float16, with its own default connectivity and expansions."""

from __future__ import annotations

import numpy as np
from usearch.index import Index

from benchmarks.peers.scripts.search.measuring import Bench, Search


def main() -> None:
    """Build, save, read and search."""
    bench = Bench()
    rows = bench.rows()

    def build() -> None:
        index = Index(ndim=rows.shape[1], metric="ip", dtype="f16")
        for start in range(0, len(rows), 4096):
            block = np.ascontiguousarray(rows[start : start + 4096])
            index.add(np.arange(start, start + len(block)), block, threads=1)
        index.save(str(bench.out))

    bench.built(build)
    index = bench.loaded(lambda: Index.restore(str(bench.out), view=False))

    def at(expansion: int) -> Search:
        def search(query: object) -> object:
            index.expansion_search = expansion
            return index.search(query, 10, threads=1).keys

        return search

    bench.tell("usearch", ((f"expansion {n}", at(n)) for n in (16, 32, 64, 96, 128, 192, 256, 400, 800)))


if __name__ == "__main__":
    main()
