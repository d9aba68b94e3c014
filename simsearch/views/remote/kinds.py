"""The indexes that a Milvus server builds: their names, what they are built with and how hard they search."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from simsearch.views.tuning import RERANKED, Effort

# Steps are wider than those of a view in memory: each is 500 queries to a server.
_CANDIDATES = (30, 60, 120, 240, 400)
_LONGER = (600, 1000)
_LISTED = 220
_PROBES = (8, 16, 32, 64, 128, 256)
_ROWS_A_LIST = 40
# A row of 256 numbers is compared in about this share of the time that one is re-ranked in.
_ROWS_A_RANKED = 160


@dataclass(frozen=True, slots=True)
class Kind:
    """An index of the server.

    Attributes:
        name: what Milvus calls it.
        built: what it is built with, for so many rows.
        effort: the parameter of a search that says how hard.
        listed: whether that is the length of a list of candidates, which cannot be shorter than the answer.
        robust: that parameter for pictures unlike the collection.
    """

    name: str
    built: Callable[[int], dict[str, int]]
    effort: str
    listed: bool
    robust: int

    def efforts(self, rows: int) -> list[Effort]:
        """What tuning may choose from, from the cheapest."""
        if self.listed:
            return [Effort(ends, min(ends, RERANKED[-1]), ends) for ends in _CANDIDATES + _LONGER]
        lists = _lists(rows)["nlist"]
        return [
            Effort(probes, _LISTED, probes * rows / lists / _ROWS_A_RANKED)
            for probes in (*[n for n in _PROBES if n < lists], lists)
        ]

    def harder(self, probes: int, rows: int) -> int:
        """The parameter of the robust setting where the tuned one is `probes`."""
        most = max(self.robust, probes)
        return most if self.listed else min(most, _lists(rows)["nlist"])

    def parameters(self, effort: int, most: int) -> dict[str, int]:
        """What a search for `most` rows says to the server."""
        return {self.effort: max(effort, most) if self.listed else effort}

    def hardest(self, rows: int) -> int:
        """The most that is worth asking for, among few of the rows."""
        return max(_LONGER) if self.listed else _lists(rows)["nlist"]


def _graph(_: int) -> dict[str, int]:
    return {"M": 24, "efConstruction": 200}


def _lists(rows: int) -> dict[str, int]:
    lists = 2 ** round(np.log2(4 * np.sqrt(rows)))
    return {"nlist": int(max(1, min(lists, rows // _ROWS_A_LIST, 65_536)))}


def _nothing(_: int) -> dict[str, int]:
    return {}


KINDS = {
    # https://milvus.io/docs/hnsw.md
    "hnsw": Kind("HNSW", _graph, "ef", True, 260),
    # https://milvus.io/docs/ivf-flat.md
    "ivf": Kind("IVF_FLAT", _lists, "nprobe", False, 128),
    # https://milvus.io/docs/diskann.md
    "diskann": Kind("DISKANN", _nothing, "search_list", True, 260),
}
