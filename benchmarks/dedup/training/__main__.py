"""python -m benchmarks.dedup.training: trains the classifier, and writes its coefficients."""

from __future__ import annotations

import json
from pathlib import Path

import click

from benchmarks.dedup.data import A_CLASS, HALVES, Task, build
from benchmarks.dedup.edits import EDITS
from benchmarks.dedup.ours import sides
from benchmarks.dedup.training.fit import EXTREME, trained
from benchmarks.dedup.training.pairs import compared, files
from benchmarks.peers.environments import bench_folder
from simsearch.dedup.candidates.nearest import neighbours_for
from simsearch.dedup.candidates.pairs import HASHED, WORDED
from simsearch.dedup.verify import classifier
from simsearch.dedup.verify.align import NAMES

HALF = "choose"
TARGET = Path(classifier.__file__).with_name(classifier.FILE)
DIGITS = 6


@click.command()
@click.option("--photos", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--weights", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True)
@click.option("--per-class", default=10, show_default=True)
@click.option("--name", required=True, help="What this classifier is called; another one for each training.")
def main(photos: Path, weights: Path, per_class: int, name: str) -> None:
    """Train on the half of the photos that is there to choose on, and write coefficients.json."""
    task = build(photos, bench_folder() / "dedup" / HALF, HALF, per_class)
    originals, queries = files(task)
    with sides(originals, queries, bench_folder() / "dedup" / "training", weights) as found:
        pairs = compared(task, found)
    model, strength = trained(pairs, task, _groups(task))
    told = {
        "name": name,
        "provenance": {
            "command": (
                f"python -m benchmarks.dedup.training --photos {photos.name} --weights {weights.name} "
                f"--per-class {per_class} --name {name}"
            ),
            "photos": f"Corel-1000, classes {', '.join(map(str, HALVES[HALF]))}, and samples of scikit-image",
            "originals": len(task.originals),
            "edited": len({query.original for query in task.queries}),
            "edits": [edit for edit, made in EDITS.items() if made.kind != EXTREME],
            "candidates": {
                "vectors": neighbours_for(len(task.originals)),
                "words": WORDED,
                "hashes": HASHED,
            },
            "pairs": len(pairs),
            "true": sum(pair.truth for pair in pairs),
            "strength": strength,
            "thresholds": "precision .999 and .99 in cross-validation over classes",
        },
        "numbers": list(NAMES),
        "mean": _rounded(model.mean),
        "deviation": _rounded(model.deviation),
        "weights": _rounded(model.weights),
        "bias": round(model.bias, DIGITS),
        "threshold": round(model.threshold, DIGITS),
        "probable": round(model.probable, DIGITS),
    }
    TARGET.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    click.echo(
        f"{TARGET.name}: strength {strength}, threshold {model.threshold:.4f}, probable {model.probable:.4f}"
    )


def _rounded(values: object) -> list[float]:
    return [round(float(value), DIGITS) for value in values]  # type: ignore[attr-defined]


def _groups(task: Task) -> list[int]:
    """The class of each original; pictures of other sources are a group of their own."""
    return [int(path.stem) // A_CLASS if path.stem.isdecimal() else -1 for path in task.originals]


if __name__ == "__main__":
    main()
