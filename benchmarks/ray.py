"""python -m benchmarks ray: what the engine ray costs on one machine against the local one, in turn."""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import median

import click

from benchmarks.indexing.photos import gather, make_crops, pick
from benchmarks.peers.children import run_child, simsearch
from benchmarks.peers.environments import bench_folder
from benchmarks.report import Cell, Report, Table, emit

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
ENGINES: dict[str, tuple[str, ...]] = {
    "--engine local": (),
    "--engine ray, an actor a machine": ("--engine", "ray"),
    "--engine ray, an actor a core": ("--engine", "ray", "--workers", "1"),
}


@click.command("ray")
@click.option("--folder", type=FOLDER, help="Photos. [default: crops of the sample photos]")
@click.option("--photos", default=1000, show_default=True)
@click.option("--model", default="efficientnet_lite0", show_default=True)
@click.option("--rounds", default=3, show_default=True, help="Medians of them are reported.")
@click.option(
    "--json", "target", type=click.Path(dir_okay=False, path_type=Path), help="Write the JSON here."
)
def ray(folder: Path | None, photos: int, model: str, rounds: int, target: Path | None) -> None:
    """Seconds of a run by Ray on this machine, and of one without."""
    bench_folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=bench_folder()) as name:
        place = Path(name)
        if folder is None:
            make_crops(place / "photos", photos)
        else:
            gather(pick(folder, photos), place / "photos")
        found = _measure(place, model, rounds)
    words = ["python -m benchmarks ray", *([f"--folder {folder.name}"] if folder else [])]
    command = " ".join([*words, f"--photos {photos} --model {model} --rounds {rounds}"])
    emit(_report(command, f"{photos:,} photos, {model}", found), target)


def _measure(place: Path, model: str, rounds: int) -> dict[str, list[dict[str, float]]]:
    """By engine and round: seconds of the whole command, its own, and photos embedded."""
    # The network is prepared and the disk is warm before anything is measured.
    run_child(simsearch("index", place / "photos", "-i", place / "warm", "--model", model, "-q"))
    found: dict[str, list[dict[str, float]]] = {name: [] for name in ENGINES}
    for number in range(rounds):
        for name in list(ENGINES) if number % 2 == 0 else reversed(ENGINES):
            index = place / f"{number}-{len(found[name])}-{list(ENGINES).index(name)}"
            flags: list[str | Path] = ["-i", index, "--model", model, "--json", *ENGINES[name]]
            done = run_child(simsearch("index", place / "photos", *flags))
            report = done.answer()
            found[name].append(
                {
                    "wall": done.cost.wall,
                    "own": report["seconds"],
                    "embedded": report["embedded"],
                }
            )
    return found


def _report(command: str, title: str, found: dict[str, list[dict[str, float]]]) -> Report:
    rows: list[tuple[Cell, ...]] = []
    for name, runs in found.items():
        own = [run["own"] for run in runs]
        rate = median(run["embedded"] / run["own"] for run in runs)
        rows.append((name, median(run["wall"] for run in runs), median(own), min(own), max(own), rate))
    columns = ("engine", "whole command, s", "own seconds", "lowest", "highest", "photos/s")
    local = found["--engine local"]
    over: tuple[tuple[Cell, ...], ...] = tuple(
        (
            name,
            *(f([a["own"] - b["own"] for a, b in zip(runs, local, strict=True)]) for f in (median, min, max)),
        )
        for name, runs in found.items()
        if runs is not local
    )
    tables = (
        Table(f"{title}; {len(local)} rounds", columns, tuple(rows)),
        Table(
            f"{title}: seconds more than the local engine",
            ("in each round", "median", "lowest", "highest"),
            over,
        ),
    )
    return Report("ray", command, tables, {"runs": found})
