"""The decoding processes of the server: what is shown or sent is decoded in them and nowhere else."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from simsearch.framing import Fitting, Framing
from simsearch.media.decode import DecodeLimits
from simsearch.media.pool import DecodePool
from simsearch.media.thumbs import QUALITY
from simsearch.records import Outcome

WORKERS = 2
SECONDS = 20.0


class Decoders:
    """Pools of decoding processes, one for each way of framing, started when first needed.

    Args:
        workers: processes a pool; so many pictures of a kind are decoded at once.
        seconds: how long one picture may take, before it counts as unreadable.
    """

    def __init__(self, *, workers: int = WORKERS, seconds: float = SECONDS) -> None:
        self.workers, self._seconds = workers, seconds
        self._lock = threading.Lock()
        self._pools: dict[tuple[Framing | Fitting, DecodeLimits], DecodePool] = {}

    def read(
        self,
        path: bytes,
        framing: Framing | Fitting,
        limits: DecodeLimits,
        known: Callable[[bytes], bool] = lambda _: False,
    ) -> Outcome:
        """Read and decode a file, see `DecodePool.read`; waits for a free process."""
        with self._lock:
            pool = self._pools.get((framing, limits))
            if pool is None:
                pool = DecodePool(self.workers, framing, limits=limits, seconds=self._seconds)
                self._pools[framing, limits] = pool
        return pool.read(path, known)

    def close(self) -> None:
        """End all processes at once; a later `read` starts new ones."""
        with self._lock:
            pools, self._pools = list(self._pools.values()), {}
        for pool in pools:
            pool.close()


def seen_at(side: int) -> Fitting:
    """How a picture is decoded that is shown at most `side` pixels wide and high, see `jpeg`."""
    # Twice as large: the last step is then done by a filter that keeps lines smooth.
    return Fitting(2 * side)


def jpeg(pixels: NDArray[np.uint8], side: int) -> bytes:
    """JPEG bytes, without metadata, of uint8 (H, W, 3), made at most `side` pixels wide and high."""
    image = Image.fromarray(pixels)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=QUALITY)
    return out.getvalue()


DECODERS = Decoders()
"""Those of this process."""
