"""The colours of the heat: dark violet for nothing, over blue and green, to yellow for the most."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

STOPS = (
    (68, 1, 84), (71, 44, 122), (59, 81, 139), (44, 113, 142), (33, 144, 141),
    (39, 173, 129), (92, 200, 99), (170, 220, 50), (253, 231, 37),
)  # fmt: skip
"""Viridis at equal steps. Its lightness grows evenly, so that it is read without seeing colours as well:
https://bids.github.io/colormap/"""


def coloured(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """float (...) from 0 to 1 -> uint8 (..., 3); what lies outside has the colour of the end."""
    stops = np.array(STOPS, dtype=np.float64)
    at = np.linspace(0, 1, len(stops))
    channels = [np.interp(values, at, stops[:, channel]) for channel in range(3)]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)
