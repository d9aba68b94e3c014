"""Which files belong to a picture, by name and folder: sidecars, the other half of a RAW+JPEG, Live Photos.

Names are compared without regard to case. Sidecars: `IMG.xmp` and `IMG.JPG.xmp`, `IMG.aae`, `IMG.thm`, and
Google Takeout's `IMG.jpg.json` and `IMG.jpg.supplemental-metadata.json`, cut short where names are long.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from simsearch.media.formats import RAW_SUFFIXES, looks_like_picture

DEVELOPED = frozenset(("jpg", "jpeg", "jpe", "heic", "heif", "hif"))
"""What a camera writes beside a RAW file, and what a Live Photo's still is."""

VIDEO = "mov"
_BY_STEM = ("xmp", "aae", "thm")
_BY_NAME = ("xmp", "json")
_TAKEOUT = "supplemental-metadata"


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


def family_of(path: bytes) -> Family:
    """The family of the picture at `path`, as its folder is now; links and folders are no part of it.

    Raises OSError where the folder cannot be listed.
    """
    folder, own = os.path.split(path)
    with os.scandir(folder) as entries:
        names = sorted(
            entry.name for entry in entries if entry.name == own or entry.is_file(follow_symlinks=False)
        )
    wanted = _stem(own)
    pictures = tuple(name for name in names if name == own or (_is_picture(name) and _stem(name) == wanted))
    owners: dict[bytes, tuple[bytes, ...]] = {}
    for name in names:
        if name not in pictures:
            found = tuple(picture for picture in pictures if belongs(name, picture))
            if found:
                owners[name] = found
    return Family(folder, pictures, owners)


def belongs(name: bytes, picture: bytes) -> bool:
    """Whether a file of this name is a sidecar or the Live Photo's video of this picture."""
    stem, kind = os.path.splitext(os.fsdecode(name).lower())
    kind, full = kind[1:], os.fsdecode(picture).lower()
    if stem == _stem(picture) and (kind in _BY_STEM or (kind == VIDEO and suffix(picture) in DEVELOPED)):
        return True
    if kind not in _BY_NAME or not stem.startswith(full):
        return False
    rest = stem[len(full) :]
    return not rest or (kind == "json" and rest[0] == "." and _TAKEOUT.startswith(rest[1:]))


def _stem(name: bytes) -> str:
    return os.path.splitext(os.fsdecode(name))[0].lower()


def _is_picture(name: bytes) -> bool:
    return looks_like_picture(name) and not name.startswith(b".")
