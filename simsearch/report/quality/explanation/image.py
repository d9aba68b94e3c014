"""Why two pictures are alike -> a PNG: both side by side under their heat, with its scale."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from simsearch.media.thumbs import QUALITY
from simsearch.report.names import visible
from simsearch.report.quality.explanation.colours import coloured
from simsearch.report.quality.explanation.table import summary

if TYPE_CHECKING:
    from simsearch.quality.why.records import Explanation, Side

Pixels = NDArray[np.uint8]

SIDE = 640
"""The longer side of each picture, in pixels."""

_GAP, _LINE, _TEXT, _BAR = 16, 26, 17, (220, 14)
_STRENGTH = 0.55
_INK, _PAPER = (29, 35, 39), (255, 255, 255)
_OURS = ("Software", "simsearch explain")


def explanation_png(explanation: Explanation, pictures: Sequence[Pixels]) -> bytes:
    """The bytes of a PNG.

    `pictures` are both, upright, uint8 (H, W, 3), of any size. Heat is drawn over grey, so that no colour of
    the picture is taken for it; what the network did not look at is hatched.
    """
    sides = (explanation.first, explanation.second)
    most = max(float(side.cells.max()) for side in sides)
    shown = [_heated(side, pixels, most) for side, pixels in zip(sides, pictures, strict=True)]
    # The line with the scale needs its own width.
    width = max(sum(one.width for one in shown) + 3 * _GAP, 2 * _GAP + 640)
    height = max(one.height for one in shown) + 3 * _LINE + 3 * _GAP
    page = Image.new("RGB", (width, height), _PAPER)
    brush, font = ImageDraw.Draw(page), ImageFont.load_default(_TEXT)
    _write(brush, (_GAP, _GAP // 2), summary(explanation), font, width - 2 * _GAP)
    left, top = _GAP, _GAP + _LINE
    for side, one in zip(sides, shown, strict=True):
        page.paste(one, (left, top))
        _write(brush, (left, top + one.height + 4), os.path.basename(side.path), font, one.width)
        left += one.width + _GAP
    _scale(page, brush, font, most, height - _LINE - _GAP // 2)
    out = io.BytesIO()
    told = PngImagePlugin.PngInfo()
    told.add_text(*_OURS)
    page.save(out, "PNG", pnginfo=told)
    return out.getvalue()


def is_explanation(start: bytes) -> bool:
    """Whether the first bytes of a file, some hundreds, are those of a PNG that was made here."""
    return start.startswith(b"\x89PNG") and b"\0".join(word.encode() for word in _OURS) in start


def jpeg(pixels: Pixels) -> bytes:
    """JPEG bytes, without metadata, of upright uint8 (H, W, 3), made at most `SIDE` pixels wide and high."""
    image = Image.fromarray(pixels)
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=QUALITY)
    return out.getvalue()


def _heated(side: Side, pixels: Pixels, most: float) -> Image.Image:
    image = Image.fromarray(pixels)
    width, height = (max(1, round(side * SIDE / max(image.size))) for side in image.size)
    image = image.resize((width, height), Image.Resampling.LANCZOS)
    grey = np.asarray(image.convert("L").convert("RGB"), dtype=np.float64)
    scale = image.width / side.width, image.height / side.height
    area = side.looked_at
    box = (area.x * scale[0], area.y * scale[1], area.width * scale[0], area.height * scale[1])
    heat, inside = _spread(np.maximum(side.cells, 0.0) / max(most, 1e-12), box, image.size)
    mixed = np.where(inside[..., None], (1 - _STRENGTH) * grey + _STRENGTH * coloured(heat), _hatched(grey))
    return Image.fromarray(np.rint(mixed).astype(np.uint8))


def _spread(
    cells: NDArray[np.float64], box: tuple[float, ...], size: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Cells spread over their box in a picture, linearly between their middles, and where the box is."""
    x, y = (np.arange(length, dtype=np.float64) + 0.5 for length in size)
    across, down = (x - box[0]) / box[2], (y - box[1]) / box[3]
    rows = np.stack([_between(across, row) for row in cells])
    heat = np.stack([_between(down, column) for column in rows.T], axis=1)
    inside = ((down >= 0) & (down <= 1))[:, None] & ((across >= 0) & (across <= 1))[None]
    return heat, inside


def _between(at: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    middles = (np.arange(len(values)) + 0.5) / len(values)
    return np.asarray(np.interp(at, middles, values))


def _hatched(grey: NDArray[np.float64]) -> NDArray[np.float64]:
    height, width = grey.shape[:2]
    stripes = (np.arange(height)[:, None] + np.arange(width)[None]) % 10 < 2
    return np.where(stripes[..., None], 0.2 * grey + 0.8 * 150, 0.35 * grey + 0.65 * 235)


def _write(
    brush: ImageDraw.ImageDraw,
    at: tuple[int, int],
    text: str,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    room: int,
) -> None:
    """Write a line, its middle left out where it is longer than the room."""
    told = visible(text)
    while len(told) > 8 and brush.textlength(told, font) > room:
        middle = len(told) // 2
        told = told[: middle - 2].rstrip("…") + "…" + told[middle + 2 :].lstrip("…")
    brush.text(at, told, _INK, font)


def _scale(
    page: Image.Image,
    brush: ImageDraw.ImageDraw,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    most: float,
    top: int,
) -> None:
    """The colours from nothing to the most, over grey as in the pictures, and what hatching means."""
    bar = (1 - _STRENGTH) * 128 + _STRENGTH * coloured(np.linspace(0, 1, _BAR[0]))
    brush.text((_GAP, top), "One cell's part of the score:  0", _INK, font)
    left = _GAP + int(brush.textlength("One cell's part of the score:  0 ", font))
    strip = np.broadcast_to(np.rint(bar).astype(np.uint8), (_BAR[1], _BAR[0], 3))
    page.paste(Image.fromarray(np.ascontiguousarray(strip)), (left, top + 4))
    told = f"{max(most, 0.0):.4f}"
    brush.text((left + _BAR[0] + 8, top), told, _INK, font)
    after = left + _BAR[0] + 8 + int(brush.textlength(told + "    ", font))
    patch = _hatched(np.full((_BAR[1], 28, 3), 128.0))
    page.paste(Image.fromarray(patch.astype(np.uint8)), (after, top + 4))
    brush.text((after + 36, top), "not looked at", _INK, font)
