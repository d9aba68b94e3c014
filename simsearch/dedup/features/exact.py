"""Whether two pictures have equal pixels: decided on all of them, decoded in full."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from types import TracebackType

import numpy as np

from simsearch.dedup.features.ahead import spread
from simsearch.dedup.features.collect import read_picture
from simsearch.dedup.records import Pair, Picture
from simsearch.framing import Fitting
from simsearch.media.decode import DecodeLimits
from simsearch.media.pool import DecodePool
from simsearch.models.runners import available_threads
from simsearch.records import Decoded, Skipped


class PixelDigests:
    """SHA-256 of the upright RGB pixels of pictures, each read once.

    Attributes:
        failed: pictures that could not be read, by id.
    """

    def __init__(self, max_pixels: int, workers: int | None = None) -> None:
        self.failed: dict[int, Skipped] = {}
        self._threads = workers or available_threads()
        self._pool = DecodePool(self._threads, Fitting(0), limits=DecodeLimits(max_pixels=max_pixels))
        self._known: dict[int, bytes | None] = {}

    def __enter__(self) -> PixelDigests:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.close()

    def equal(self, pairs: Iterable[tuple[Picture, Picture]]) -> Iterator[Pair]:
        """Those of the `pairs` whose pixels are equal; what can no longer be read is equal to nothing."""
        asked = list(pairs)
        missing = {picture.id: picture for pair in asked for picture in pair if picture.id not in self._known}
        for picture, digest in zip(
            missing.values(), spread(self._digest, missing.values(), self._threads), strict=True
        ):
            self._known[picture.id] = digest
        for one, other in asked:
            digest = self._known[one.id]
            if digest is not None and digest == self._known[other.id]:
                yield Pair(min(one.id, other.id), max(one.id, other.id), "pixels", 1.0)

    def _digest(self, picture: Picture) -> bytes | None:
        found = read_picture(self._pool, picture)
        if isinstance(found, Decoded):
            digest = hashlib.sha256(repr(found.pixels.shape).encode())
            digest.update(np.ascontiguousarray(found.pixels).data)
            return digest.digest()
        self.failed[picture.id] = found
        return None
