"""How a collection is split and served: shards, replicas, processes, machines, and what a month costs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from benchmarks.scale.model import Model
from benchmarks.scale.queueing import Station, arrivals, fan_out, waits

MONTH = 730
"""Hours."""

FULL = 0.8
"""So busy a shard may be once it has lost a replica."""

QUERIES = 4000


@dataclass(frozen=True, slots=True)
class Asked:
    """What the caller wants and what things cost; prices are assumptions, in one currency."""

    rate: float = 100.0
    shard_rows: int = 10_000_000
    replicas: int = 2
    spread: float = 0.5
    up: float = 0.99
    cores: int = 16
    memory_gb: float = 64.0
    core_hour: float = 0.05
    gb_month: float = 0.10
    card_hour: float = 3.00
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """n pictures as `shards` indexes of `rows` each, every one on `asked.replicas` copies."""

    model: Model
    asked: Asked
    n: int

    @property
    def shards(self) -> int:
        """How many indexes."""
        return -(-self.n // self.asked.shard_rows)

    @property
    def rows(self) -> int:
        """Pictures of one of them."""
        return -(-self.n // self.shards)

    @property
    def station(self) -> Station:
        """One shard; it has processes enough to go on with one replica fewer."""
        each = self.model.query_seconds(self.rows)
        left = max(1, self.asked.replicas - 1)
        processes = max(1, math.ceil(self.asked.rate * each / left / FULL))
        return Station(each, self.asked.spread, self.asked.replicas, processes)

    @property
    def processes(self) -> int:
        """Those of all replicas of all shards."""
        return self.shards * self.station.replicas * self.station.processes

    @property
    def memory_gb(self) -> float:
        """Memory of all of them; each has a view of its own."""
        return self.processes * self.model.memory_bytes(self.rows) / 1e9

    @property
    def machines(self) -> int:
        """At least as many as replicas; cores for the processes, and memory for their views."""
        needed = max(self.processes / self.asked.cores, self.memory_gb / self.asked.memory_gb)
        return max(self.asked.replicas, math.ceil(needed))

    @property
    def disk_gb(self) -> float:
        """One copy: vectors, database and view."""
        one = self.model.segment_bytes(self.rows) + self.model.database_bytes(self.rows)
        return self.shards * (one + self.model.view_bytes(self.rows)) / 1e9

    @property
    def serving_month(self) -> float:
        """Money for the cores of a month, or for as many as have the memory where that is more."""
        by_memory = self.memory_gb / (self.asked.memory_gb / self.asked.cores)
        return max(self.processes, by_memory) * MONTH * self.asked.core_hour

    @property
    def disk_month(self) -> float:
        """Money for the replicas' copies and the writer's own."""
        return self.disk_gb * (self.asked.replicas + 1) * self.asked.gb_month

    @property
    def build_hours(self) -> float:
        """CPU hours to build the views of all shards."""
        return self.shards * self.model.build_seconds(self.rows) / 3600


@dataclass(frozen=True, slots=True)
class Served:
    """Seconds as simulated: the mean wait at one shard, quantiles of one shard and of the slowest."""

    wait: float
    one_p50: float
    one_p99: float
    all_p50: float
    all_p99: float
    predicted_p99: float


def simulate(plan: Plan, station: Station) -> Served:
    """What queries see that come as a Poisson process and wait for all shards, the first tenth left out."""
    chance = np.random.default_rng(plan.asked.seed)
    times = arrivals(plan.asked.rate, QUERIES, chance)
    settled = slice(QUERIES // 10, None)
    one, slowest = fan_out(station, plan.shards, times, chance)
    # A long run of one shard: the quantile that all shards together ask of it lies far out.
    many = arrivals(plan.asked.rate, 25 * QUERIES, chance)
    waited, answered = waits(station, many, chance)
    return Served(
        float(waited.mean()),
        float(np.quantile(one[settled], 0.5)),
        float(np.quantile(answered, 0.99)),
        float(np.quantile(slowest[settled], 0.5)),
        float(np.quantile(slowest[settled], 0.99)),
        float(np.quantile(answered, 0.99 ** (1 / plan.shards))),
    )
