"""Compares some pictures of a collection with each other, for it to know which scores are rare in it."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from simsearch.engine.calibration.rarity import Rarity, key_of
from simsearch.engine.index import Index
from simsearch.engine.ranking import checked_rows
from simsearch.storage import catalog, writer
from simsearch.views.base import Vectors
from simsearch.views.centring import centred

SAMPLE = 2048
"""Two million pairs: a score of one in a million is told from one in two."""

GROWTH = 1.25
BLOCK = 256


def tend_rarity(index: Index, *, anew: bool = False) -> None:
    """Compare a sample of the pictures with each other and keep what came of it, where that is due.

    It is due where nothing is kept, where the collection has grown or shrunk by a quarter since, or `anew`.
    The caller holds the lock. Nothing is kept of fewer than two pictures.
    """
    with index.database.read() as connection:
        settings = catalog.read_settings(connection)
        known = [Rarity.from_settings(settings, center) for center in (False, True)]
        photos = catalog.count(connection, "photos")
    fresh = all(kept and kept.photos / GROWTH <= photos <= kept.photos * GROWTH for kept in known)
    if photos < 2 or (fresh and not anew):
        return
    snapshot = index.snapshot()
    with index.database.read() as connection:
        live = catalog.live_contents(connection)
        chosen = np.random.default_rng(0).choice(len(live), min(SAMPLE, len(live)), replace=False)
        table = catalog.vectors_where(connection, "content_id", live[np.sort(chosen)].tolist())
        rows, mean = checked_rows(index.segments, table), snapshot.middle(connection)
    found = {False: Rarity.of(_pairs(rows), photos), True: Rarity.of(_pairs(centred(rows, mean)), photos)}
    with index.database.write() as connection:
        writer.put_settings(
            connection, {key_of(center): json.dumps(asdict(rarity)) for center, rarity in found.items()}
        )


def _pairs(rows: Vectors) -> NDArray[np.float32]:
    """The cosines of each two rows, float32 (n (n - 1) / 2,)."""
    found = []
    for start in range(0, len(rows), BLOCK):
        scores = rows[start : start + BLOCK] @ rows[start:].T
        found += [scores[row, row + 1 :] for row in range(len(scores))]
    return np.clip(np.concatenate(found), -1.0, 1.0)
