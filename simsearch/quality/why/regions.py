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
    left, top = max(0, round(part.x)), max(0, round(part.y))
    right = min(size[0], math.ceil(part.x + part.width - 0.5))
    bottom = min(size[1], math.ceil(part.y + part.height - 0.5))
    return Region(left, top, right - left, bottom - top, share) if right > left and bottom > top else None
