"""Whether two pictures have equal pixels: decided on all of them, decoded in full."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from types import TracebackType

from simsearch.dedup.features.ahead import spread
from simsearch.dedup.records import Pair, Picture
from simsearch.framing import Fitting
from simsearch.media.decode import DecodeLimits
from simsearch.media.pool import DecodePool
from simsearch.models.runners import available_threads
from simsearch.records import Decoded


class PixelDigests:
    """SHA-256 of the upright RGB pixels of pictures, each read once."""

    def __init__(self, max_pixels: int, workers: int | None = None) -> None:
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
        for path in picture.paths:
            outcome = self._pool.read(os.fsencode(path))
            if isinstance(outcome, Decoded) and outcome.digest == picture.sha256:
                shape = repr(outcome.pixels.shape).encode()
                return hashlib.sha256(shape + outcome.pixels.tobytes()).digest()
        return None
