"""Where the network looked: the part of an upright picture that its framing keeps, and that of each cell."""

from __future__ import annotations

from dataclasses import dataclass

from simsearch.framing import LONGEST, Framing


@dataclass(frozen=True, slots=True)
class Area:
    """Left and top edge, width and height, in pixels of an upright picture; parts of a pixel count."""

    x: float
    y: float
    width: float
    height: float

    def part(self, left: float, top: float, right: float, bottom: float) -> Area:
        """The area between fractions of this one's width and height."""
        return Area(
            self.x + left * self.width,
            self.y + top * self.height,
            (right - left) * self.width,
            (bottom - top) * self.height,
        )


def looked_at(size: tuple[int, int], framing: Framing) -> Area:
    """What of a picture of this width and height becomes the square: `simsearch.framing.frame` undone.

    It reaches over the edges where the square is larger than the resized picture. A JPEG that was decoded
    at a reduced size is off by less than a pixel of that size.
    """
    width, height = size
    short, long = min(size), max(size)
    left = top = 0
    if long > LONGEST * short:
        left, top = max(0, (width - LONGEST * short) // 2), max(0, (height - LONGEST * short) // 2)
        width, height = width - 2 * left, height - 2 * top
        long = max(width, height)
    scaled = max(1, int(framing.resize * long / short))
    resized = (framing.resize, scaled) if width <= height else (scaled, framing.resize)
    across, down = width / resized[0], height / resized[1]
    x, y = (round((side - framing.crop) / 2.0) for side in resized)
    return Area(left + x * across, top + y * down, framing.crop * across, framing.crop * down)
