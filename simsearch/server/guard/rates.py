"""How often one address may ask: token buckets, so many of them at most."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

SAVED_S = 2.0
MOST = 10_000


class Rates:
    """A bucket for each address, filled with `rate` a second and never with more than two seconds' worth.

    See https://en.wikipedia.org/wiki/Token_bucket. Buckets of addresses that asked least lately are
    forgotten first, so that no number of addresses takes memory.
    """

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._clock = rate, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, address: str) -> float:
        """0 where a request of this address passes; else in how many seconds one would."""
        if not self._rate:
            return 0.0
        now, full = self._clock(), max(1.0, self._rate * SAVED_S)
        saved, since = self._buckets.pop(address, (full, now))
        saved = min(full, saved + (now - since) * self._rate)
        passes = saved >= 1
        self._buckets[address] = (saved - passes, now)
        while len(self._buckets) > MOST:
            self._buckets.popitem(last=False)
        return 0.0 if passes else (1 - saved) / self._rate
