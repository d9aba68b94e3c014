"""The task: originals, edited copies of some of them to be found again, and what counts as right.

A half takes its originals to edit from five classes of numbered photos (class = number // 100), so that no
original, no class and no burst is in both: "choose" is there to train and to set thresholds, "report" to
judge. Classes 0, 2, 4, 5, 8 and 1, 3, 6, 7, 9: with the even classes alone nearly all bursts would be in one
half. "choose" searches its own classes only; "report" searches all photos, those of "choose" as pictures that
nothing was edited from, and has the overlapping shots to itself.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from PIL import Image

from benchmarks.dedup.edits import EDITS, FILLERS, chance_of
from benchmarks.dedup.pictures.alike import Family, samples, shots, write

HALVES = {"choose": (0, 2, 4, 5, 8), "report": (1, 3, 6, 7, 9)}
A_CLASS = 100
COPIES = ((209, 210), (918, 924), (935, 981))
"""Pairs of Corel-1000 that are neither right nor wrong to find: the last two are copies (a slight crop, a
mirror image), the first a tele and a wide shot from one spot with an overlap that is equal to the pixel."""
UNEDITED = "original"


@dataclass(frozen=True, slots=True)
class Query:
    """A picture to search the originals with.

    Attributes:
        path: the file.
        edit: the edit's name, or "original" for an original as it is, of which nothing is to be found.
        kind: that of the edit, or "original".
        original: index of the original that it was made of, or is.
        ignored: indices of originals that are neither right nor wrong for this query.
    """

    path: Path
    edit: str
    kind: str
    original: int
    ignored: frozenset[int]

    def truth(self, original: int) -> bool | None:
        """Whether it is right to find this original; None where it does not count."""
        if original in self.ignored:
            return None
        return original == self.original


@dataclass(frozen=True, slots=True)
class Task:
    """Originals, edited copies as queries, and the half's originals once more as queries of their own."""

    half: str
    originals: tuple[Path, ...]
    queries: tuple[Query, ...]
    unedited: tuple[Query, ...]

    @property
    def asked(self) -> tuple[Query, ...]:
        """All queries: the edited ones, then the originals as they are."""
        return self.queries + self.unedited


class DataMissing(Exception):
    """The photos cannot be used for the task; says why."""


def build(
    photos: Path,
    out: Path,
    half: str,
    per_class: int,
    edits: Sequence[str] | None = None,
    shot_folder: Path | None = None,
) -> Task:
    """Make the half's queries below `out`, the same files each time; those that are there are kept.

    Args:
        photos: photos called by a number whose hundreds are their class, as in Corel-1000; read only.
        out: folder that receives queries/EDIT/NUMBER.jpg and parts/NAME.jpg.
        half: "choose" or "report".
        per_class: originals of each of the half's classes that are edited, drawn by a fixed seed.
        edits: names out of EDITS; None for all, the extreme ones too.
        shot_folder: overlapping shots of one scene, used by "report" alone.
    Raises DataMissing where the photos have no numbers.
    """
    numbered = _numbered(photos, None if half == "report" else HALVES[half])
    families: list[Family] = [*([path] for path in numbered.values()), *samples(half, out)]
    if shot_folder is not None and half == "report":
        families += shots(shot_folder, out)
    originals = tuple(chain.from_iterable(families))
    places = {number: place for place, number in enumerate(numbered)}
    ignored = _ignored(families, places)
    own = [number for number in places if number // A_CLASS in HALVES[half]]
    queries: list[Query] = []
    for number in _drawn(own, per_class):
        for edit in EDITS if edits is None else edits:
            fillers = _fillers(own, number, edit)
            path = _made(numbered[number], edit, [numbered[n] for n in fillers], out)
            place = places[number]
            left_out = frozenset(places[n] for n in fillers).union(
                ignored[place], *(ignored[places[n]] for n in fillers)
            )
            # A filler may be a copy of the very original that is to be found.
            left_out -= {place}
            queries.append(Query(path, edit, EDITS[edit].kind, place, left_out))
    # Pictures of the other half are searched, but never with: their pairs were there to be trained on.
    asked = [places[n] for n in own] + list(range(len(numbered), len(originals)))
    unedited = (Query(originals[n], UNEDITED, UNEDITED, n, ignored[n] | {n}) for n in asked)
    return Task(half, originals, tuple(queries), tuple(unedited))


def _numbered(photos: Path, classes: Iterable[int] | None) -> dict[int, Path]:
    """The photos of some classes, or of all, by number."""
    found = {int(path.stem): path for path in photos.glob("*.jpg") if path.stem.isdecimal()}
    kept = {n: found[n] for n in sorted(found) if classes is None or n // A_CLASS in classes}
    if not kept:
        raise DataMissing(
            f"{photos} holds no photos called by a number whose hundreds are their class, such as 312.jpg."
        )
    return kept


def _ignored(families: Sequence[Family], places: dict[int, int]) -> list[frozenset[int]]:
    """For each original those that it is not judged by: the photo that it is a part of, or its copies."""
    pairs = [(places[a], places[b]) for a, b in COPIES if a in places and b in places]
    start = 0
    for family in families:
        pairs += [(start, start + n) for n in range(1, len(family))]
        start += len(family)
    near: list[set[int]] = [set() for _ in range(start)]
    for first, second in pairs:
        near[first].add(second)
        near[second].add(first)
    return [frozenset(found) for found in near]


def _drawn(numbers: Sequence[int], per_class: int) -> list[int]:
    """Some of each class, in order; more of them begin with the same ones."""
    classes: dict[int, list[int]] = {}
    for number in numbers:
        classes.setdefault(number // A_CLASS, []).append(number)
    drawn: list[int] = []
    for name, members in classes.items():
        random.Random(f"class {name}").shuffle(members)
        drawn += members[:per_class]
    return sorted(drawn)


def _fillers(numbers: Sequence[int], number: int, edit: str) -> list[int]:
    """The three other originals of a collage; none for another edit."""
    if EDITS[edit].kind != "collage":
        return []
    others = [n for n in numbers if n != number]
    return random.Random(f"fillers of {number}").sample(others, FILLERS)


def _made(original: Path, edit: str, fillers: Sequence[Path], out: Path) -> Path:
    path = out / "queries" / edit / f"{original.stem}{EDITS[edit].suffix}"
    others = [_load(filler) for filler in fillers]
    return write(path, EDITS[edit].apply(_load(original), chance_of(original.stem, edit), others))


def _load(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")
