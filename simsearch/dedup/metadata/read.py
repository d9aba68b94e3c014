"""What is noted about a picture: in its own file and in the sidecars beside it."""

from __future__ import annotations

import os

from simsearch.dedup.metadata.embedded import embedded
from simsearch.dedup.metadata.facts import Metadata
from simsearch.dedup.metadata.properties import facts_of
from simsearch.dedup.metadata.sidecars import sidecars_of
from simsearch.dedup.metadata.xmp import MAX_BYTES, XmpRefused, parse
from simsearch.errors import PhotoUnreadable
from simsearch.media.files import read_file


def read(path: str) -> Metadata:
    """What is noted about the picture at `path`; nothing where nothing can be read.

    A sidecar goes before the picture's own notes, as in the programs that write them; tags are those of both.
    No pixel is decoded, and neither a damaged nor a hostile file raises an error.
    """
    raw = os.fsencode(path)
    noted = Metadata()
    for sidecar in sidecars_of(raw):
        try:
            noted = noted.over(facts_of(parse(read_file(sidecar, MAX_BYTES)[0])))
        except (XmpRefused, PhotoUnreadable):
            continue
    return noted.over(embedded(raw))


def richness(path: str) -> int:
    """How many of the eight are noted: date, camera, place, rating, tags, caption, title, regions."""
    return read(path).richness
