"""Pictures that are no copies but look like some: overlapping shots, parts of one texture, coins."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from benchmarks.samples import originals

SHOT_GRID = (3, 2)
GRIDS = {"brick": (2, 2), "grass": (2, 2), "gravel": (2, 2), "coins": (6, 4)}
CHOOSE = ("brick", "grass", "camera", "chelsea", "coffee", "rocket", "moon", "retina", "china")
LEAST_SIDE = 256
QUALITY = 92

Family = list[Path]
"""A photo and, after it, the parts that were cut out of it; no two of the parts overlap."""


def samples(half: str, out: Path) -> Iterator[Family]:
    """The photos inside scikit-image and scikit-learn; textures and coins with their parts.

    The halves share none; the half "report" holds both pictures of a stereo pair.
    """
    for path in originals():
        if (path.stem in CHOOSE) == (half == "choose"):
            yield [path, *_parts(path, GRIDS.get(path.stem), out)]


def shots(folder: Path, out: Path) -> Iterator[Family]:
    """Overlapping shots of one scene, each with six parts: parts of two shots show one place, shot twice."""
    for path in sorted(folder.iterdir()):
        yield [path, *_parts(path, SHOT_GRID, out)]


def write(path: Path, data: bytes) -> Path:
    """Write a file unless it holds these bytes already, so that what was known of it stays true."""
    if not path.is_file() or path.read_bytes() != data:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return path


def _parts(path: Path, grid: tuple[int, int] | None, out: Path) -> list[Path]:
    """The cells of a grid of (columns, rows) over a photo, small ones enlarged to 256 pixels."""
    if grid is None:
        return []
    with Image.open(path) as image:
        picture = image.convert("RGB")
    wide, high = picture.width // grid[0], picture.height // grid[1]
    scale = max(1.0, LEAST_SIDE / max(wide, high))
    size = round(wide * scale), round(high * scale)
    made = []
    for row in range(grid[1]):
        for column in range(grid[0]):
            box = (column * wide, row * high, (column + 1) * wide, (row + 1) * high)
            stream = io.BytesIO()
            picture.resize(size, Image.Resampling.BICUBIC, box).save(stream, "JPEG", quality=QUALITY)
            made.append(write(out / "parts" / f"{path.stem}-{row}{column}.jpg", stream.getvalue()))
    return made
