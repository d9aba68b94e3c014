"""The sets of the study, each with what belongs together and with two halves: to choose on, to report on."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from benchmarks.dedup.edits import EDITS, chance_of
from benchmarks.dedup.pictures import colours, frames
from benchmarks.samples import originals

KINDS = ("category", "instance", "copy")
PER_CLASS = 100
VIEWS, VIEWED = 4, 20
COPIES, COPIED = 6, 12
SIDE = 480
EDGE = 0.14
ALONE = -1


@dataclass(frozen=True, slots=True)
class Collection:
    """Upright RGB pictures.

    Attributes:
        kind: one of `KINDS`.
        labels: what each belongs to, int64 (n,); `ALONE` for one that only stands in the way.
        report: whether each is of the half that is reported on, bool (n,).
    """

    kind: str
    pictures: tuple[Image.Image, ...]
    labels: NDArray[np.int64]
    report: NDArray[np.bool_]


def classes(photos: Path) -> Collection:
    """Photos called by a number whose hundreds are their class, as in Corel-1000: the even ones to choose."""
    numbers = sorted(int(path.stem) for path in photos.glob("*.jpg"))
    pictures = tuple(_load(photos / f"{number}.jpg") for number in numbers)
    told = np.array(numbers)
    return Collection("category", pictures, told // PER_CLASS, told % 2 == 1)


def views(photos: Path, large: Sequence[Path]) -> Collection:
    """Four views of each of 20 photos a class, of `large` and of the sample photos; the rest is in the way.

    All views of a photo show one point of it, and around it, mostly out of the middle, a tenth to 45 % of its
    area in a shape of their own, turned by up to 10 degrees, slanted as from another place, in another light,
    200 to 480 pixels wide, as a JPEG file. Photos are dealt to the halves in turn.
    """
    numbers = sorted(int(path.stem) for path in photos.glob("*.jpg"))
    seen = [photos / f"{number}.jpg" for number in numbers if number % PER_CLASS < VIEWED]
    rest = [photos / f"{number}.jpg" for number in numbers if number % PER_CLASS >= VIEWED]
    pictures: list[Image.Image] = []
    labels: list[int] = []
    halves: list[bool] = []
    for label, path in enumerate([*seen, *large, *originals()]):
        picture = _load(path)
        chance = random.Random(f"view of {path.name}")
        point = chance.uniform(0.3, 0.7), chance.uniform(0.3, 0.7)
        pictures += [_view(picture, point, chance) for _ in range(VIEWS)]
        labels += [label] * VIEWS
        halves += [label % 2 == 1] * VIEWS
    for number, path in enumerate(rest):
        pictures.append(_load(path))
        labels.append(ALONE)
        halves.append(number % 2 == 1)
    return Collection("instance", tuple(pictures), np.array(labels), np.array(halves))


def copies(photos: Path) -> Collection:
    """Each of 12 photos a class with six edited copies as in `benchmarks dedup`; the rest is in the way."""
    numbers = sorted(int(path.stem) for path in photos.glob("*.jpg"))
    names = [name for name, edit in EDITS.items() if edit.kind in ("single", "combo")]
    pictures: list[Image.Image] = []
    labels: list[int] = []
    halves: list[bool] = []
    for order, number in enumerate(numbers):
        picture = _load(photos / f"{number}.jpg")
        copied = number % PER_CLASS < COPIED
        chosen = random.Random(f"copies of {number}").sample(names, COPIES) if copied else []
        whole = [picture]
        for name in chosen:
            data = EDITS[name].apply(picture, chance_of(str(number), name))
            whole.append(_load(io.BytesIO(data)))
        pictures += whole
        labels += [number if copied else ALONE] * len(whole)
        halves += [order % 2 == 1] * len(whole)
    return Collection("copy", tuple(pictures), np.array(labels), np.array(halves))


def collections(photos: Path, shots: Path | None) -> Iterator[Collection]:
    """One set of each kind."""
    yield classes(photos)
    yield views(photos, sorted(shots.glob("*.JPG")) if shots is not None else [])
    yield copies(photos)


def _view(picture: Image.Image, point: tuple[float, float], chance: random.Random) -> Image.Image:
    # The margin that is cut away in the end is added here.
    side, shape = chance.uniform(0.1, 0.45) ** 0.5 / (1 - 2 * EDGE), chance.uniform(0.8, 1.25)
    box: list[int] = []
    for length, share, middle in zip(picture.size, (side * shape, side / shape), point, strict=True):
        wide = min(round(length * share), length)
        # The point lies within the middle part of the view, which is never cut away.
        start = round(length * middle - wide * chance.uniform(0.25, 0.75))
        box.append(min(max(start, 0), length - wide))
        box.append(box[-1] + wide)
    left, right, top, bottom = box
    view = picture.crop((left, top, right, bottom))
    view.thumbnail((2 * SIDE, 2 * SIDE))
    view = frames.tilted(chance.randint(1, 10), whole=False)(view, chance)
    view = frames.slanted(view, chance)
    # What came to lie outside the photo is black, and would make the views of all photos alike.
    view = ImageOps.crop(view, round(EDGE * min(view.size)))
    for change in (colours.bright, colours.contrast, colours.saturated):
        view = change(chance.uniform(0.7, 1.35))(view, chance)
    side = chance.randint(200, SIDE)
    view = view.resize((side, max(1, round(view.height * side / view.width))), Image.Resampling.BICUBIC)
    return colours.squeezed(chance.randint(55, 90))(view, chance)


def _load(file: Path | io.BytesIO) -> Image.Image:
    with Image.open(file) as image:
        return image.convert("RGB")
