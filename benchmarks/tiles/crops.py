"""Photos of Corel-1000 by halves, and random crops of them as the queries."""

from __future__ import annotations

import io
import random
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

PER_CLASS = 100
QUERIES, SEED, QUALITY = 200, 17, 90
KINDS = {"30 % of the area": 0.3**0.5, "30 % of each side": 0.3}
"""What a crop holds of its photo, and its width and height as a share of the photo's."""


@dataclass(frozen=True, slots=True)
class Crop:
    """A query: the JPEG of a crop, and the photo that it was cut from."""

    photo: Path
    data: bytes


def half_of(folder: Path, odd: bool) -> list[Path]:
    """The photos with an even or an odd number, in order: fifty of each class."""
    photos = sorted(folder.glob("*.jpg"), key=lambda path: int(path.stem))
    return [path for path in photos if int(path.stem) % 2 == odd]


def class_of(photo: Path) -> int:
    """The hundreds of its number."""
    return int(photo.stem) // PER_CLASS


def crops_of(photos: list[Path], share: float) -> list[Crop]:
    """A crop of the photo's own aspect from each of 200 of them, anywhere in it; the same at every call."""
    chance = random.Random(SEED)
    found = []
    for photo in chance.sample(photos, min(QUERIES, len(photos))):
        with Image.open(photo) as opened:
            image = opened.convert("RGB")
        width, height = round(share * image.width), round(share * image.height)
        left, top = chance.randint(0, image.width - width), chance.randint(0, image.height - height)
        stream = io.BytesIO()
        image.crop((left, top, left + width, top + height)).save(stream, "JPEG", quality=QUALITY)
        found.append(Crop(photo, stream.getvalue()))
    return found
