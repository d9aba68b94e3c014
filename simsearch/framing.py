"""How an upright picture becomes the uint8 pixels that are looked at: a square, or the whole made small."""

from __future__ import annotations

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
