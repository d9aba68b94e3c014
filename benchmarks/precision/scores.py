"""How good and how quick: mean average precision, cosine to float32, and rates measured in turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simsearch.models.labels.measuring import Runner

BATCH = 32

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Rate:
    """Pictures a CPU second and a wall second, medians over the rounds."""

    cpu: float
    wall: float


def embedded(runner: Runner, pixels: NDArray[np.uint8]) -> Vectors:
    """The vectors of all pictures."""
    return np.concatenate([runner.run(pixels[i : i + BATCH]) for i in range(0, len(pixels), BATCH)])


def mean_average_precision(vectors: Vectors, labels: NDArray[np.int64]) -> float:
    """Each picture asks for the others of its label, by cosine."""
    scores = vectors @ vectors.T
    np.fill_diagonal(scores, -np.inf)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :-1]
    right = labels[order] == labels[:, None]
    precision = np.cumsum(right, axis=1) / np.arange(1, right.shape[1] + 1)
    return float(np.mean((precision * right).sum(axis=1) / right.sum(axis=1)))


def cosines(vectors: Vectors, reference: Vectors) -> tuple[float, float]:
    """Lowest and mean cosine between the two vectors of each picture."""
    each = (vectors * reference).sum(axis=1)
    return float(each.min()), float(each.mean())


def rates(
    runners: Mapping[str, Runner], pixels: NDArray[np.uint8], rounds: int
) -> tuple[dict[str, Rate], dict[str, Rate]]:
    """The rate of each on the same batch, in turns; and how many times that of the first, pair by pair.

    A batch goes through each of them before the clock runs. On a busy machine the ratio by CPU time holds.
    """
    batch = pixels[:BATCH]
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in runners}
    for turn in range(rounds + 1):
        for name, runner in runners.items():
            wall, cpu = time.perf_counter(), time.process_time()
            runner.run(batch)
            if turn:
                spent[name].append((time.process_time() - cpu, time.perf_counter() - wall))
    first = next(iter(spent.values()))
    seconds = {name: _medians(times) for name, times in spent.items()}
    per_second = {name: Rate(len(batch) / cpu, len(batch) / wall) for name, (cpu, wall) in seconds.items()}
    times = {
        name: Rate(*_medians([(a[0] / b[0], a[1] / b[1]) for a, b in zip(first, own, strict=True)]))
        for name, own in spent.items()
    }
    return per_second, times


def _medians(pairs: list[tuple[float, float]]) -> tuple[float, float]:
    return statistics.median(cpu for cpu, _ in pairs), statistics.median(wall for _, wall in pairs)
