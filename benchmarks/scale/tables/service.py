"""Tables of serving: latency by simulation and by closed forms, batches, lost replicas, and money."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from benchmarks.report import Cell, Table
from benchmarks.scale.model import Model
from benchmarks.scale.plan import QUERIES, Asked, Plan, simulate
from benchmarks.scale.queueing import Station, all_answer, arrivals, mean_wait, waits
from benchmarks.scale.tables.sizes import COUNTS
from benchmarks.scale.units import SIZES

LOADS = (0.5, 0.8, 0.95, 1.05)
BATCHES = (1, 16)


def plan_table(model: Model, asked: Asked) -> Table:
    """Shards, processes, machines and money of each size."""
    rows = []
    for n in COUNTS:
        plan = Plan(model, asked, n)
        station = plan.station
        rows.append(
            (
                *(f"10^{len(str(n)) - 1}", plan.shards, station.replicas, station.processes, plan.processes),
                *(plan.memory_gb, plan.disk_gb, plan.machines, plan.serving_month, plan.disk_month),
            )
        )
    columns = (
        *("pictures", "shards", "replicas", "processes of one", "processes in all", "their memory, GB"),
        *("a copy, GB", "machines", "a month, cores", "a month, disk"),
    )
    note = (
        f"For {asked.rate:g} queries a second by vector. A shard has at most {asked.shard_rows:,} "
        "pictures, and processes enough to be at most 80 % busy with a replica lost. A machine has "
        f"{asked.cores} cores and {asked.memory_gb:g} GB. Money is {asked.core_hour:g} a core and hour "
        f"with {asked.memory_gb / asked.cores:g} GB of memory, {asked.gb_month:g} a GB and month, "
        f"{asked.card_hour:g} a card and hour: assumptions in a currency of your own, no quotes. Disk is "
        "paid for the replicas and the writer's copy."
    )
    return Table("Machines and money", columns, tuple(rows), note)


def latency_table(model: Model, asked: Asked) -> Table:
    """What queries wait and take; one replica of each shard lost, too."""
    rows: list[tuple[Cell, ...]] = []
    for n in COUNTS:
        plan = Plan(model, asked, n)
        station = plan.station
        fewer = replace(station, replicas=max(1, station.replicas - 1))
        seen, lost = simulate(plan, station), simulate(plan, fewer)
        shown = (seen.wait, mean_wait(station, asked.rate), seen.one_p50, seen.one_p99)
        across = (seen.all_p50, seen.all_p99, seen.predicted_p99, lost.all_p99)
        milli = [1000 * seconds for seconds in (*shown, *across)]
        rows.append(
            (f"10^{len(str(n)) - 1}", plan.shards, 1000 * station.alone, station.busy(asked.rate), *milli)
        )
    columns = (
        *(
            "pictures",
            "shards",
            "a query, ms",
            "busy",
            "wait, ms",
            "by formula",
            "p50 of a shard",
            "p99 of a shard",
        ),
        *("p50 of all", "p99 of all", "by quantile", "p99, replicas lost"),
    )
    note = (
        f"Milliseconds; {QUERIES:,} queries, {25 * QUERIES:,} for one shard, a seed of {asked.seed}. They "
        f"come as a Poisson process of {asked.rate:g} a second to every shard and are answered when the "
        "slowest has answered. Times of a query spread by a gamma distribution with a coefficient of "
        f"variation of {asked.spread:g} (assumed: only medians were measured). By quantile: that of a "
        "shard that all together ask for. Lost: one replica of every shard. Network, merging and the "
        "embedding of a photo come on top."
    )
    return Table("Latency", columns, tuple(rows), note)


def batch_table(model: Model, asked: Asked) -> Table:
    """What it does to take all that waits at once: one process, a million pictures."""
    curves = model.units.curves
    fixed = (curves["view_hot_ms"][-1] - curves["view_batch_ms"][-1]) / 1000
    each = curves["query_ms"][-1] / 1000 - fixed
    rows = []
    for load in LOADS:
        rate = load / (fixed + each)
        found = []
        for batch in BATCHES:
            chance = np.random.default_rng(asked.seed)
            station = Station(each, asked.spread, fixed=fixed, batch=batch)
            times = arrivals(rate, 5 * QUERIES, chance)
            _, answered = waits(station, times, chance)
            found += [1000 * float(np.quantile(answered, share)) for share in (0.5, 0.99)]
        rows.append((load, rate, *found))
    columns = ("load", "queries/s", "p50, ms, singly", "p99", "p50, ms, batches", "p99")
    note = (
        f"One process and {SIZES[-1]:,} vectors. Of {1000 * (fixed + each):.2f} ms a query the view's "
        f"search shares {1000 * fixed:.2f} among those of a batch of at most {BATCHES[-1]}; reading "
        "records and vectors does not get cheaper together. A load above 1 grows without end where "
        "nothing is shared."
    )
    return Table("Batches of what waits", columns, tuple(rows), note)


def loss_table(asked: Asked) -> Table:
    """How often all shards answer, and how much of the collection does."""
    rows = [
        (shards, replicas, all_answer(asked.up, replicas, shards), 1 - (1 - asked.up) ** replicas)
        for shards in (1, 10, 100)
        for replicas in (1, 2, 3)
    ]
    columns = ("shards", "replicas", "all shards answer", "share of pictures searched")
    note = f"Each replica is up {asked.up:.0%} of the time, apart from all others (assumed)."
    return Table("With replicas lost", columns, tuple(rows), note)


def photo_table(model: Model, asked: Asked) -> Table:
    """Cores that embed the queries' photos: once before they are asked, or in every shard."""
    units = model.units
    rows = []
    for n in COUNTS:
        plan = Plan(model, asked, n)
        search = asked.rate * plan.shards * plan.station.alone
        small = asked.rate * (units.forward.value + units.decode.value)
        large = asked.rate * (units.forward.value + units.decode_large.value)
        rows.append(
            (
                f"10^{len(str(n)) - 1}",
                plan.shards,
                search,
                small,
                large,
                small * plan.shards,
                large * plan.shards,
            )
        )
    columns = (
        *("pictures", "shards", "searching", "small photos, once", "10 MP, once"),
        *("small photos, every shard", "10 MP, every shard"),
    )
    note = (
        f"Cores that are busy with {asked.rate:g} queries a second, without any room; ResNet-50 on the CPU."
    )
    return Table("Cores of queries by a new photo", columns, tuple(rows), note)
