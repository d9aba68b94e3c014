"""What a view is: vectors -> candidate ids."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from simsearch.errors import SimsearchError

Ids = NDArray[np.int64]
Vectors = NDArray[np.float32]


class Blocks(Protocol):
    """Gives the rows of a collection, all of them or those at `places` (ascending), a block at a time."""

    def __call__(self, places: Ids | None = None) -> Iterator[tuple[Ids, Vectors]]:
        """(ids, float32 rows) of one block after another, in the same order at every call."""
        ...


@dataclass(frozen=True, slots=True)
class Owners:
    """Which rows are of one picture: `of` gives that of each row by its id; one has at most `each` rows."""

    of: Callable[[Ids], Ids]
    each: int

    def best(self, ids: Ids, own: int, k: int) -> Ids:
        """The first rows of the first `k` pictures among `ids`, without the picture of the row `own`."""
        pictures = self.of(ids)
        firsts = np.sort(np.unique(pictures, return_index=True)[1])
        others = firsts[pictures[firsts] != self.of(np.array([own]))[0]]
        best: Ids = ids[others[:k]]
        return best


class View(Protocol):
    """Searches the vectors of one collection.

    `search` takes float32 queries (m, d) and gives for each an int64 array of candidate ids, best first:
    no id twice, no -1, exactly min(k, number allowed) of them for an exact view. `allowed` restricts the
    answer to these ids (ascending), None allows all. The caller ranks candidates by their true vectors.
    """

    kind: str

    def __len__(self) -> int:
        """How many rows it holds, those of pictures without a file too."""
        ...

    def search(self, queries: Vectors, k: int, allowed: Ids | None = None) -> list[Ids]:
        """Candidate ids of each query."""
        ...

    def groups(self, most: int) -> Iterator[Ids]:
        """The ids of all rows, each once, at most `most` together; those together lie close to each other."""
        ...


def check_queries(queries: Vectors, dim: int) -> Vectors:
    """`queries` as float32 (m, dim). Raises SimsearchError for a wrong shape, NaN or infinity."""
    array = np.atleast_2d(np.ascontiguousarray(queries, dtype=np.float32))
    if array.ndim != 2 or array.shape[1] != dim:
        raise SimsearchError(
            f"A query must have {dim} numbers, as the index's vectors do; got shape {array.shape}."
        )
    if not np.isfinite(array).all():
        raise SimsearchError("A query vector holds NaN or infinity; nothing can be compared with it.")
    return array
