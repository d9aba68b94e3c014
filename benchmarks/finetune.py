"""python -m benchmarks finetune: does fine-tuning on half of a collection raise mAP on the other half?"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from benchmarks.precision.scores import mean_average_precision
from benchmarks.report import Report, Table, emit, timed
from simsearch.media.pool import decode_here
from simsearch.models.embedder import Embedder
from simsearch.training.finetune import finetune
from simsearch.training.records import FinetuneConfig

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
PER_CLASS, CLASSES = 100, 10


@dataclass(frozen=True, slots=True)
class Halves:
    """How pictures, called by numbers, are halved: whether a number is in the half that is learned."""

    name: str
    learned: Callable[[int], bool]


HALVES = (
    Halves("pictures", lambda number: number % 2 == 0),
    Halves("classes", lambda number: number // PER_CLASS < CLASSES // 2),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """mAP of the other half, with the weights that a run began with and with those it wrote."""

    half: str
    seed: int
    before: float
    after: float
    epochs: int
    best: int
    seconds: float


@click.command("finetune")
@click.option("--photos", type=FOLDER, required=True, help="Corel-1000: photos by number, a hundred a class.")
@click.option("--model", default="efficientnet_lite0", show_default=True, help="What is fine-tuned.")
@click.option("--weights", metavar="FILE", help="Checkpoint to begin with.")
@click.option("--epochs", type=click.IntRange(min=1), default=5, show_default=True, help="At most so many.")
@click.option("--seed", "seeds", type=int, multiple=True, default=(0, 1, 2), help="Seeds. [default: 0 1 2]")
@click.option(
    "--half",
    "chosen",
    type=click.Choice([halves.name for halves in HALVES]),
    multiple=True,
    default=tuple(halves.name for halves in HALVES),
    help="What is halved. [default: both]",
)
@click.option("--device", default="cpu", show_default=True, help="Where to train.")
@click.option("--json", "target", type=click.Path(dir_okay=False, path_type=Path), help="File of the JSON.")
def learning(
    photos: Path,
    model: str,
    weights: str | None,
    epochs: int,
    seeds: tuple[int, ...],
    chosen: tuple[str, ...],
    device: str,
    target: Path | None,
) -> None:
    """Train on one half, ask in the other: halves of the pictures of each class, and halves of the classes.

    No picture of the half that is asked in is read by the training, which parts its own half into pictures
    to learn, to choose the epoch by, and to judge by.
    """
    outcomes = []
    for halves in HALVES:
        for seed in seeds if halves.name in chosen else ():
            config = FinetuneConfig(model, weights, epochs=epochs, seed=seed, device=device)
            outcomes.append(measure(photos, halves, config))
            print(outcomes[-1], flush=True)
    rows = tuple(
        (
            o.half,
            o.seed,
            f"{o.before:.4f}",
            f"{o.after:.4f}",
            f"{o.after - o.before:+.4f}",
            f"{o.best} of {o.epochs}",
            round(o.seconds),
        )
        for o in outcomes
    )
    columns = ("half of the", "seed", "mAP before", "mAP after", "gain", "best epoch", "seconds")
    table = Table(f"mAP of the other half, {model} fine-tuned on the first", columns, rows)
    given = " ".join([*(f"--half {half}" for half in chosen), *(f"--seed {seed}" for seed in seeds)])
    told = f"python -m benchmarks finetune --photos {photos.name} --model {model} --epochs {epochs} {given}"
    figures = [{"half": o.half, "seed": o.seed, "before": o.before, "after": o.after} for o in outcomes]
    emit(Report("finetune", told, (table,), {"outcomes": figures}), target)


def measure(photos: Path, halves: Halves, config: FinetuneConfig) -> Outcome:
    """Fine-tune on one half, and the mAP of the other one before and after."""
    numbers = {int(path.stem): path for path in photos.iterdir() if path.stem.isdecimal()}
    numbers = {number: numbers[number] for number in range(PER_CLASS * CLASSES)}
    other = [number for number in numbers if not halves.learned(number)]
    labels = np.array([number // PER_CLASS for number in other])
    pictures = [numbers[number] for number in other]
    with tempfile.TemporaryDirectory() as place:
        folder, out = Path(place, "half"), Path(place, "tuned.safetensors")
        for number in numbers.keys() - set(other):
            kind = folder / f"{number // PER_CLASS:02d}"
            kind.mkdir(parents=True, exist_ok=True)
            os.symlink(numbers[number].absolute(), kind / numbers[number].name)
        report, cost = timed(lambda: finetune(folder, out, config, note=print))
        before, after = (
            mean_average_precision(_vectors(pictures, Embedder(config.model, weights=file)), labels)
            for file in (config.weights, str(out))
        )
    return Outcome(halves.name, config.seed, before, after, len(report.epochs), report.best, cost.wall)


def _vectors(
    pictures: Sequence[Path], embedder: Embedder
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    framed = [decode_here(path, embedder.spec.framing).pixels for path in pictures]
    return embedder.embed(np.stack(framed))
