"""Each query against every other picture, exactly: where the right ones come, and what that is worth."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from simsearch.quality.collection import Pictures
from simsearch.quality.truth import Truth
from simsearch.views.base import Ids, Vectors
from simsearch.views.centring import centred
from simsearch.views.figures import Figures, figures_of

HELD = 1 << 25
"""So many scores are held at a time, 134 MB, whatever the number of pictures."""

MOST_QUERIES = 1024

Scores = NDArray[np.float32]


def measure(
    pictures: Pictures,
    truth: Truth,
    queries: Ids,
    *,
    k: int,
    center: bool,
    progress: Callable[[int, int], None],
) -> list[Figures]:
    """The figures of the pictures at `queries`, each against all others. Raises IndexDamaged."""
    found = []
    for places, scores in scored(pictures, queries, center):
        for row, place in zip(scores, places.tolist(), strict=True):
            found.append(figures_of(row, place, truth.right(place), k))
        progress(len(found), len(queries))
    return found


def best(pictures: Pictures, queries: Ids, k: int, center: bool) -> Iterator[tuple[int, Ids, Scores]]:
    """(place, places of its k best others, their scores) of each query, at equal score by path."""
    order = np.argsort(np.argsort(np.array([paths[0] for paths in pictures.paths], dtype=object)))
    for places, scores in scored(pictures, queries, center):
        for row, place in zip(scores, places.tolist(), strict=True):
            row[place] = -np.inf
            chosen = np.lexsort((order, -row))[: min(k, len(row) - 1)]
            yield place, chosen, row[chosen]


def scored(pictures: Pictures, queries: Ids, center: bool) -> Iterator[tuple[Ids, Scores]]:
    """(places, float32 scores (m, n)) of the queries, some at a time; the scores are those of a search.

    Every vector's checksum is held against it in the first pass. Memory is 134 MB of scores and a block of
    4096 vectors, whatever the number of pictures.
    """
    step = max(1, min(MOST_QUERIES, HELD // len(pictures)))
    for start in range(0, len(queries), step):
        places = queries[start : start + step]
        asked = _seen(pictures, pictures.rows(places), center).astype(np.float64)
        scores = np.empty((len(places), len(pictures)), dtype=np.float32)
        for columns, rows in pictures.blocks() if start else pictures.checked_blocks():
            exact = asked @ _seen(pictures, rows, center).astype(np.float64).T
            scores[:, columns] = np.clip(exact, -1.0, 1.0)
        yield places, scores


def _seen(pictures: Pictures, rows: Vectors, center: bool) -> Vectors:
    return centred(rows, pictures.mean) if center else rows
