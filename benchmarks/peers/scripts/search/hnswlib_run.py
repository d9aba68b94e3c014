"""hnswlib on the raw rows: M 16, efConstruction 200, its own example's setting."""

from __future__ import annotations

import hnswlib

from benchmarks.peers.scripts.search.measuring import Bench, Search


def main() -> None:
    """Build, save, read and search."""
    bench = Bench()
    rows = bench.rows()

    def build() -> None:
        index = hnswlib.Index(space="ip", dim=rows.shape[1])
        index.init_index(max_elements=len(rows), ef_construction=200, M=16)
        for start in range(0, len(rows), 4096):
            index.add_items(rows[start : start + 4096], num_threads=1)
        index.save_index(str(bench.out))

    def load() -> hnswlib.Index:
        index = hnswlib.Index(space="ip", dim=rows.shape[1])
        index.load_index(str(bench.out))
        return index

    bench.built(build)
    index = bench.loaded(load)

    def at(ef: int) -> Search:
        def search(query: object) -> object:
            index.set_ef(ef)
            return index.knn_query(query, k=10, num_threads=1)[0][0]

        return search

    bench.tell("hnswlib", ((f"ef {ef}", at(ef)) for ef in (20, 40, 60, 80, 120, 180, 260, 400, 800)))


if __name__ == "__main__":
    main()
