"""Queries that wait: a simulation event by event, and the closed forms that it is held against."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Seconds = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Station:
    """One shard: `replicas`, each with `processes` that answer one batch at a time.

    A query takes `each` seconds on average, spread as a gamma distribution with the coefficient of variation
    `spread` (0: always the same, 1: exponential). A process that becomes free takes all that waits, at most
    `batch` queries, and pays `fixed` seconds once for them.
    """

    each: float
    spread: float = 0.0
    replicas: int = 1
    processes: int = 1
    fixed: float = 0.0
    batch: int = 1

    @property
    def alone(self) -> float:
        """Mean seconds of a query that waits for nothing and is alone in its batch."""
        return self.fixed + self.each

    def busy(self, rate: float) -> float:
        """The share of time that a process works, at `rate` queries a second without any batch."""
        return rate * self.alone / (self.replicas * self.processes)


def arrivals(rate: float, count: int, chance: np.random.Generator) -> Seconds:
    """When `count` queries come, in seconds, as a Poisson process of `rate` a second."""
    return np.cumsum(chance.exponential(1 / rate, count))


def waits(station: Station, times: Seconds, chance: np.random.Generator) -> tuple[Seconds, Seconds]:
    """(seconds waited, seconds until answered) of each query of one shard; queries go to a replica by lot."""
    drawn = _drawn(station, len(times), chance)
    where = chance.integers(0, station.replicas, len(times))
    waited, answered = np.empty(len(times)), np.empty(len(times))
    for replica in range(station.replicas):
        own = np.flatnonzero(where == replica)
        begun, done = _first_come_first_served(station, times[own].tolist(), drawn[own].tolist())
        waited[own], answered[own] = begun - times[own], done - times[own]
    return waited, answered


def fan_out(
    station: Station, shards: int, times: Seconds, chance: np.random.Generator
) -> tuple[Seconds, Seconds]:
    """(seconds until the first shard has answered each query, until all `shards` have), which work apart."""
    _, one = waits(station, times, chance)
    slowest = one
    for _ in range(shards - 1):
        slowest = np.maximum(slowest, waits(station, times, chance)[1])
    return one, slowest


def mean_wait(station: Station, rate: float) -> float:
    """Mean seconds that a query waits, without batches; infinite where the shard cannot keep up.

    With one process a replica the formula of Pollaczek and Khinchine; with several, Erlang's C times
    (1 + spread^2) / 2, which is exact for exponential times (Allen and Cunneen's approximation otherwise).
    See Gross, Shortle, Thompson and Harris, Fundamentals of Queueing Theory,
    https://doi.org/10.1002/9781118625651
    """
    load, servers = rate / station.replicas * station.alone, station.processes
    if load >= servers:
        return math.inf
    terms = [1.0]
    for number in range(1, servers + 1):
        terms.append(terms[-1] * load / number)
    tail = terms[servers] * servers / (servers - load)
    waiting = tail / (sum(terms[:servers]) + tail)
    return waiting * station.alone / (servers - load) * (1 + station.spread**2) / 2


def share_for_all(share: float, shards: int) -> float:
    """Which quantile of one shard is the `share` quantile of the slowest of independent `shards`.

    All are below a time with the probability F^shards. See Dean and Barroso, The Tail at Scale,
    https://doi.org/10.1145/2408776.2408794
    """
    return float(share ** (1 / shards))


def all_answer(up: float, replicas: int, shards: int) -> float:
    """The probability that each shard has a replica that is up, when each one is with probability `up`."""
    return float((1 - (1 - up) ** replicas) ** shards)


def _drawn(station: Station, count: int, chance: np.random.Generator) -> Seconds:
    if not station.spread:
        return np.full(count, station.each)
    shape = station.spread**-2
    return chance.gamma(shape, station.each / shape, count)


def _first_come_first_served(
    station: Station, times: list[float], drawn: list[float]
) -> tuple[Seconds, Seconds]:
    """When each query of one replica is begun and when it is done."""
    begun, done = np.empty(len(times)), np.empty(len(times))
    free = [0.0] * station.processes
    first = 0
    while first < len(times):
        start = max(free[0], times[first])
        last = first + 1
        while last < len(times) and last - first < station.batch and times[last] <= start:
            last += 1
        end = start + station.fixed + sum(drawn[first:last])
        begun[first:last], done[first:last] = start, end
        heapq.heapreplace(free, end)
        first = last
    return begun, done
