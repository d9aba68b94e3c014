"""python -m benchmarks indexing: its parts, each with a report of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from benchmarks.indexing import many, ratios
from benchmarks.indexing.checkpoint import write_checkpoint
from benchmarks.indexing.limits import Subject, against_limits
from benchmarks.indexing.photos import gather, make_crops, make_large, pick
from benchmarks.indexing.rivals import against_peers, peer_speed
from benchmarks.peers.environments import bench_folder
from benchmarks.peers.photos import FASTDUP_PEER, LITE, LOOP, PEERS, RESNET
from benchmarks.report import Report, emit
from benchmarks.samples import originals
from simsearch.models.embedder import Embedder

PARTS = ("photos", "large", "fastdup", "peers", "unchanged", "memory")
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
LOOP_SLOWER, LOOP_SLOWER_LARGE = 1.8, 2.5


@dataclass(frozen=True, slots=True)
class Settings:
    """What was asked for on the command line."""

    folder: Path | None
    large_from: Path | None
    weights: Path | None
    photos: int
    large: int
    pairs: int
    files: int

    def command(self, part: str) -> str:
        """The command that runs one part again, with names for paths."""
        words = ["python -m benchmarks indexing --part", part]
        if part in ("photos", "fastdup", "peers"):
            words += [f"--folder {self.folder.name}"] if self.folder else []
            words.append(f"--photos {self.photos}")
        if part == "large":
            words += [f"--large-from {self.large_from.name}"] if self.large_from else []
            words.append(f"--large {self.large}")
        if part in ("photos", "large", "peers") and self.weights:
            words.append(f"--weights {self.weights.name}")
        if part in ("unchanged", "memory"):
            words.append(f"--files {self.files}" if part == "unchanged" else f"--photos {self.photos}")
        return " ".join([*words, *([] if part == "memory" else [f"--pairs {self.pairs}"])])


@click.command("indexing")
@click.option("--part", "parts", type=click.Choice(PARTS), multiple=True, help="Only this; repeatable.")
@click.option("--folder", type=FOLDER, help="Photos to index. [default: crops of the sample photos]")
@click.option("--large-from", type=FOLDER, help="Photos of 4000 x 2250 for 10-megapixel ones to be made of.")
@click.option("--weights", type=FILE, help="ResNet-50 checkpoint for all. [default: random weights]")
@click.option("--photos", default=500, show_default=True, help="So many photos of the folder.")
@click.option("--large", default=240, show_default=True, help="So many 10-megapixel photos.")
@click.option("--pairs", default=5, show_default=True, help="Rounds; medians of them are reported.")
@click.option("--files", default=100_000, show_default=True, help="Files of which none changed.")
@click.option(
    "--json", "target", type=click.Path(file_okay=False, path_type=Path), help="Folder of the JSON."
)
def indexing(
    parts: tuple[str, ...],
    folder: Path | None,
    large_from: Path | None,
    weights: Path | None,
    photos: int,
    large: int,
    pairs: int,
    files: int,
    target: Path | None,
) -> None:
    """Photos a second against the machine's limits and against peers; runs with nothing to do; memory."""
    settings = Settings(folder, large_from, weights, photos, large, pairs, files)
    for part in parts or PARTS:
        with _workplace() as place:
            report = _run(part, settings, place)
            # Before the folder goes, which takes minutes where it holds very many files.
            emit(report, target / f"{report.case}.json" if target else None)
            click.echo()


@contextmanager
def _workplace() -> Iterator[Path]:
    home = bench_folder()
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home) as place:
        yield Path(place)


def _run(part: str, settings: Settings, place: Path) -> Report:
    case, command = f"indexing-{part}", settings.command(part)
    if part == "unchanged":
        table, figures = many.unchanged(place, settings.files, settings.pairs)
        return Report(case, command, (table,), figures)
    if part == "memory":
        table, figures = many.memory(place, settings.photos)
        return Report(case, command, (table,), figures)
    folder = _folder(part, settings, place)
    shared = write_checkpoint(settings.weights, place / "resnet50.pth")
    weights = settings.weights or shared
    if part in ("photos", "large"):
        resnet = _resnet(folder, weights)
        rounds = against_limits(resnet, lambda: peer_speed(LOOP, folder, shared)[0], settings.pairs)
        what = f"{rounds.photos} photos of {_megabytes(folder):.2f} MB, ResNet-50"
        bar = LOOP_SLOWER if part == "photos" else LOOP_SLOWER_LARGE
        return Report(case, command, ratios.tables(rounds, what, bar), ratios.figures(rounds))
    ours = {LITE: Subject(folder, ("--model", LITE), Embedder(LITE))}
    if part == "peers":
        ours[RESNET] = _resnet(folder, weights)
    peers = (FASTDUP_PEER,) if part == "fastdup" else PEERS
    table, figures = against_peers(ours, peers, shared, settings.pairs)
    return Report(case, command, (table,), figures)


def _folder(part: str, settings: Settings, place: Path) -> Path:
    into = place / "photos"
    if part == "large":
        sources = pick(settings.large_from, settings.large) if settings.large_from else originals()
        return make_large(sources, into, settings.large)
    if settings.folder is None:
        return make_crops(into, settings.photos)
    return gather(pick(settings.folder, settings.photos), into)


def _resnet(folder: Path, weights: Path) -> Subject:
    flags = ("--model", RESNET, "--weights", str(weights))
    return Subject(folder, flags, Embedder(RESNET, weights=str(weights)))


def _megabytes(folder: Path) -> float:
    sizes = [path.stat().st_size for path in folder.iterdir()]
    return sum(sizes) / len(sizes) / 1e6
