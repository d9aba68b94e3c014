"""The thumbnails that are kept with an index: one when it is looked at, or all of them ahead."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from simsearch.engine.index import Index
from simsearch.media.decode import DecodeLimits
from simsearch.media.thumbs import SIDE, kept_digests, thumbnail
from simsearch.models.runners import available_threads
from simsearch.records import Photo, ThumbnailsReport
from simsearch.storage import catalog

PAGE = 256


@dataclass(frozen=True, slots=True)
class Thumbnails:
    """Gives small upright pictures as JPEG bytes; those of files are kept in `store`."""

    store: Path
    limits: DecodeLimits

    @classmethod
    def of(cls, index: Index) -> Thumbnails:
        """Those of an index."""
        return cls(index.path / "thumbs.db", DecodeLimits(max_pixels=index.max_pixels))

    def __call__(self, picture: str | bytes, side: int = SIDE) -> bytes | None:
        """That of a file, by its path, or of a picture's bytes; None where it cannot be read."""
        if isinstance(picture, bytes):
            return thumbnail(picture, side=side, limits=self.limits)
        return thumbnail(Path(picture), side=side, store=self.store, limits=self.limits)


def make_thumbnails(
    index: str | os.PathLike[str] | None = None, *, progress: Callable[[int, int], None] | None = None
) -> ThumbnailsReport:
    """Make each thumbnail that is missing; `progress` is called with the photos done and their number.

    Any number of readers and one writer may work meanwhile. Raises IndexMissing.
    """
    made = there = failed = 0
    with Index.open(index) as opened, ThreadPoolExecutor(available_threads()) as threads:
        thumbnails = Thumbnails.of(opened)
        with opened.database.read() as connection:
            total = catalog.count(connection, "photos")
        kept = kept_digests(thumbnails.store)
        for page in _pages(opened.photos()):
            missing = [photo for photo in page if bytes.fromhex(photo.sha256) not in kept]
            there += len(page) - len(missing)
            for found in threads.map(partial(_thumbnail, thumbnails), missing):
                made, failed = made + (found is not None), failed + (found is None)
            if progress is not None:
                progress(made + there + failed, total)
    return ThumbnailsReport(str(opened.path), made, there, failed)


def _thumbnail(thumbnails: Thumbnails, photo: Photo) -> bytes | None:
    return next((jpeg for path in photo.paths if (jpeg := thumbnails(path)) is not None), None)


def _pages(photos: Iterator[Photo]) -> Iterator[list[Photo]]:
    page: list[Photo] = []
    for photo in photos:
        page.append(photo)
        if len(page) == PAGE:
            yield page
            page = []
    if page:
        yield page
