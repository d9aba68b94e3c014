"""An even sample of the photos below folders, decoded, the same one each time."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from simsearch.errors import SimsearchError
from simsearch.framing import Framing
from simsearch.media.decode import DecodeLimits
from simsearch.media.formats import looks_like_picture
from simsearch.media.pool import DecodePool
from simsearch.media.scan import ScannedFile, ScanRules
from simsearch.media.sources.walk import scan
from simsearch.models.runners import available_threads
from simsearch.paths import fold, join
from simsearch.records import Decoded

ENOUGH = 64
HELD = 4 * ENOUGH
"""So many paths are held at most, so that some may fail to be read or be copies of others."""


def sample_photos(
    paths: Sequence[bytes], framing: Framing, rules: ScanRules, max_pixels: int
) -> NDArray[np.uint8]:
    """`ENOUGH` different photos at or below `paths`, uint8 (n, crop, crop, 3).

    The same files give the same photos. Raises SimsearchError where there are fewer.
    """
    chosen = _even(_pictures(paths, rules))
    random.Random(0).shuffle(chosen)
    found: dict[bytes, NDArray[np.uint8]] = {}
    threads = available_threads()
    limits = DecodeLimits(max_pixels=max_pixels)
    with DecodePool(threads, framing, limits=limits) as pool, ThreadPoolExecutor(threads) as readers:
        for start in range(0, len(chosen), ENOUGH):
            for outcome in readers.map(pool.read, chosen[start : start + ENOUGH]):
                if isinstance(outcome, Decoded):
                    found.setdefault(outcome.digest, outcome.pixels)
            if len(found) >= ENOUGH:
                return np.stack(list(found.values())[:ENOUGH])
    raise SimsearchError(
        f"int8 fits its arithmetic to {ENOUGH} different photos, and {len(found)} can be read there. Index "
        "without --precision, or begin the index with a larger folder."
    )


def _pictures(paths: Sequence[bytes], rules: ScanRules) -> Iterator[bytes]:
    """Paths that are pictures by their names, in the order of a scan."""
    for root in fold(list(paths)):
        for found in scan(root, b"", rules):
            if isinstance(found, ScannedFile) and looks_like_picture(found.relpath or root):
                yield join(root, found.relpath)


def _even(paths: Iterator[bytes]) -> list[bytes]:
    """Every so-manieth of them, `HELD` at most; memory does not grow with their number."""
    kept: list[bytes] = []
    stride = 1
    for number, path in enumerate(paths):
        if number % stride == 0:
            kept.append(path)
        if len(kept) > HELD:
            kept = kept[::2]
            stride *= 2
    return kept
