"""Which names of a folder go with a picture's name, and where its XMP sidecar lies or would lie."""

from __future__ import annotations

import os
import re
import stat
import time
from functools import lru_cache

from simsearch.media.formats import looks_like_picture

XMP = "xmp"
TAKEOUT = "supplemental-metadata"
"""What Google Takeout puts between a picture's name and `.json`, cut short where names are long."""

_NUMBERED = re.compile(r"(.+)(\([1-9][0-9]*\))(\.json)", re.IGNORECASE | re.DOTALL)
_FRESH_NS = 2_000_000_000
"""A folder may change within so long without another time; FAT's times are the coarsest."""

_AFTER_A_STEM = 3
"""How many suffixes stand behind a picture's stem at most: `IMG.jpg.supplemental-metadata.json`."""


class Listing:
    """The names in a folder, to be asked for by the name of a picture, whatever the case.

    Raises OSError where the folder cannot be listed.
    """

    def __init__(self, folder: bytes) -> None:
        self.folder = folder
        self._names: dict[str, list[bytes]] = {}
        for name in os.listdir(folder):
            for stem in _stems(name):
                self._names.setdefault(stem, []).append(name)

    def beside(self, picture: bytes) -> list[bytes]:
        """The names that begin with the stem of `picture` and a dot, and that stem itself, in byte order."""
        return sorted(self._names.get(stem_of(picture), ()))

    def is_file(self, name: bytes) -> bool:
        """Whether there is a file of this name now, and not a link or a folder."""
        try:
            return stat.S_ISREG(os.lstat(os.path.join(self.folder, name)).st_mode)
        except OSError:
            return False


def stem_of(name: bytes) -> str:
    """A name without its last suffix, in lower case."""
    return os.path.splitext(os.fsdecode(name))[0].lower()


def takeout_forms(name: bytes) -> tuple[bytes, ...]:
    """A name, and that which Google Takeout would have made of it had it numbered notes like pictures.

    The second `IMG.jpg` of a folder is `IMG(1).jpg` there, and its notes are `IMG.jpg(1).json`.
    """
    found = _NUMBERED.fullmatch(os.fsdecode(name))
    if found is None:
        return (name,)
    whole, tail = found[1], ""
    base, _, last = whole.rpartition(".")
    if last and "." in base and TAKEOUT.startswith(last.lower()):
        whole, tail = base, f".{last}"
    stem, suffix = os.path.splitext(whole)
    return name, os.fsencode(f"{stem}{found[2]}{suffix}{tail}{found[3]}")


def is_sidecar(name: bytes, picture: bytes) -> bool:
    """Whether `name` is that of an XMP sidecar of this picture: IMG.JPG.xmp or IMG.xmp, whatever the case."""
    stem, suffix = os.path.splitext(os.fsdecode(name).lower())
    return suffix[1:] == XMP and stem in (os.fsdecode(picture).lower(), stem_of(picture))


def sidecars_of(path: bytes) -> list[bytes]:
    """The sidecars that are there, IMG.JPG.xmp before IMG.xmp: the first one is of this picture alone."""
    folder, name = os.path.split(path)
    bases = (name, os.path.splitext(name)[0])
    try:
        names = [other for other in listing_of(folder).beside(name) if is_sidecar(other, name)]
    except OSError:
        # A folder that may not be listed may still be read from.
        names = [*dict.fromkeys(base + suffix for base in bases for suffix in (b".xmp", b".XMP"))]
    names.sort(key=lambda other: _strangeness(other, bases))
    found = (os.path.join(folder, other) for other in names)
    return [sidecar for sidecar in found if os.path.isfile(sidecar)]


def sidecar_for(path: bytes) -> bytes:
    """The sidecar to write: the one that is there, else IMG.xmp as Adobe's programs name it.

    Where another picture of the folder shares the stem (IMG.jpg and IMG.heic), it is IMG.jpg.xmp.
    """
    there = sidecars_of(path)
    if there:
        return there[0]
    folder, name = os.path.split(path)
    try:
        others = [other for other in listing_of(folder).beside(name) if other != name]
    except OSError:
        # A folder that may not be listed may hold another one.
        return path + b".xmp"
    shared = any(stem_of(other) == stem_of(name) and looks_like_picture(other) for other in others)
    return (path if shared else os.path.join(folder, os.path.splitext(name)[0])) + b".xmp"


def listing_of(folder: bytes) -> Listing:
    """The folder as it is now, listed again only where it has changed since. Raises OSError."""
    folder = folder or b"."
    changed = os.stat(folder).st_mtime_ns
    if time.time_ns() - changed < _FRESH_NS:
        return Listing(folder)
    return _listed(folder, changed)


@lru_cache(maxsize=64)
def _listed(folder: bytes, changed: int) -> Listing:
    return Listing(folder)


def _stems(name: bytes) -> list[str]:
    """The stems of all pictures that a name may go with."""
    stems: list[str] = []
    for form in takeout_forms(name):
        longer = [stem_of(form)]
        while len(longer) < _AFTER_A_STEM and (shorter := os.path.splitext(longer[-1])[0]) != longer[-1]:
            longer.append(shorter)
        stems += longer
    return [*dict.fromkeys(stems)]


def _strangeness(name: bytes, bases: tuple[bytes, bytes]) -> tuple[bool, bool, bool, bytes]:
    """What puts one sidecar of a picture behind another: it is not of this one alone, or spelt otherwise."""
    base, suffix = os.path.splitext(name)
    own = os.fsdecode(base).lower() == os.fsdecode(bases[0]).lower()
    return not own, base not in bases, suffix != b".xmp", name
