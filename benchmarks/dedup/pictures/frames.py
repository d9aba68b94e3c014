"""Steps that move pixels: sizes, crops, frames, turns, perspective."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageOps

Step = Callable[[Image.Image, random.Random], Image.Image]
"""From an RGB picture to an edited one; all chance comes from the second argument."""

Corners = tuple[tuple[float, float], ...]

FRAME_SHARE = 0.1
FRAMES = ((0, 0, 0), (255, 255, 255), (32, 60, 120), (150, 30, 40))
SHIFT = 0.12
BLACK, WHITE = (0, 0, 0), (255, 255, 255)


def scaled(share: float) -> Step:
    """Both sides times `share`, Lanczos."""

    def step(picture: Image.Image, _: random.Random) -> Image.Image:
        size = tuple(max(1, round(side * share)) for side in picture.size)
        return picture.resize((size[0], size[1]), Image.Resampling.LANCZOS)

    return step


def cropped(area: float, *, centred: bool = False) -> Step:
    """A part of the same shape with `area` of the picture's area, at a place of chance or in the middle."""

    def step(picture: Image.Image, chance: random.Random) -> Image.Image:
        width, height = (round(side * area**0.5) for side in picture.size)
        free = picture.width - width, picture.height - height
        left, top = (free[0] // 2, free[1] // 2) if centred else map(chance.randint, (0, 0), free)
        return picture.crop((left, top, left + width, top + height))

    return step


def framed(picture: Image.Image, chance: random.Random) -> Image.Image:
    """A frame of one colour around it, a tenth of the longer side wide."""
    wide = round(max(picture.size) * FRAME_SHARE)
    return ImageOps.expand(picture, wide, chance.choice(FRAMES))


def letterboxed(picture: Image.Image, _: random.Random) -> Image.Image:
    """Black bars at two sides that make it square."""
    return ImageOps.pad(picture, (max(picture.size),) * 2, color=BLACK)


def turned(how: Image.Transpose) -> Step:
    """A mirror image or a turn by a right angle."""

    def step(picture: Image.Image, _: random.Random) -> Image.Image:
        return picture.transpose(how)

    return step


def tilted(degrees: float, *, whole: bool) -> Step:
    """Turned either way, bicubic: at its own size on black, or whole on a larger white ground."""

    def step(picture: Image.Image, chance: random.Random) -> Image.Image:
        angle = degrees * chance.choice((-1, 1))
        ground = WHITE if whole else BLACK
        return picture.rotate(angle, Image.Resampling.BICUBIC, expand=whole, fillcolor=ground)

    return step


def slanted(picture: Image.Image, chance: random.Random) -> Image.Image:
    """In perspective: each corner moved inwards by up to 12 % of each side, on black."""
    width, height = picture.size
    corners = ((0, 0), (width, 0), (width, height), (0, height))
    moved = tuple(
        (
            x + (1 if x == 0 else -1) * chance.uniform(0, SHIFT) * width,
            y + (1 if y == 0 else -1) * chance.uniform(0, SHIFT) * height,
        )
        for x, y in corners
    )
    plane = _homography(moved, corners)
    transform = Image.Transform.PERSPECTIVE
    return picture.transform(picture.size, transform, plane, Image.Resampling.BICUBIC, fillcolor=BLACK)


def _homography(start: Corners, end: Corners) -> list[float]:
    """The eight numbers of Pillow's PERSPECTIVE that take the four points of `start` to those of `end`."""
    rows, values = [], []
    for (x, y), (u, v) in zip(start, end, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return [float(value) for value in np.linalg.solve(np.asarray(rows), np.asarray(values))]
