"""Which photos count: a filter over folders, formats, sizes, dates and a condition in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from simsearch.engine.queries.language.compiling import classes_like, compiled
from simsearch.engine.queries.language.dates import period
from simsearch.engine.queries.language.parsing import parse
from simsearch.engine.queries.language.tree import All, Below, Compare, Glob, Like, Node, OneOf, Some
from simsearch.errors import QueryInvalid
from simsearch.models.labels.names import classes_named
from simsearch.paths import AnyPath, canonical
from simsearch.storage import catalog

if TYPE_CHECKING:
    from simsearch.engine.index import Index


@dataclass(frozen=True, slots=True)
class PhotoFilter:
    """What a photo must fulfil, all of it; a filter of nothing lets every photo through.

    Conditions are held against each file and its picture. A picture counts when one of its files fulfils
    all of them.

    Attributes:
        folders: files in or below one of these; made absolute.
        formats: Pillow's names of formats, such as "JPEG", in any case; jpg, tif, heic and jp2 count too.
        min_width, max_width, min_height, max_height: upright, in pixels, inclusive.
        min_bytes, max_bytes: size of the file, inclusive.
        since, until: YYYY, YYYY-MM, YYYY-MM-DD, or that with a time; `until` includes the whole of its year,
            month, day or minute. The date is EXIF's, else the file's last change in local time.
        labels: with one of these among its labels, see `simsearch.models.labels.names`; a % is any text.
        glob: a pattern of `fnmatch` for the name, or for the absolute path where it holds a slash.
        where: a condition in words, see `simsearch.engine.queries.language.parsing.parse`.

    Raises QueryInvalid for what cannot be understood or fulfilled.
    """

    folders: tuple[AnyPath, ...] = ()
    formats: tuple[str, ...] = ()
    min_width: int | None = None
    max_width: int | None = None
    min_height: int | None = None
    max_height: int | None = None
    min_bytes: int | None = None
    max_bytes: int | None = None
    since: str | None = None
    until: str | None = None
    glob: str | None = None
    where: str | None = None
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "folders", tuple(_absolute(folder) for folder in self.folders))
        for low, high in self._bounds():
            if any(bound is not None and not abs(bound) < 2**53 for bound in (low, high)):
                raise QueryInvalid("A bound on a size is a whole number of less than 16 digits.")
            if low is not None and high is not None and low > high:
                raise QueryInvalid(f"No photo has at least {low} and at most {high}.")
        since, until = (period(text) if text is not None else None for text in (self.since, self.until))
        if since is not None and until is not None and since.start >= until.end:
            raise QueryInvalid(f"No photo is since {self.since} and until {self.until}.")
        classes_of(self.labels)
        self.tree()

    def __bool__(self) -> bool:
        """Whether it asks for anything."""
        return next(self._parts(), None) is not None

    def tree(self) -> Node:
        """All of it as one condition."""
        return All(tuple(self._parts()))

    def _bounds(self) -> Sequence[tuple[int | None, int | None]]:
        return (
            (self.min_width, self.max_width),
            (self.min_height, self.max_height),
            (self.min_bytes, self.max_bytes),
        )

    def _parts(self) -> Iterator[Node]:
        if self.folders:
            yield Some(tuple(Below(_absolute(folder)) for folder in self.folders))
        if self.labels:
            yield Some(
                tuple(Like("label", name) if "%" in name else OneOf("label", (name,)) for name in self.labels)
            )
        if self.formats:
            yield OneOf("format", self.formats)
        for field, (low, high) in zip(("width", "height", "bytes"), self._bounds(), strict=True):
            if low is not None:
                yield Compare(field, ">=", low)
            if high is not None:
                yield Compare(field, "<=", high)
        if self.since is not None:
            yield Compare("date", ">=", period(self.since))
        if self.until is not None:
            yield Compare("date", "<=", period(self.until))
        if self.glob is not None:
            yield Glob("path" if "/" in self.glob else "name", self.glob)
        if self.where is not None:
            yield parse(self.where)


def classes_of(labels: Sequence[str]) -> set[int]:
    """The classes of ImageNet that are meant by labels, see `PhotoFilter`. Raises QueryInvalid."""
    found = [classes_like(name) if "%" in name else classes_named(name) for name in labels]
    return set[int]().union(*found)


def ids_where(index: Index, photos: PhotoFilter) -> NDArray[np.int64]:
    """The ids of the photos that a filter lets through, ascending; exact, however the index is searched.

    Raises QueryInvalid for a folder below which nothing is indexed.
    """
    return index.steadily(lambda connection: matching_ids(connection, photos))


def matching_ids(connection: sa.Connection, photos: PhotoFilter) -> NDArray[np.int64]:
    """`ids_where` in the transaction of `connection`."""
    return catalog.matching_vectors(connection, compiled(connection, photos.tree()))


def matching_paths(
    connection: sa.Connection, photos: PhotoFilter, content_ids: Sequence[int]
) -> dict[int, set[bytes]]:
    """The absolute paths of those files of each content that a filter lets through."""
    return catalog.matching_files(connection, compiled(connection, photos.tree()), content_ids)


def _absolute(folder: AnyPath) -> bytes:
    try:
        return canonical(folder)
    except (ValueError, OSError) as exc:
        raise QueryInvalid(f"{folder!r} is no folder: {exc}.") from exc
