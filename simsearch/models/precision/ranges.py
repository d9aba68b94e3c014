"""Ranges: between which numbers each convolution's input and output lie, on a sample of photos."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simsearch.errors import FormatUnknown

Range = tuple[float, float]

INT8 = "int8:"
"""How the precision of a spec begins whose convolutions run in bytes; the ranges follow."""

_PATTERNS = 1 << 16
_FORM = re.compile(r"(?:[0-9a-f]{16}){1,10000}")


@dataclass(frozen=True, slots=True)
class Ranges:
    """For each convolution, in the order of the names of their weights: the lowest and highest input, and
    the same of its output. All are float16 numbers, so that their text is short and exact."""

    layers: tuple[tuple[float, float, float, float], ...]

    @property
    def precision(self) -> str:
        """What the spec of vectors says that are made with these ranges: "int8:" and their bytes in hex."""
        return INT8 + np.asarray(self.layers, dtype="<f2").tobytes().hex()

    @classmethod
    def of_precision(cls, precision: str) -> Ranges:
        """The ranges in a spec's precision. Raises FormatUnknown for anything but what is written there."""
        text = precision.removeprefix(INT8)
        if precision.startswith(INT8) and _FORM.fullmatch(text):
            numbers = np.frombuffer(bytes.fromhex(text), dtype="<f2").astype(np.float64).reshape(-1, 4)
            ordered = (numbers[:, ::2] <= 0) & (numbers[:, 1::2] >= 0) & (numbers[:, ::2] < numbers[:, 1::2])
            if np.isfinite(numbers).all() and ordered.all():
                return cls(tuple((a, b, c, d) for a, b, c, d in numbers.tolist()))
        raise FormatUnknown(
            f"These vectors were made with {precision[:16]} arithmetic, unknown to this version; update "
            "simsearch, or index the photos again into a new index."
        )


class Histogram:
    """Counts of numbers rounded to float16: every number there is has a bin, so memory is flat and one pass
    is enough."""

    def __init__(self) -> None:
        self._counts = np.zeros(_PATTERNS, dtype=np.int64)

    def add(self, values: NDArray[np.float32]) -> None:
        """Count all of `values`."""
        with np.errstate(over="ignore"):
            halves = values.astype(np.float16).ravel()
        self._counts += np.bincount(halves.view(np.uint16), minlength=_PATTERNS)

    def range(self, percent: float) -> Range:
        """The numbers that leave out at most `100 - percent` per cent at either end; zero lies between."""
        numbers = np.arange(_PATTERNS, dtype=np.uint16).view(np.float16).astype(np.float64)
        finite = np.flatnonzero(np.isfinite(numbers))
        order = finite[np.argsort(numbers[finite], kind="stable")]
        passed = np.cumsum(self._counts[order])
        left_out = math.floor(int(passed[-1]) * (100.0 - percent) / 100.0)
        low = numbers[order[np.searchsorted(passed, left_out, side="right")]]
        high = numbers[order[np.searchsorted(passed, passed[-1] - left_out, side="left")]]
        lowest, highest = min(float(low), 0.0), max(float(high), 0.0)
        # A layer that is silent on every photo still needs a step between two bytes.
        return lowest, highest if lowest < highest else 1.0
