"""What runs a network: pixels -> unit vectors, and how long they were, which a classifier wants to know."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray


class Runner(ABC):
    """A network that is ready to run; `measures` says whether it tells how long its vectors were."""

    measures = False

    def run(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8 (n, crop, crop, 3) -> float32 (n, dim) of length 1."""
        return self.measure(pixels)[0]

    def measure(self, pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """`run`, and float32 (n,) how long each vector was before; None where the network does not tell."""
        rows = self._rows(pixels)
        return (rows[:, :-1], rows[:, -1]) if self.measures else (rows, None)

    @abstractmethod
    def _rows(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """What the network gives: vectors, and as a last column their lengths where it measures."""
