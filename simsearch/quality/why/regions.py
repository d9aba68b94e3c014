"""Cells -> the few boxes that half of the score comes from."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from simsearch.models.attention.geometry import Area
from simsearch.quality.why.records import Region

HALF = 0.5


def strongest(cells: NDArray[np.float64], area: Area, size: tuple[int, int]) -> tuple[Region, ...]:
    """The boxes of the cells that make half of what speaks for the score, the strongest first.

    The largest cells are taken until they hold half of the sum of all above 0. Those that touch by a side
    are one region, and its box is the smallest around them, within the picture of width and height `size`.
    """
    positive = np.maximum(cells, 0.0)
    total = float(positive.sum())
    if total <= 0:
        return ()
    order = np.argsort(-positive, axis=None, kind="stable")
    enough = int(np.searchsorted(np.cumsum(positive.ravel()[order]), HALF * total)) + 1
    chosen = {divmod(int(place), cells.shape[1]) for place in order[:enough]}
    found = []
    while chosen:
        group = _neighbours(chosen)
        share = sum(float(positive[cell]) for cell in group) / total
        found.append(_box(group, cells.shape, area, size, share))
    return tuple(sorted((region for region in found if region is not None), key=lambda box: -box.share))


def _neighbours(chosen: set[tuple[int, int]]) -> set[tuple[int, int]]:
    """Take one cell out of those chosen, with all that it touches."""
    waiting = [min(chosen)]
    group = set()
    while waiting:
        cell = waiting.pop()
        if cell in chosen:
            chosen.remove(cell)
            group.add(cell)
            row, column = cell
            waiting += [(row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)]
    return group


def _box(
    group: set[tuple[int, int]], shape: tuple[int, ...], area: Area, size: tuple[int, int], share: float
) -> Region | None:
    """The box of some cells, within the picture; None where they lie outside of it."""
    rows, columns = [cell[0] for cell in group], [cell[1] for cell in group]
    part = area.part(
        min(columns) / shape[1],
        min(rows) / shape[0],
        (max(columns) + 1) / shape[1],
        (max(rows) + 1) / shape[0],
    )
    across, down = _along(part.x, part.width, size[0]), _along(part.y, part.height, size[1])
    return Region(across[0], down[0], across[1], down[1], share) if across and down else None


def _along(start: float, length: float, size: int) -> tuple[int, int] | None:
    """First pixel and number of pixels, at least one; None outside of 0 to `size`."""
    if start >= size or start + length <= 0:
        return None
    first = min(max(0, round(start)), size - 1)
    return first, max(1, min(size, math.ceil(start + length - 0.5)) - first)
