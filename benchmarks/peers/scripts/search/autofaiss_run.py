"""autofaiss on the raw rows: the index, and the setting of its search, that it chooses itself."""

from __future__ import annotations

import contextlib
import json
import sys

import faiss
from autofaiss import build_index

from benchmarks.peers.scripts.search.measuring import Bench


def main() -> None:
    """Build, read and search; the search runs at the setting that autofaiss chose and saved."""
    bench = Bench()
    bench.out.mkdir()

    def build() -> None:
        # It prints what it does; the answer has stdout for itself.
        with contextlib.redirect_stdout(sys.stderr):
            build_index(
                bench.rows(),
                index_path=str(bench.out / "knn.index"),
                index_infos_path=str(bench.out / "infos.json"),
                metric_type="ip",
                max_index_memory_usage="8G",
                current_memory_available="16G",
                nb_cores=1,
            )

    bench.built(build)
    index = bench.loaded(lambda: faiss.read_index(str(bench.out / "knn.index")))
    faiss.omp_set_num_threads(1)
    infos = json.loads((bench.out / "infos.json").read_text(encoding="utf-8"))
    chosen = f"{infos['index_key']}, {infos['index_param']}"
    bench.tell("autofaiss", [(chosen, lambda query: index.search(query[None], 10)[1][0])])


if __name__ == "__main__":
    main()
