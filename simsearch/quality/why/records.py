"""What an explanation says: the score, and for each picture the cells and regions that it is made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simsearch.models.attention.geometry import Area
from simsearch.models.attention.likeness import Likeness


@dataclass(frozen=True, slots=True)
class Region:
    """A box of neighbouring cells, in whole pixels of the upright picture: left, top, width and height.

    `share` is what its cells add, of all that speaks for the score in this picture: 0 to 1.
    """

    x: int
    y: int
    width: int
    height: int
    share: float


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """One of the two pictures.

    Attributes:
        path: its absolute path.
        width, height: upright, in pixels.
        looked_at: the part that the network looked at, which the cells divide evenly.
        cells: float64 (h, w), what each cell adds to the score; the sum is the score.
        regions: where half of what speaks for the score comes from, the strongest first.
    """

    path: str
    width: int
    height: int
    looked_at: Area
    cells: NDArray[np.float64]
    regions: tuple[Region, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """Why two pictures have their score.

    Attributes:
        model: the backbone, and the arithmetic where it is not float32.
        module: the module of the network whose map the cells are.
        center: whether the vectors are seen from the middle of the collection.
        exact: whether the vectors of the index are made in the arithmetic that is explained, float32; where
            not, the score differs from that of a query.
        likeness: the score, and what each cell and each pair of cells adds to it.
        first, second: the pictures.
    """

    model: str
    module: str
    center: bool
    exact: bool
    likeness: Likeness
    first: Side
    second: Side

    @property
    def score(self) -> float:
        """The cosine."""
        return self.likeness.score

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of cells in each picture."""
        rows, columns = self.first.cells.shape
        return rows, columns
