"""python -m benchmarks startup: whole cold processes, from the shell to the answer, in turn."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import click
from PIL import Image, ImageOps

from benchmarks.indexing.photos import gather, make_crops, pick
from benchmarks.machine import Cost
from benchmarks.peers.children import run_child, simsearch
from benchmarks.peers.environments import bench_folder
from benchmarks.report import Report, Table, emit
from benchmarks.startup.made import make_index

REAL = 24
TORCH = (
    "import sys\n"
    "from simsearch.engine.search import Searcher\n"
    "with Searcher(sys.argv[1], runtime='torch') as searcher:\n"
    "    print(searcher.query_path(sys.argv[2]))\n"
)
NEW, BY_TORCH, INDEXED, HELP, PASS = (
    *("simsearch query NEW.jpg", "the same through torch", "simsearch query INDEXED.jpg"),
    *("simsearch --help", "python -c pass"),
)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command("startup")
@click.option("--folder", type=FOLDER, help="Photos for the index. [default: crops of the sample photos]")
@click.option("--model", default="auto", show_default=True)
@click.option("--weights", type=FILE, help="Checkpoint of the model.")
@click.option("--rows", default=100_000, show_default=True, help="Vectors in the index.")
@click.option("--pairs", default=7, show_default=True, help="Rounds; medians of them are reported.")
@click.option(
    "--json", "target", type=click.Path(dir_okay=False, path_type=Path), help="Write the JSON here."
)
def startup(
    folder: Path | None, model: str, weights: Path | None, rows: int, pairs: int, target: Path | None
) -> None:
    """Seconds from the shell to the answer: a new photo, an indexed one, the help."""
    flags = ("--model", model, *(("--weights", str(weights)) if weights else ()))
    bench_folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=bench_folder()) as name:
        place = Path(name)
        photos = place / "photos"
        gather(pick(folder, REAL), photos) if folder else make_crops(photos, REAL)
        make_index(photos, place / "index", flags, rows)
        rounds = _measure(place, photos, pairs)
    words = ["python -m benchmarks startup", *([f"--folder {folder.name}"] if folder else [])]
    words += [f"--model {model}", *([f"--weights {weights.name}"] if weights else [])]
    command = " ".join([*words, f"--rows {rows} --pairs {pairs}"])
    emit(_report(command, f"{rows:,} vectors, {model}", rounds), target)


def _measure(place: Path, photos: Path, pairs: int) -> dict[str, list[Cost]]:
    index, indexed = place / "index", min(photos.iterdir())
    new = place / "new.jpg"
    with Image.open(indexed) as image:
        # Other bytes, so that no stored vector answers.
        ImageOps.mirror(image.convert("RGB")).save(new, quality=90)
    commands: dict[str, Sequence[str]] = {
        NEW: simsearch("query", new, "-i", index, "-q"),
        BY_TORCH: [sys.executable, "-c", TORCH, str(index), str(new)],
        INDEXED: simsearch("query", indexed, "-i", index, "-q"),
        HELP: simsearch("--help"),
        PASS: [sys.executable, "-c", "pass"],
    }
    # The disk is warm: every command ran once before.
    for command in commands.values():
        run_child(command)
    rounds: dict[str, list[Cost]] = {name: [] for name in commands}
    for number in range(pairs):
        for name in list(commands) if number % 2 == 0 else reversed(commands):
            rounds[name].append(run_child(commands[name]).cost)
    return rounds


def _report(command: str, title: str, rounds: dict[str, list[Cost]]) -> Report:
    walls = {name: [cost.wall for cost in costs] for name, costs in rounds.items()}
    cpus = {name: [cost.cpu for cost in costs] for name, costs in rounds.items()}
    bars = {NEW: 1.2, INDEXED: 0.7}
    rows = tuple(
        (name, median(wall), min(wall), max(wall), median(cpus[name]), bars.get(name))
        for name, wall in walls.items()
    )
    over = {
        "query NEW.jpg against torch": [a / b for a, b in zip(walls[NEW], walls[BY_TORCH], strict=True)],
        "the same in CPU time": [a / b for a, b in zip(cpus[NEW], cpus[BY_TORCH], strict=True)],
        "--help less python -c pass, s": [a - b for a, b in zip(walls[HELP], walls[PASS], strict=True)],
        "the same in CPU s": [a - b for a, b in zip(cpus[HELP], cpus[PASS], strict=True)],
    }
    most = (0.35, None, 0.2, None)
    compared = tuple(
        (name, median(values), min(values), max(values), bar)
        for (name, values), bar in zip(over.items(), most, strict=True)
    )
    names = ("median", "lowest", "highest")
    count = len(walls[NEW])
    tables = (
        Table(f"{title}; {count} rounds", ("seconds", *names, "CPU s", "at most"), rows),
        Table(f"{title}: compared", ("in each round", *names, "at most"), compared),
    )
    return Report("startup", command, tables, {"wall": walls, "cpu": cpus, "compared": over})
