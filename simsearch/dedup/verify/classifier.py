"""Ten numbers -> a probability, by a logistic regression over them, their squares and products."""

from __future__ import annotations

import functools
import json
import math
from dataclasses import dataclass
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from simsearch.dedup.verify.align import NAMES
from simsearch.errors import SimsearchError

FILE = "coefficients.json"
SUREST = 13.8
"""Log odds of the surest pair, a probability of .999999: only what is certain has 1.0."""

LARGEST = 4.0
"""Standardised numbers are held within this many deviations: far outside nothing was learned."""


@dataclass(frozen=True, slots=True)
class Classifier:
    """A quadratic logistic regression.

    Attributes:
        name: what it was trained on, and when it changes.
        mean, deviation: of the ten numbers where it was trained, float64 (10,).
        weights: of the 65 terms of `expanded`, float64 (65,).
        bias: the constant term.
        threshold: the probability from which on precision was .999 on photos not trained on.
        probable: the same for precision .99.
    """

    name: str
    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    weights: NDArray[np.float64]
    bias: float
    threshold: float
    probable: float

    @property
    def doubtful(self) -> float:
        """Below this no pair is called probably a copy, whatever threshold a collection is given."""
        return self.probable / 2

    def probability(self, values: NDArray[np.float64]) -> float:
        """The probability of a copy for the ten `values` of `align.numbers`."""
        terms = expanded((values - self.mean) / self.deviation)
        return 1 / (1 + math.exp(-min(max(float(terms @ self.weights) + self.bias, -SUREST), SUREST)))


def expanded(standard: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standardised numbers (…, 10) with their squares and products behind them, (…, 65)."""
    held = np.clip(standard, -LARGEST, LARGEST)
    first, second = np.triu_indices(held.shape[-1])
    return np.concatenate([held, held[..., first] * held[..., second]], axis=-1)


@functools.cache
def shipped() -> Classifier:
    """The classifier that comes with simsearch; what it was trained on stands in its file."""
    told = json.loads(resources.files(__package__).joinpath(FILE).read_text(encoding="utf-8"))
    if tuple(told["numbers"]) != NAMES:
        raise SimsearchError(f"{FILE} is not of this version of simsearch. Install simsearch again.")
    return Classifier(
        str(told["name"]),
        np.array(told["mean"]),
        np.array(told["deviation"]),
        np.array(told["weights"]),
        float(told["bias"]),
        float(told["threshold"]),
        float(told["probable"]),
    )
