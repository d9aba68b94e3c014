"""Where the XMP sidecar of a picture lies, or would lie."""

from __future__ import annotations

import os

from simsearch.media.formats import looks_like_picture


def sidecars_of(path: bytes) -> list[bytes]:
    """The sidecars that are there, IMG.JPG.xmp before IMG.xmp: the first one is of this picture alone."""
    stem = os.path.splitext(path)[0]
    names = dict.fromkeys(base + suffix for base in (path, stem) for suffix in (b".xmp", b".XMP"))
    found: list[bytes] = []
    for name in names:
        # Where case is folded, two spellings are one file.
        if os.path.isfile(name) and not any(os.path.samefile(name, other) for other in found):
            found.append(name)
    return found


def sidecar_for(path: bytes) -> bytes:
    """The sidecar to write: the one that is there, else IMG.xmp as Adobe's programs name it.

    Where another picture of the folder shares the stem (IMG.jpg and IMG.heic), it is IMG.jpg.xmp.
    """
    there = sidecars_of(path)
    if there:
        return there[0]
    folder, name = os.path.split(path)
    stem = os.path.splitext(name)[0]
    try:
        others = [other for other in os.listdir(folder or b".") if other != name]
    except OSError:
        # A folder that may not be listed may hold another one.
        return path + b".xmp"
    shared = any(os.path.splitext(other)[0] == stem and looks_like_picture(other) for other in others)
    return (path if shared else os.path.join(folder, stem)) + b".xmp"
