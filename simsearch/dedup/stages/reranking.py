"""Re-ranks hits by geometry: those whose points lie as the query's do come first."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from simsearch.dedup.features.ahead import spread
from simsearch.dedup.features.collect import LONGEST, Collector
from simsearch.dedup.features.describe import describe
from simsearch.dedup.features.store import FeatureStore
from simsearch.dedup.records import Picture
from simsearch.dedup.verify.classifier import shipped
from simsearch.dedup.verify.match import matches, place
from simsearch.dedup.verify.prepare import Prepared, prepare
from simsearch.engine.index import Index
from simsearch.engine.queries.options import QueryOptions
from simsearch.framing import Fitting
from simsearch.media.decode import DecodeLimits
from simsearch.media.pool import decode_here
from simsearch.models.runners import available_threads
from simsearch.records import Hit
from simsearch.storage import catalog

FEWEST = 8
"""So many points agree by chance in no pair of different photos that were tried; see docs/quality.md."""


def agreeing(one: Prepared, other: Prepared) -> int:
    """How many points of two pictures agree on one place, as they are or in the mirror.

    SIFT points, Lowe's ratio test and a homography by MAGSAC++, as deduplication has them; verification of a
    short list: Philbin et al., https://doi.org/10.1109/CVPR.2007.383172
    """
    most = 0
    for points, width in ((other.points, None), (other.mirror, other.size[0])):
        rows, columns = matches(one.points, points)
        placed = place(
            one.features.places[rows], other.features.places[columns], one.size, mirror_width=width
        )
        most = max(most, placed.inliers if placed is not None else 0)
    return most


class GeometricRanking:
    """Looks at the `count` best hits point by point; what it finds of a photo is kept with the index."""

    def __init__(self, index: Index, count: int) -> None:
        self._index, self._count = index, count
        self._stack = ExitStack()
        store = self._stack.enter_context(FeatureStore(index.path, shipped().name))
        self._store = store
        self._collector = self._stack.enter_context(Collector(store, max_pixels=index.max_pixels))

    def __enter__(self) -> GeometricRanking:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._store.commit()
        self._stack.close()

    def wider(self, options: QueryOptions) -> QueryOptions:
        """How to search for the hits that `page` wants: all that are looked at, whichever page is shown."""
        return replace(options, k=max(self._count, options.k + options.offset), offset=0)

    def page(self, query: bytes | Path, hits: tuple[Hit, ...], options: QueryOptions) -> tuple[Hit, ...]:
        """Those of the hits of a `wider` search that the options ask for, the first of them ranked anew."""
        ranked = (*self(query, hits[: self._count]), *hits[self._count :])
        return ranked[options.offset :][: options.k]

    def __call__(self, query: bytes | Path, hits: tuple[Hit, ...]) -> tuple[Hit, ...]:
        """The hits with their `points`: first those with at least 8, most first, then the others as before.

        Args:
            query: a picture's file, or its bytes.
            hits: of a search; a photo that can no longer be read has no points.

        Raises PhotoUnreadable for the query.
        """
        limits = DecodeLimits(max_pixels=self._index.max_pixels)
        asked = prepare(describe(decode_here(query, Fitting(LONGEST), limits).pixels))
        points = [0 if other is None else agreeing(asked, other) for other in self._looked_at(hits)]
        order = sorted(range(len(hits)), key=lambda n: -points[n] if points[n] >= FEWEST else 0)
        return tuple(replace(hits[n], points=points[n]) for n in order)

    def _looked_at(self, hits: tuple[Hit, ...]) -> list[Prepared | None]:
        with self._index.database.read() as connection:
            facts = catalog.contents_by_id(connection, [hit.id for hit in hits])
        pictures = [
            Picture(
                number,
                facts[hit.id].sha256,
                (hit.path, *hit.copies),
                hit.width,
                hit.height,
                facts[hit.id].format,
                facts[hit.id].taken_at,
            )
            for number, hit in enumerate(hits)
            if hit.id in facts
        ]
        found: dict[int, Prepared | None] = {}
        every = spread(self._collector.features, pictures, available_threads())
        for picture, features in zip(pictures, every, strict=True):
            found[picture.id] = None if features is None else prepare(features)
        return [found.get(number) for number in range(len(hits))]
