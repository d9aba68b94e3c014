"""Which pairs of files count."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace

from simsearch.dedup.grouping.places import place_of, places
from simsearch.dedup.records import Picture
from simsearch.errors import SimsearchError

FOLDERS = ("any", "across", "same")


@dataclass(frozen=True, slots=True)
class Scope:
    """The files that are compared, and which of them with each other.

    Attributes:
        within: only files below these folders count, and those below `reference`; empty means all.
        folders: "any"; "across": never two files of one folder; "same": only two files of one folder. A
            file's folder is the one that lists it.
        reference: folders that others are held against; two files in them are no pair.

    The folders become absolute. Raises NotIndexed for one that does not exist, SimsearchError for another
    word in `folders`.
    """

    within: tuple[str, ...] = ()
    folders: str = "any"
    reference: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.folders not in FOLDERS:
            raise SimsearchError(f"folders={self.folders!r} is none of: {', '.join(FOLDERS)}.")
        object.__setattr__(self, "within", places(self.within, "to look within"))
        object.__setattr__(self, "reference", places(self.reference, "as a reference folder"))

    def counts(self, path: str) -> bool:
        """Whether a file is compared at all."""
        return not self.within or place_of(path, (*self.within, *self.reference)) is not None

    def allowed(self, first: str, second: str) -> bool:
        """Whether two files, by absolute path, may be called copies of each other."""
        if self.folders != "any" and (folder_of(first) == folder_of(second)) != (self.folders == "same"):
            return False
        if self.reference and all(place_of(path, self.reference) is not None for path in (first, second)):
            return False
        return self.counts(first) and self.counts(second)

    def without(self, pictures: Iterable[Picture]) -> tuple[str, ...]:
        """Those of the folders that none of the pictures has a file below."""
        paths = [path for picture in pictures for path in picture.paths]
        folders = dict.fromkeys((*self.within, *self.reference))
        return tuple(folder for folder in folders if all(place_of(path, (folder,)) is None for path in paths))

    def narrow(self, pictures: Iterable[Picture]) -> list[Picture]:
        """The pictures with those of their files that count; without the pictures that have none."""
        if not self.within:
            return list(pictures)
        narrowed = (
            replace(picture, paths=tuple(path for path in picture.paths if self.counts(path)))
            for picture in pictures
        )
        return [picture for picture in narrowed if picture.paths]


def folder_of(path: str) -> bytes:
    """The folder that lists a file."""
    return os.path.dirname(os.fsencode(path))
