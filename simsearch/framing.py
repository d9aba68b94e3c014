"""How an upright picture becomes the uint8 pixels that are looked at: a square, or the whole made small."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from simsearch.errors import PhotoUnreadable, SimsearchError

if TYPE_CHECKING:
    from PIL.Image import Image


LONGEST = 16


@dataclass(frozen=True, slots=True)
class Framing:
    """Shorter side to `resize` pixels, then the central `crop` x `crop`.

    `interpolation` is "bilinear" or "bicubic" (Pillow's antialiased filters, which torchvision's
    transforms use on PIL images). `reduced_decode` is how many times `resize` a JPEG's reduced decode
    must keep on its shorter side; 0 means that every JPEG is decoded in full.
    """

    resize: int
    crop: int
    interpolation: str = "bilinear"
    reduced_decode: int = 2

    @property
    def keep(self) -> int:
        """A JPEG's reduced decode leaves no side shorter than this; 0 allows none."""
        return self.resize * self.reduced_decode


@dataclass(frozen=True, slots=True)
class Fitting:
    """The whole picture, its longer side at most `longest` pixels; `longest` 0 leaves it as it is."""

    longest: int

    @property
    def keep(self) -> int:
        """A JPEG's reduced decode leaves no side shorter than this; 0 allows none."""
        return self.longest


WHOLE_EDGE = 1000

Tile = tuple[int, int, int, int]
"""Left and top edge, width and height of a part of a picture, in thousandths of its own width and height."""


@dataclass(frozen=True, slots=True)
class Tiling:
    """Overlapping tiles of an upright picture, by grids of (side, count).

    A grid has `count` x `count` tiles, evenly from edge to edge; the width and height of each are `side`
    thousandths of the picture's. A tile is framed as if it were a picture of its own.
    """

    grids: tuple[tuple[int, int], ...]

    @property
    def boxes(self) -> tuple[Tile, ...]:
        """The tiles, grid by grid, row by row."""
        found: list[Tile] = []
        for side, count in self.grids:
            step = (WHOLE_EDGE - side) / max(1, count - 1)
            starts = [round(step * place) for place in range(count)]
            found += [(left, top, side, side) for top in starts for left in starts]
        return tuple(found)

    def __len__(self) -> int:
        return sum(count * count for _, count in self.grids)

    def keep(self, framing: Framing) -> int:
        """A JPEG's reduced decode leaves no side of the picture shorter than this, for its smallest tile."""
        return math.ceil(framing.keep * WHOLE_EDGE / min(side for side, _ in self.grids))


def tile_edges(tile: Tile, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Left, top, right and bottom edge in pixels, at least one apart, in a picture of (width, height)."""
    left, right = _along(tile[0], tile[2], size[0])
    top, bottom = _along(tile[1], tile[3], size[1])
    return left, top, right, bottom


def _along(start: int, length: int, size: int) -> tuple[int, int]:
    first = min(round(start * size / WHOLE_EDGE), size - 1)
    return first, max(first + 1, round((start + length) * size / WHOLE_EDGE))


def from_json(told: dict[str, Any]) -> Framing | Fitting:
    """What `dataclasses.asdict` made of one."""
    return Fitting(**told) if "longest" in told else Framing(**told)


def fit(image: Image, fitting: Fitting) -> NDArray[np.uint8]:
    """An upright RGB `image` made small as a whole; uint8 (H, W, 3)."""
    longer = max(image.size)
    if fitting.longest and longer > fitting.longest:
        from PIL import Image as pillow

        width, height = (max(1, round(side * fitting.longest / longer)) for side in image.size)
        image = image.resize((width, height), pillow.Resampling.BOX)
    return np.asarray(image, dtype=np.uint8)


def frame(image: Image, framing: Framing) -> NDArray[np.uint8]:
    """Resize and centre-crop an upright RGB `image`; returns uint8 (crop, crop, 3).

    Equals `torchvision.transforms.functional.resize` and `center_crop` on the same PIL image, pixel for
    pixel, but for strips more than 16 times as long as wide, of which only the middle is enlarged. See https://docs.pytorch.org/vision/stable/transforms.html
    """
    from PIL import Image as pillow

    filters: dict[str, Any] = {
        "bilinear": pillow.Resampling.BILINEAR,
        "bicubic": pillow.Resampling.BICUBIC,
    }
    width, height = image.size
    short, long = min(width, height), max(width, height)
    if long > LONGEST * short:
        # Only the middle is kept in the end; all of a thin strip, enlarged, would need gigabytes.
        left, top = max(0, (width - LONGEST * short) // 2), max(0, (height - LONGEST * short) // 2)
        image = image.crop((left, top, width - left, height - top))
        width, height = image.size
        long = max(width, height)
    scaled = max(1, int(framing.resize * long / short))
    size = (framing.resize, scaled) if width <= height else (scaled, framing.resize)
    if size != image.size:
        image = image.resize(size, filters[framing.interpolation])
    width, height = size
    left, top = round((width - framing.crop) / 2.0), round((height - framing.crop) / 2.0)
    square = image.crop((left, top, left + framing.crop, top + framing.crop))
    return np.asarray(square, dtype=np.uint8)


def upright_rgb(image: Image, number: int) -> Image:
    """An 8-bit PIL image as RGB, turned as its EXIF says, alpha on white; `number` names it in errors.

    Raises SimsearchError for one of more bits, PhotoUnreadable for one that cannot be decoded.
    """
    from PIL import Image as pillow
    from PIL import ImageOps

    if image.mode.startswith(("I", "F")):
        raise SimsearchError(
            f"Picture {number} has the mode {image.mode} (more than 8 bits); make it RGB first."
        )
    try:
        upright = ImageOps.exif_transpose(image)
        if 0 in upright.size:
            raise ValueError("it has no pixels")
        if upright.has_transparency_data:
            upright = upright.convert("RGBA")
            upright = pillow.alpha_composite(pillow.new("RGBA", upright.size, "white"), upright)
        return upright.convert("RGB")
    except (OSError, SyntaxError, ValueError) as exc:
        raise PhotoUnreadable(f"Picture {number} cannot be decoded: {exc}.") from exc


def frame_tiles(image: Image, framing: Framing, tiling: Tiling) -> NDArray[np.uint8]:
    """The tiles of an upright RGB `image`, each as `frame` makes it; uint8 (tiles, crop, crop, 3)."""
    parts = (image.crop(tile_edges(box, image.size)) for box in tiling.boxes)
    return np.stack([frame(part, framing) for part in parts])
