"""The single things that put one copy before another, each with its words."""

from __future__ import annotations

import fnmatch
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from simsearch.dedup.grouping.places import place_of
from simsearch.dedup.records import Picture
from simsearch.paths import is_source

RAW = "RAW"
NO_DATE = "9999"


class Wishes(Protocol):
    """What of a policy the criteria look at."""

    @property
    def reference(self) -> tuple[str, ...]:
        """Folders that are never touched."""

    @property
    def prefer(self) -> tuple[str, ...]:
        """Folders whose files are kept, an earlier one first."""

    @property
    def pattern(self) -> tuple[str, ...]:
        """Patterns of names that are kept, an earlier one first."""


@dataclass(frozen=True)
class Candidate:
    """A file of a picture; its facts are looked up when they are first asked for."""

    path: str
    picture: Picture
    wishes: Wishes
    richness: Callable[[str], int] | None = field(default=None, repr=False)

    @cached_property
    def stat(self) -> os.stat_result | None:
        """What the file system says, None where the file is not there."""
        try:
            return os.stat(self.path)
        except OSError:
            return None

    @property
    def size(self) -> int:
        """Bytes; of what is in a store or an archive those that the index has."""
        return self.stat.st_size if self.stat is not None else self.picture.size or 0

    @cached_property
    def is_afar(self) -> bool:
        """Whether it is in a store, on a web server or in an archive, where nothing can be done to it."""
        return is_source(os.fsencode(self.path))

    @property
    def pixels(self) -> int:
        """How many the picture has."""
        return self.picture.width * self.picture.height

    @cached_property
    def preferred(self) -> int:
        """The number of the preferred folder that holds it, past the last for none."""
        return _rank(self.path, self.wishes.prefer)

    @cached_property
    def reference(self) -> int:
        """The number of the reference folder that holds it, past the last for none."""
        return _rank(self.path, self.wishes.reference)

    @cached_property
    def matched(self) -> int:
        """The number of the first pattern that fits, past the last for none."""
        for number, pattern in enumerate(self.wishes.pattern):
            if "/" in pattern:
                fits = any(fnmatch.fnmatchcase(self.path, form) for form in (pattern, f"*/{pattern}"))
            else:
                fits = fnmatch.fnmatchcase(os.path.basename(self.path), pattern)
            if fits:
                return number
        return len(self.wishes.pattern)

    @cached_property
    def kinds(self) -> int:
        """How many kinds of metadata it has."""
        if self.richness is not None:
            return self.richness(self.path)
        from simsearch.dedup.metadata.read import richness

        return richness(self.path)

    @cached_property
    def date(self) -> str:
        """When it was taken, else last changed, as "YYYY-MM-DDTHH:MM:SS" by the local clock.

        After all dates where neither is known, as of most that is in a store or an archive.
        """
        if self.picture.taken_at is not None:
            return self.picture.taken_at
        if self.stat is None:
            return NO_DATE
        try:
            return time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(self.stat.st_mtime))
        except (OverflowError, ValueError, OSError):
            # A time that no calendar holds says nothing of age.
            return NO_DATE


@dataclass(frozen=True, slots=True)
class Criterion:
    """What is compared, the smaller before the larger, and the words for what it decided.

    `why` gets the file that is kept and others, the next best first; it put the first of them behind.
    A `wish` is what the user named, and is told also where it put behind only others than the next best.
    """

    value: Callable[[Candidate], Any]
    why: Callable[[Candidate, Sequence[Candidate]], str]
    wish: bool = False


def _rank(path: str, among: Sequence[str]) -> int:
    place = place_of(path, among)
    return len(among) if place is None else place


def _pixels(file: Candidate) -> int:
    """Pixels in tenths, of a RAW file eleven: the camera's own JPEG may have a few rows more."""
    return -file.pixels * (11 if file.picture.format == RAW else 10)


def _why_pixels(kept: Candidate, others: Sequence[Candidate]) -> str:
    one, other = kept.picture, others[0].picture
    if one.format == RAW != other.format and kept.pixels <= 1.1 * others[0].pixels:
        return f"the RAW file, against {other.format or 'another format'} of the same picture"
    first, second = megapixels(kept.pixels), megapixels(others[0].pixels)
    if first == second:
        return f"{one.width}x{one.height} pixels against {other.width}x{other.height}"
    return f"{first} against {second}"


def megapixels(pixels: int) -> str:
    """As "24 MP", "3.1 MP", or in pixels below a tenth of one."""
    if pixels < 100_000:
        return f"{pixels:,} pixels"
    return f"{pixels / 1e6:.{0 if pixels >= 9_950_000 else 1}f}".removesuffix(".0") + " MP"


def amount(size: int) -> str:
    """Bytes as "3.1 MB", "12 kB" or "800 bytes"."""
    if size >= 999_950:
        return f"{size / 1e6:.1f} MB"
    return f"{size / 1e3:.1f} kB" if size >= 1000 else f"{size} bytes"


def _why_bytes(kept: Candidate, others: Sequence[Candidate]) -> str:
    if others[0].is_afar and not kept.is_afar:
        return "a file of this machine"
    first, second = amount(kept.size), amount(others[0].size)
    if first == second:
        first, second = f"{kept.size:,} bytes", f"{others[0].size:,}"
    picture, other = kept.picture, others[0].picture
    same = (picture.width, picture.height) == (other.width, other.height)
    return f"{first} against {second}{' at the same size' if same else ''}"


def _why_oldest(kept: Candidate, others: Sequence[Candidate]) -> str:
    verb = "taken" if kept.picture.taken_at is not None else "last changed"
    later = all(other.date > kept.date for other in others)
    day, next_day = kept.date[:10], others[0].date[:10]
    if day == next_day:
        day = kept.date.replace("T", " ")
    if others[0].date == NO_DATE:
        return f"{verb} {day}; of the {'next' if len(others) > 1 else 'other'} no date is known"
    who = "next" if not later else "others" if len(others) > 1 else "other"
    return f"{verb} {day}, the {who} later"


def _why_prefer(kept: Candidate, others: Sequence[Candidate]) -> str:
    return f"in {kept.wishes.prefer[kept.preferred]}, which is preferred"


def _why_reference(kept: Candidate, others: Sequence[Candidate]) -> str:
    return f"in {kept.wishes.reference[kept.reference]}, which is never touched"


def _why_path(kept: Candidate, others: Sequence[Candidate]) -> str:
    return f"matches {kept.wishes.pattern[kept.matched]}, which is preferred"


CRITERIA = {
    "reference": Criterion(lambda file: file.reference, _why_reference, wish=True),
    "prefer": Criterion(lambda file: file.preferred, _why_prefer, wish=True),
    "path": Criterion(lambda file: file.matched, _why_path, wish=True),
    "resolution": Criterion(_pixels, _why_pixels),
    "metadata": Criterion(
        lambda file: -file.kinds,
        lambda kept, others: f"more metadata ({kept.kinds} against {others[0].kinds} kinds)",
    ),
    # What acts can be made of goes first: a keeper afar stands in for nothing.
    "bytes": Criterion(lambda file: (file.is_afar, -file.size), _why_bytes),
    "oldest": Criterion(lambda file: file.date, _why_oldest),
    "shortest": Criterion(lambda file: len(os.fsencode(file.path)), lambda kept, others: "the shortest path"),
    "name": Criterion(lambda file: os.fsencode(file.path), lambda kept, others: "the first by name"),
}
"""Every criterion by the name that a policy calls it."""
