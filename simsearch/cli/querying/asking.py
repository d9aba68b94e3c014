"""Asks the queries of one command line, one after the other."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from simsearch.cli.output import note
from simsearch.errors import NotIndexed, PhotoUnreadable
from simsearch.paths import archive_of

if TYPE_CHECKING:
    from simsearch.dedup.stages.reranking import GeometricRanking
    from simsearch.engine.search import QueryOptions, Searcher
    from simsearch.records import QueryResult


def looked_at(searcher: Searcher, options: QueryOptions) -> QueryOptions:
    """The options with their examples looked at once, and not for each IMAGE."""
    plus, minus = (tuple(searcher.look_at(one) for one in side) for side in (options.plus, options.minus))
    return replace(options, plus=plus, minus=minus)


def holds_photos(path: str) -> bool:
    """Whether a path is that of a folder or an archive."""
    inside = archive_of(os.fsencode(path))
    return os.path.isdir(path) or (inside is not None and not inside[1])


@dataclass(slots=True)
class Asked:
    """Asks one query after another; a bad one costs its own line on stderr and not the others."""

    searcher: Searcher
    options: QueryOptions
    geometry: int = 0
    failed: int = 0
    # The file, or on standard input the bytes, behind the name of a query.
    pictures: dict[str, str | bytes] = field(default_factory=dict)

    def answers(self, images: Sequence[str], ids: Sequence[int]) -> Iterator[QueryResult]:
        """The results of those queries that have one, in order; without a picture, of the labels alone."""
        from simsearch.errors import RegionOutside

        labels = self.options.photos.labels if self.options.photos is not None else ()
        if labels and not images and not ids:
            from simsearch.engine.labels.asking import photos_labelled

            yield photos_labelled(self.searcher.index, labels, self.options)
        queries: list[str | int] = [*images, *ids]
        with self._ranking() as ranking:
            for query in queries:
                try:
                    yield self._answer(query, ranking)
                except (PhotoUnreadable, NotIndexed, RegionOutside) as exc:
                    self.failed += 1
                    note(f"Error: {exc}")

    def _ranking(self) -> AbstractContextManager[GeometricRanking | None]:
        if not self.geometry:
            return nullcontext()
        from simsearch.dedup.stages.reranking import GeometricRanking

        return GeometricRanking(self.searcher.index, self.geometry)

    def _answer(self, query: str | int, ranking: GeometricRanking | None) -> QueryResult:
        if ranking is None:
            return self._found(query, self.options)
        result = self._found(query, ranking.wider(self.options))
        source = self.pictures[result.query]
        picture = source if isinstance(source, bytes) else Path(source)
        return replace(result, hits=ranking.page(picture, result.hits, self.options))

    def _found(self, query: str | int, options: QueryOptions) -> QueryResult:
        if isinstance(query, int):
            result = self.searcher.query_id(query, options)
            paths = self.searcher.index.paths_of(query)
            # Of files with the same bytes some may have gone.
            self.pictures[result.query] = next(filter(os.path.isfile, paths), paths[0])
        elif query == "-":
            data = sys.stdin.buffer.read()
            if not data:
                raise PhotoUnreadable("There is nothing on standard input; - reads a picture from there.")
            result = self.searcher.query_bytes(data, "-", options)
            self.pictures[result.query] = data
        else:
            try:
                result = self.searcher.query_path(query, options)
            except PhotoUnreadable as exc:
                if not holds_photos(query):
                    raise
                raise PhotoUnreadable(
                    f"{query} holds photos and is none itself. Name one in it; or index them with: "
                    f"simsearch index {shlex.quote(query)}"
                ) from exc
            self.pictures[result.query] = result.query
        return result
