"""Why two pictures are alike -> JSON, and the same in fractions for a page that shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from simsearch.report.machine import to_json

if TYPE_CHECKING:
    from simsearch.models.attention.geometry import Area
    from simsearch.models.attention.likeness import Likeness
    from simsearch.quality.why.records import Explanation, Side

DIGITS = 6


def explanation_json(explanation: Explanation) -> bytes:
    """An explanation as {score, model, module, center, exact, grid, pictures}."""
    return to_json(
        {
            "score": explanation.score,
            "model": explanation.model,
            "module": explanation.module,
            "center": explanation.center,
            "exact": explanation.exact,
            "grid": explanation.grid,
            "pictures": [_side(explanation.first), _side(explanation.second)],
        }
    )


def _side(side: Side) -> dict[str, Any]:
    return {
        "path": side.path,
        "width": side.width,
        "height": side.height,
        "looked_at": asdict(side.looked_at),
        "cells": side.cells.tolist(),
        "regions": [asdict(region) for region in side.regions],
    }


def viewer_data(
    likeness: Likeness, areas: Sequence[Area], sizes: Sequence[tuple[int, int]]
) -> dict[str, Any]:
    """What the viewer of a page takes: {score, grid, areas, cells, pairs}; numbers are rounded.

    `areas` is what of each of the two pictures was looked at, told as fractions of their sizes in pixels.
    """
    return {
        "score": round(likeness.score, DIGITS),
        "grid": list(likeness.first.shape),
        "areas": [_fractions(area, size) for area, size in zip(areas, sizes, strict=True)],
        "cells": [_rounded(likeness.first), _rounded(likeness.second)],
        "pairs": _rounded(likeness.pairs),
    }


def _fractions(area: Area, size: tuple[int, int]) -> list[float]:
    numbers = area.x / size[0], area.y / size[1], area.width / size[0], area.height / size[1]
    return [round(number, DIGITS) for number in numbers]


def _rounded(values: NDArray[np.float64]) -> list[float]:
    return [float(value) for value in np.round(values.ravel(), DIGITS)]
