"""What the copy detection case was asked for."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.dedup.data import Task, build
from benchmarks.peers.environments import bench_folder
from simsearch.models.choice import ModelChoice


@dataclass(frozen=True, slots=True)
class Settings:
    """What was asked for on the command line; see the options of `python -m benchmarks dedup`."""

    photos: Path
    shots: Path | None
    weights: Path | None
    half: str
    per_class: int
    peers: bool
    draws: int
    rows: tuple[int, ...]
    small: int
    vectors: Path | None

    def task(self) -> Task:
        """The originals of the half, and edited copies of some, made where they are not there yet."""
        place = bench_folder() / "dedup" / self.half
        return build(self.photos, place, self.half, self.per_class, shot_folder=self.shots)

    def command(self, part: str) -> str:
        """The command that runs one part again, with names for paths."""
        words = [f"python -m benchmarks dedup --part {part} --photos {self.photos.name}"]
        words += [f"--shots {self.shots.name}"] if self.shots else []
        words += [f"--weights {self.weights.name}"] if self.weights else []
        if part != "groups":
            words.append(f"--half {self.half} --per-class {self.per_class}")
        if part == "auto":
            words.append(f"--draws {self.draws}")
        if part == "cost":
            words += [*(f"--rows {count}" for count in self.rows), f"--small {self.small}"]
            words += [f"--vectors {self.vectors.name}"] if self.vectors else []
        return " ".join([*words, *(["--peers"] if self.peers and part in ("quality", "cost") else [])])

    @property
    def choice(self) -> ModelChoice:
        """The model of the vectors: ResNet-50 with the weights that were given, else efficientnet_lite0."""
        return (
            ModelChoice("resnet50", str(self.weights)) if self.weights else ModelChoice("efficientnet_lite0")
        )


@contextmanager
def workplace() -> Iterator[Path]:
    """A folder in the bench's own for as long as this is open."""
    bench_folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=bench_folder()) as place:
        yield Path(place)
