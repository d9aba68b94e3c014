"""Which files belong to a picture, by name and folder: sidecars, the other half of a RAW+JPEG, Live Photos.

Names are compared without regard to case. Sidecars: `IMG.xmp` and `IMG.JPG.xmp`, `IMG.aae`, `IMG.thm`, and
Google Takeout's `IMG.jpg.json` and `IMG.jpg.supplemental-metadata.json`, cut short where names are long;
of `IMG(1).jpg` these are `IMG.jpg(1).json` and `IMG.jpg.supplemental-metadata(1).json`.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

from simsearch.dedup.metadata.sidecars import TAKEOUT, Listing, is_sidecar, stem_of, takeout_forms
from simsearch.media.formats import RAW_SUFFIXES, looks_like_picture

DEVELOPED = frozenset(("jpg", "jpeg", "jpe", "heic", "heif", "hif"))
"""What a camera writes beside a RAW file, and what a Live Photo's still is."""

VIDEO = "mov"
_BY_STEM = ("aae", "thm")
_TRUSTED_S, _SHARE, _FOLDERS = 1.0, 10, 64
_TAKEOUT_KIND = "json"


@dataclass(frozen=True, slots=True)
class Family:
    """The files of one folder that go by one name, each list in byte order of the names.

    Attributes:
        folder: the folder.
        pictures: names of all pictures with this stem.
        owners: for each other file the pictures that it belongs to.
    """

    folder: bytes
    pictures: tuple[bytes, ...]
    owners: dict[bytes, tuple[bytes, ...]]

    def shot(self, name: bytes) -> tuple[bytes, ...]:
        """The pictures of the shot that `name` is of: a RAW and what was developed from it, or it alone."""
        halves = [other for other in self.pictures if is_raw(other) or suffix(other) in DEVELOPED]
        pair = name in halves and any(map(is_raw, halves)) and not all(map(is_raw, halves))
        return tuple(halves) if pair else (name,)


def suffix(name: bytes) -> str:
    """The last suffix in lower case, without its dot."""
    return os.path.splitext(os.fsdecode(name))[1][1:].lower()


def is_raw(name: bytes) -> bool:
    """Whether a name is that of a camera's RAW file."""
    return suffix(name) in RAW_SUFFIXES


def is_video(name: bytes) -> bool:
    """Whether a name is that of the moving half of a Live Photo."""
    return suffix(name) == VIDEO


class Folders:
    """Folders that a run takes files out of, each listed anew at least once a second.

    What takes longer to list is believed ten times as long as that takes, so that no more than a tenth of the
    time goes into it. A name that has gone meanwhile is never taken for one that is there.
    """

    def __init__(self) -> None:
        self._listed: dict[bytes, tuple[Listing, float]] = {}

    def family(self, path: bytes) -> Family:
        """The family of the picture at `path`. Raises OSError where its folder cannot be listed."""
        folder, name = os.path.split(path)
        listing, until = self._listed.get(folder, (None, 0.0))
        if listing is None or time.monotonic() > until:
            listing = self._list(folder)
        return family_in(listing, name)

    def _list(self, folder: bytes) -> Listing:
        if len(self._listed) >= _FOLDERS:
            self._listed.clear()
        began = time.monotonic()
        listing = Listing(folder)
        now = time.monotonic()
        self._listed[folder] = listing, now + max(_TRUSTED_S, _SHARE * (now - began))
        return listing


def family_in(listing: Listing, own: bytes) -> Family:
    """The family of the picture `own` of a listed folder; links and folders are no part of it."""
    names = [name for name in listing.beside(own) if name == own or listing.is_file(name)]
    wanted = stem_of(own)
    pictures = tuple(name for name in names if name == own or (_is_picture(name) and stem_of(name) == wanted))
    owners: dict[bytes, tuple[bytes, ...]] = {}
    for name in names:
        if name not in pictures:
            found = tuple(picture for picture in pictures if belongs(name, picture))
            if found:
                owners[name] = found
    return Family(listing.folder, pictures, owners)


def belongs(name: bytes, picture: bytes) -> bool:
    """Whether a file of this name is a sidecar or the Live Photo's video of this picture."""
    if is_sidecar(name, picture):
        return True
    stem, kind, full = stem_of(name), suffix(name), os.fsdecode(picture).lower()
    if stem == stem_of(picture) and (kind in _BY_STEM or (kind == VIDEO and suffix(picture) in DEVELOPED)):
        return True
    return kind == _TAKEOUT_KIND and any(_is_takeout(stem_of(form), full) for form in takeout_forms(name))


def _is_takeout(stem: str, picture: str) -> bool:
    rest = stem.removeprefix(picture)
    return rest != stem and (not rest or (rest[0] == "." and TAKEOUT.startswith(rest[1:])))


def _is_picture(name: bytes) -> bool:
    return looks_like_picture(name) and not name.startswith(b".")
