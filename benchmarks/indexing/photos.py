"""The folders that are indexed: photos of one's own, crops of the sample photos, 10-megapixel photos."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageOps

from benchmarks.samples import originals

SMALL = (384, 256)
CUT = (768, 512)
LARGE = (4000, 2500)
SOURCE = (4000, 2250)
LEAST = 250
QUALITY = 90
SUFFIXES = (".jpg", ".jpeg", ".png")


def pick(folder: Path, count: int) -> list[Path]:
    """`count` photos evenly out of all that lie below a folder, or all of them where there are fewer."""
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    return [found[n * len(found) // count] for n in range(count)] if count < len(found) else found


def gather(paths: Sequence[Path], into: Path) -> Path:
    """A flat folder with these photos: hard links, or copies where links are not possible."""
    into.mkdir(parents=True)
    for number, path in enumerate(paths):
        place = into / f"{number:06d}{path.suffix.lower()}"
        try:
            os.link(path, place)
        except OSError:
            shutil.copyfile(path, place)
    return into


def make_crops(into: Path, count: int) -> Path:
    """`count` JPEGs of 384 x 256, cut at random out of the sample photos, where nothing better is at hand."""
    into.mkdir(parents=True)
    pictures = [_load(path, CUT) for path in originals()]
    chance = random.Random(count)
    for number in range(count):
        picture = chance.choice(pictures)
        share = chance.uniform(0.5, 1)
        width = int(share * min(picture.width, picture.height * SMALL[0] / SMALL[1]))
        height = width * SMALL[1] // SMALL[0]
        left, top = chance.randint(0, picture.width - width), chance.randint(0, picture.height - height)
        box = (left, top, left + width, top + height)
        small = picture.resize(SMALL, Image.Resampling.LANCZOS, box)
        small.save(into / f"{number:06d}.jpg", quality=QUALITY)
    return into


def make_large(sources: Sequence[Path], into: Path, count: int) -> Path:
    """`count` different JPEGs of 4000 x 2500 pixels, quality 90, made of photos of 4000 x 2250.

    Each is the top of one photo above the bottom of another, both mirrored or not, joined at a random row:
    no pixel is scaled, so that there is as much detail to decode as in the photos themselves. Sources of
    another size are scaled first; small ones give softer pictures and smaller files.
    """
    into.mkdir(parents=True)
    chance = random.Random(count)
    for number in range(count):
        above, below = (_load(chance.choice(sources), SOURCE) for _ in range(2))
        cut = chance.randint(LEAST, SOURCE[1])
        made = Image.new("RGB", LARGE)
        made.paste(_turned(above, chance).crop((0, 0, LARGE[0], cut)), (0, 0))
        rest = LARGE[1] - cut
        made.paste(_turned(below, chance).crop((0, SOURCE[1] - rest, LARGE[0], SOURCE[1])), (0, cut))
        made.save(into / f"{number:06d}.jpg", quality=QUALITY)
    return into


def _turned(picture: Image.Image, chance: random.Random) -> Image.Image:
    return ImageOps.mirror(picture) if chance.random() < 0.5 else picture


def _load(path: Path, size: tuple[int, int]) -> Image.Image:
    """A photo, scaled and cut to a size where it has another."""
    with Image.open(path) as image:
        picture = image.convert("RGB")
    return picture if picture.size == size else ImageOps.fit(picture, size)
