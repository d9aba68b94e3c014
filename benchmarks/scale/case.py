"""python -m benchmarks scale: from unit costs to bytes, machines, hours and money."""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path

import click

from benchmarks.report import RESULTS, Report, emit
from benchmarks.scale import measure
from benchmarks.scale.model import Model
from benchmarks.scale.plan import Asked
from benchmarks.scale.tables import service, sizes
from benchmarks.scale.tables.limits import limit_table
from benchmarks.scale.units import read

PARTS = ("units", "simulation")
DIM = 2048
USUAL = Asked()


@click.command("scale")
@click.option(
    "--part",
    type=click.Choice(PARTS),
    default="simulation",
    show_default=True,
    help="What to do; units first.",
)
@click.option(
    "--rows", type=click.IntRange(512), default=100_000, show_default=True, help="Photos made for the units."
)
@click.option(
    "--queries-per-second",
    "rate",
    type=click.FloatRange(0, min_open=True),
    default=USUAL.rate,
    show_default=True,
)
@click.option(
    "--shard-rows",
    type=click.IntRange(1),
    default=USUAL.shard_rows,
    show_default=True,
    help="Pictures of a shard, at most.",
)
@click.option(
    "--replicas",
    type=click.IntRange(1),
    default=USUAL.replicas,
    show_default=True,
    help="Copies of each shard.",
)
@click.option(
    "--spread",
    type=click.FloatRange(0),
    default=USUAL.spread,
    show_default=True,
    help="Coefficient of variation of a query's time.",
)
@click.option(
    "--up",
    type=click.FloatRange(0, 1),
    default=USUAL.up,
    show_default=True,
    help="Share of time that a replica is up.",
)
@click.option(
    "--cores", type=click.IntRange(1), default=USUAL.cores, show_default=True, help="Cores of a machine."
)
@click.option(
    "--memory-gb",
    type=click.FloatRange(0, min_open=True),
    default=USUAL.memory_gb,
    show_default=True,
    help="Memory of a machine.",
)
@click.option(
    "--price-core-hour", "core_hour", type=click.FloatRange(0), default=USUAL.core_hour, show_default=True
)
@click.option(
    "--price-gb-month", "gb_month", type=click.FloatRange(0), default=USUAL.gb_month, show_default=True
)
@click.option(
    "--price-gpu-hour", "card_hour", type=click.FloatRange(0), default=USUAL.card_hour, show_default=True
)
@click.option("--seed", default=USUAL.seed, show_default=True)
@click.option(
    "--json", "target", type=click.Path(dir_okay=False, path_type=Path), help="Where to write the JSON."
)
def scale(part: str, rows: int, target: Path | None, **wanted: float) -> None:
    """What 10^4 to 10^9 pictures take, from the unit costs in benchmarks/results."""
    if part == "units":
        emit(measure.report(rows), target)
    else:
        emit(report(Asked(**wanted)), target)  # type: ignore[arg-type]


def report(asked: Asked, results: Path = RESULTS) -> Report:
    """All tables for what is asked, the same at every call. Raises FileNotFoundError without unit costs."""
    units = read(results)
    model = Model(units, DIM)
    tables = (
        *(sizes.unit_table(units), sizes.fit_table(model), sizes.bytes_table(model)),
        *(sizes.hours_table(units, asked), sizes.work_table(model, asked), sizes.view_table(model)),
        *(
            service.plan_table(model, asked),
            service.latency_table(model, asked),
            service.batch_table(model, asked),
        ),
        *(service.photo_table(model, asked), service.loss_table(asked), limit_table(model, asked)),
    )
    return Report("scale", command(asked), tables, {"asked": asdict(asked)})


def command(asked: Asked) -> str:
    """The command that gives the same tables again."""
    names = {
        "rate": "queries-per-second",
        "core_hour": "price-core-hour",
        "gb_month": "price-gb-month",
        "card_hour": "price-gpu-hour",
    }
    words = ["python -m benchmarks scale"]
    for field in fields(asked):
        value = getattr(asked, field.name)
        if value != getattr(USUAL, field.name):
            words.append(f"--{names.get(field.name, field.name.replace('_', '-'))} {value:g}")
    return " ".join(words)
