"""The eight forms of a picture: the whole of one laid on the whole of another, turned or mirrored."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from simsearch.dedup.features.vision import Matrix
from simsearch.dedup.verify.match import Placed
from simsearch.dedup.verify.prepare import TINY, Prepared

LIKELY = 0.55
"""From this correlation of 32 x 32 thumbnails on, the whole-frame alignment is looked at."""

# Each takes unit coordinates (u, v) to (a u + b v + c, d u + e v + f).
FORMS: tuple[tuple[int, int, int, int, int, int], ...] = (
    (1, 0, 0, 0, 1, 0),
    (0, -1, 1, 1, 0, 0),
    (-1, 0, 1, 0, -1, 1),
    (0, 1, 0, -1, 0, 1),
    (-1, 0, 1, 0, 1, 0),
    (0, 1, 0, 1, 0, 0),
    (1, 0, 0, 0, -1, 1),
    (0, -1, 1, -1, 0, 1),
)


def _orders() -> NDArray[np.intp]:
    """For each form the pixel of a thumbnail that comes to each place, (8, 32 * 32)."""
    rows, columns = np.divmod(np.arange(TINY * TINY), TINY)
    orders = np.empty((len(FORMS), TINY * TINY), dtype=np.intp)
    last = TINY - 1
    for number, (a, b, c, d, e, f) in enumerate(FORMS):
        # In whole pixels the far edge of the unit square is the last pixel.
        orders[number][(d * columns + e * rows + f * last) * TINY + a * columns + b * rows + c * last] = (
            np.arange(TINY * TINY)
        )
    return orders


_ORDERS = _orders()


def whole_frame(one: Prepared, other: Prepared) -> Placed | None:
    """`one` laid frame on frame on `other` in the form that fits best; None where none is likely."""
    likeness = one.thumb.ravel()[_ORDERS] @ other.thumb.ravel()
    best = int(np.argmax(likeness))
    if likeness[best] < LIKELY:
        return None
    a, b, c, d, e, f = FORMS[best]
    (width, height), (other_width, other_height) = one.size, other.size
    unit = np.array([[1 / width, 0, 0.5 / width], [0, 1 / height, 0.5 / height], [0, 0, 1]])
    back = np.array([[other_width, 0, -0.5], [0, other_height, -0.5], [0, 0, 1]])
    matrix: Matrix = back @ np.array([[a, b, c], [d, e, f], [0, 0, 1]], dtype=np.float64) @ unit
    return Placed(matrix, a * e - b * d < 0, 0, 0.0)


def turned(placed: Placed) -> int:
    """How the second has to be turned to lie as the first: degrees clockwise, 0 to 359.

    Where it is mirrored, it has to be mirrored left to right before that.
    """
    across, down = placed.matrix[0, 0], placed.matrix[1, 0]
    angle = math.atan2(-down, -across) if placed.mirrored else math.atan2(-down, across)
    return round(math.degrees(angle)) % 360
