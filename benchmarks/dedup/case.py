"""python -m benchmarks dedup: copies of photos found again, by simsearch and by its peers."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from benchmarks.dedup.data import HALVES, DataMissing, Task
from benchmarks.dedup.parts.auto import auto
from benchmarks.dedup.parts.cost.case import cost
from benchmarks.dedup.parts.groups import groups
from benchmarks.dedup.parts.settings import Settings, workplace
from benchmarks.dedup.peers import PEERS
from benchmarks.dedup.quality import Method, compare
from benchmarks.dedup.scores import Answers
from benchmarks.machine import Cost, timed
from benchmarks.report import Report, emit

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def quality(settings: Settings) -> Report:
    """Edited copies of some photos, searched among all, by simsearch and, if asked for, by its peers."""
    task = settings.task()
    methods: dict[str, Method] = {"simsearch": partial(_own, task, settings.weights)}
    if settings.peers:
        files = task.originals, [query.path for query in task.asked]
        methods |= {peer.name: partial(peer.answer, *files, settings.weights) for peer in PEERS}
    tables, figures = compare(task, methods)
    return Report("dedup-quality", settings.command("quality"), tables, figures)


PARTS = {"quality": quality, "auto": auto, "groups": groups, "cost": cost}


@click.command("dedup")
@click.option("--part", "parts", type=click.Choice([*PARTS]), multiple=True, help="Only this; repeatable.")
@click.option("--photos", type=FOLDER, required=True, help="Photos called by numbers, 100 a class.")
@click.option("--shots", type=FOLDER, help="Overlapping shots of one scene, to be told apart.")
@click.option("--weights", type=FILE, help="ResNet-50 checkpoint. [default: efficientnet_lite0]")
@click.option(
    "--half",
    type=click.Choice([*HALVES]),
    default="report",
    show_default=True,
    help="Classes to edit photos of.",
)
@click.option("--per-class", default=10, show_default=True, help="So many photos of each class are edited.")
@click.option("--draws", default=20, show_default=True, help="Of part auto.")
@click.option(
    "--rows",
    multiple=True,
    default=(20_000, 100_000, 1_000_000),
    show_default=True,
    help="Of part cost: so many made vectors; repeatable.",
)
@click.option("--small", default=5000, show_default=True, help="Of part cost: so many small photos.")
@click.option("--vectors", type=FOLDER, help="Of part cost: what `search vectors` wrote. [default: made]")
@click.option("--peers", is_flag=True, help="Run the peers too; each is installed at its first run.")
@click.option(
    "--json", "target", type=click.Path(file_okay=False, path_type=Path), help="Folder of the JSON."
)
def dedup(
    parts: tuple[str, ...],
    photos: Path,
    shots: Path | None,
    weights: Path | None,
    half: str,
    per_class: int,
    draws: int,
    rows: tuple[int, ...],
    small: int,
    vectors: Path | None,
    peers: bool,
    target: Path | None,
) -> None:
    """Find edited copies of PHOTOS among all of them: micro-AP, recall at a precision and of each edit."""
    settings = Settings(photos, shots, weights, half, per_class, peers, draws, rows, small, vectors)
    for part in parts or PARTS:
        try:
            report = PARTS[part](settings)
        except DataMissing as exc:
            raise click.ClickException(str(exc)) from exc
        emit(report, target / f"{report.case}.json" if target else None)


def _own(task: Task, weights: Path | None) -> tuple[Answers, str, Cost]:
    """simsearch's answers: every pair that it verified."""
    from benchmarks.dedup.ours import ours

    queries = [query.path for query in task.asked]
    with workplace() as place:
        answers, cost = timed(lambda: ours(task.originals, queries, place, weights))
    model = "ResNet-50" if weights else "efficientnet_lite0"
    return answers, f"candidates by vectors of {model}, hashes and words, each verified", cost
