"""Re-ranking by geometry, as the product does it, for whole sets at once."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.levers.levers import Ids, Scores
from simsearch.dedup.features.collect import LONGEST
from simsearch.dedup.features.describe import describe
from simsearch.dedup.stages.reranking import FEWEST, agreeing
from simsearch.dedup.verify.prepare import Prepared, prepare
from simsearch.framing import Fitting, fit
from simsearch.models.runners import available_threads

Points = dict[tuple[int, int], int]


def looked_at(pictures: Sequence[Image.Image]) -> list[Prepared]:
    """What comparisons need of each picture."""
    with ThreadPoolExecutor(available_threads()) as threads:
        return list(threads.map(lambda picture: prepare(describe(fit(picture, Fitting(LONGEST)))), pictures))


def reranked(scores: Scores, asking: Ids, looks: Sequence[Prepared], count: int, known: Points) -> Scores:
    """Scores by which those of the `count` best answers of each asking picture come first that show the same.

    `known` holds the points of pairs that were compared, by their places, and gets those that were not.
    """
    found = scores.copy()

    def one(place: int) -> None:
        row = scores[place].copy()
        row[place] = -np.inf
        for other in np.argsort(-row, kind="stable")[:count].tolist():
            pair = min(place, other), max(place, other)
            if pair not in known:
                known[pair] = agreeing(looks[pair[0]], looks[pair[1]])
            if known[pair] >= FEWEST:
                found[place, other] = 2 + known[pair]

    with ThreadPoolExecutor(available_threads()) as threads:
        list(threads.map(one, asking.tolist()))
    return np.asarray(found, dtype=np.float32)


def asking_of(labels: NDArray[np.int64], most: int) -> Ids:
    """The places of pictures that have others of their label, every so-manieth where there are more."""
    _, numbers, counts = np.unique(labels, return_inverse=True, return_counts=True)
    able = np.flatnonzero((labels >= 0) & (counts[numbers] > 1))
    return able[:: max(1, -(-len(able) // most))]
