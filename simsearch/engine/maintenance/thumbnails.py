"""Makes the thumbnails of all photos ahead, so that the first look at a page need not wait for them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from simsearch.engine.index import Index
from simsearch.media.decode import DecodeLimits
from simsearch.media.thumbs import kept_digests, thumbnail
from simsearch.models.runners import available_threads
from simsearch.records import Photo, ThumbnailsReport
from simsearch.storage import catalog

PAGE = 256


def make_thumbnails(
    index: str | os.PathLike[str] | None = None, *, progress: Callable[[int, int], None] | None = None
) -> ThumbnailsReport:
    """Make each thumbnail that is missing; `progress` is called with the photos done and their number.

    Any number of readers and one writer may work meanwhile. Raises IndexMissing.
    """
    made = there = failed = 0
    with Index.open(index) as opened, ThreadPoolExecutor(available_threads()) as threads:
        store, limits = opened.path / "thumbs.db", DecodeLimits(max_pixels=opened.max_pixels)
        with opened.database.read() as connection:
            total = catalog.count(connection, "photos")
        kept = kept_digests(store)
        for page in _pages(opened.photos()):
            missing = [photo for photo in page if bytes.fromhex(photo.sha256) not in kept]
            there += len(page) - len(missing)
            for found in threads.map(partial(_thumbnail, store, limits), missing):
                made, failed = made + (found is not None), failed + (found is None)
            if progress is not None:
                progress(made + there + failed, total)
    return ThumbnailsReport(str(opened.path), made, there, failed)


def _thumbnail(store: Path, limits: DecodeLimits, photo: Photo) -> bytes | None:
    made = (thumbnail(Path(path), store=store, limits=limits) for path in photo.paths)
    return next((jpeg for jpeg in made if jpeg is not None), None)


def _pages(photos: Iterator[Photo]) -> Iterator[list[Photo]]:
    page: list[Photo] = []
    for photo in photos:
        page.append(photo)
        if len(page) == PAGE:
            yield page
            page = []
    if page:
        yield page
