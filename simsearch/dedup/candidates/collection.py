"""The pictures that are compared, with their stored vectors."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from simsearch.dedup.candidates.whiten import Vectors
from simsearch.dedup.records import Picture
from simsearch.engine.index import Index
from simsearch.media.scan import root_state
from simsearch.paths import is_source, is_source_root, text
from simsearch.storage import catalog

Rows = Callable[[NDArray[np.int64]], Vectors]


@dataclass(frozen=True, slots=True)
class Collection:
    """Pictures in a fixed order; `rows` gives the vectors float32 (n, dim) at ascending places in it."""

    pictures: tuple[Picture, ...]
    rows: Rows

    def __len__(self) -> int:
        return len(self.pictures)

    def kept(self, keep: Callable[[tuple[Picture, ...]], list[Picture]]) -> Collection:
        """Those pictures that `keep` leaves, with the files that it leaves them, numbered anew."""
        left = keep(self.pictures)
        places = np.array([picture.id for picture in left], dtype=np.int64)
        rows = self.rows
        return Collection(
            tuple(replace(picture, id=number) for number, picture in enumerate(left)),
            lambda asked: rows(places[asked]),
        )


def collection_of(index: Index, counts: Callable[[str], bool] = lambda path: True) -> Collection:
    """All pictures of an index that a file is there of, by path; only files that `counts` says yes to.

    Files are chosen before links are: one inside a folder counts, whatever other name it has elsewhere.
    """
    found = []
    for photo in index.photos():
        paths = separate(tuple(path for path in photo.paths if counts(path)))
        if paths:
            found.append((os.fsencode(paths[0]), photo.id, photo, paths))
    found.sort(key=lambda item: item[:2])
    afar = [photo.sha256 for _, _, photo, paths in found if any(map(is_source, map(os.fsencode, paths)))]
    with index.database.read() as connection:
        sizes = catalog.sizes(connection, [bytes.fromhex(digest) for digest in afar])
    ids = np.array([vector_id for _, vector_id, _, _ in found], dtype=np.int64)
    pictures = tuple(
        Picture(
            number,
            bytes.fromhex(photo.sha256),
            paths,
            photo.width,
            photo.height,
            photo.format,
            photo.taken_at,
            sizes.get(bytes.fromhex(photo.sha256)),
        )
        for number, (_, _, photo, paths) in enumerate(found)
    )
    return Collection(pictures, lambda places: index.vectors(ids[places].tolist()))


def missing_roots(index: Index) -> tuple[str, ...]:
    """The folders of an index that are missing or empty now, whose pictures a collection is without.

    Stores and archives are not asked.
    """
    with index.database.read() as connection:
        roots = [root.path for root in catalog.read_roots(connection)]
    return tuple(text(root) for root in roots if not is_source_root(root) and root_state(root) != "ok")


def separate(paths: tuple[str, ...]) -> tuple[str, ...]:
    """The files that are there, in byte order, links to one file once: a link is that file, no copy of it."""
    first: dict[tuple[int, int], str] = {}
    elsewhere: list[str] = []
    for path in sorted(paths, key=lambda path: (os.path.islink(path), os.fsencode(path))):
        if is_source(os.fsencode(path)):
            # It was there when it was indexed; whether it still is shows when it is read.
            elsewhere.append(path)
            continue
        try:
            found = os.stat(path)
        except OSError:
            continue
        first.setdefault((found.st_dev, found.st_ino), path)
    return tuple(sorted([*first.values(), *elsewhere], key=os.fsencode))
