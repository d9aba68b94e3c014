"""Several examples -> one vector: more like these pictures, less like those."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simsearch.engine.queries.region import Box
from simsearch.errors import QueryInvalid

Vectors = NDArray[np.float32]

PLUS, MINUS = 1.0, 0.25
"""What an example weighs that says nothing itself."""

MOST = 1e6
"""Beside an example of such a weight a usual one is lost in the last digits of a vector."""

_TINY = 1e-6


@dataclass(frozen=True, slots=True)
class Example:
    """A picture that a query is to be like, or unlike.

    Attributes:
        source: what `Searcher.vector_of` takes: a path, the bytes of a picture, an id, an array.
        weight: above 0, at most `MOST`; None is 1 for a picture to be like and 0.25 for one to be unlike.
        box: a region of it; None is the whole.

    Raises QueryInvalid for another weight.
    """

    source: Any
    weight: float | None = None
    box: Box | None = None

    def __post_init__(self) -> None:
        if self.weight is not None and not 0 < self.weight <= MOST:
            raise QueryInvalid(f"A weight is a number above 0 and at most {MOST:g}, not {self.weight:g}.")


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """An example that was looked at: its unit vector (dim,), weight, and absolute paths that are itself."""

    vector: Vectors
    weight: float | None = None
    own: tuple[bytes, ...] = ()


def rocchio(plus: Sequence[Seen], minus: Sequence[Seen] = ()) -> Vectors:
    """The unit vector, float32 (dim,), of sum(w p) / sum(w) - sum(v m) / n.

    p with weight w are the examples to be like, m with weight v the n to be unlike: Rocchio, Relevance
    feedback in information retrieval, in The SMART Retrieval System, 1971. What is unwanted counts a fraction
    of what is wanted, as https://nlp.stanford.edu/IR-book/html/htmledition/the-rocchio71-algorithm-1.html
    advises. One example alone keeps its vector as it is.

    Raises QueryInvalid without an example to be like, and where the two sides cancel out.
    """
    if not plus:
        raise QueryInvalid("A query needs at least one picture to be like.")
    if len(plus) == 1 and not minus:
        return plus[0].vector
    weights = _weights(plus, PLUS)
    moved = weights @ _rows(plus) / weights.sum()
    if minus:
        moved -= _weights(minus, MINUS) @ _rows(minus) / len(minus)
    length = float(np.linalg.norm(moved))
    if not math.isfinite(length) or length < _TINY:
        raise QueryInvalid("What the photos are to be like and unlike cancels out. Change the weights.")
    return np.asarray(moved / length, dtype=np.float32)


def _weights(seen: Sequence[Seen], usual: float) -> NDArray[np.float64]:
    return np.array([usual if one.weight is None else one.weight for one in seen])


def _rows(seen: Sequence[Seen]) -> NDArray[np.float64]:
    return np.stack([one.vector for one in seen]).astype(np.float64)
