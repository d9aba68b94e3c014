"""Pictures, paths and ids -> hits: one query engine for the shell, Python and the browser."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simsearch.engine.index import Index
from simsearch.engine.maintenance.thumbnails import Thumbnails
from simsearch.engine.queries.examples import Example, Seen, rocchio
from simsearch.engine.queries.options import QueryOptions as QueryOptions
from simsearch.engine.queries.region import Box, region_of_array, region_of_file
from simsearch.engine.ranking import Wanted
from simsearch.errors import IndexEmpty, IndexMismatch, PhotoUnreadable
from simsearch.media.decode import DecodeLimits
from simsearch.media.pool import decode_here
from simsearch.models.embedder import Embedder
from simsearch.paths import AnyPath, canonical, text
from simsearch.records import Hit, QueryResult
from simsearch.storage import catalog

Vectors = NDArray[np.float32]


class Searcher:
    """Answers queries against one index; the network is loaded at the first picture that needs it.

    An indexed path and an id are answered from the stored vector, and so is a new file whose bytes are
    indexed elsewhere; none of these loads a model. The device is the CPU unless another is asked for: one
    picture is embedded there before torch has so much as been imported for a card.
    """

    def __init__(
        self,
        index: Index | str | os.PathLike[str] | None = None,
        *,
        embedder: Embedder | None = None,
        device: str = "cpu",
        runtime: str = "auto",
        note: Callable[[str], None] | None = None,
    ) -> None:
        self._owned = not isinstance(index, Index)
        self.index = index if isinstance(index, Index) else Index.open(index)
        if embedder is not None and embedder.spec != self.index.spec:
            self.close()
            raise IndexMismatch(
                f"{self.index.path} holds vectors of {self.index.spec.backbone}, the embedder makes those of "
                f"{embedder.spec.backbone} (or of other weights); they cannot be compared."
            )
        self._embedder, self._device, self._runtime, self._note = embedder, device, runtime, note
        self._lock = threading.Lock()

    def __enter__(self) -> Searcher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the index, where it was opened here."""
        if self._owned:
            self.index.close()

    @property
    def embedder(self) -> Embedder:
        """The embedder of the index's spec, made once, at first use. Raises WeightsMissing."""
        with self._lock:
            if self._embedder is None:
                self._embedder = Embedder.for_spec(
                    self.index.spec,
                    self.index.weights_path,
                    device=self._device,
                    runtime=self._runtime,
                    note=self._note,
                )
            return self._embedder

    def query_path(self, path: AnyPath, options: QueryOptions | None = None) -> QueryResult:
        """Hits for a file, indexed or new. Raises PhotoUnreadable when it is missing or no picture."""
        where = text(canonical(path))
        return self._query(where, where, options)

    def query_bytes(self, data: bytes, label: str = "-", options: QueryOptions | None = None) -> QueryResult:
        """Hits for the bytes of a picture; `label` names it in the result."""
        return self._query(data, label, options)

    def query_id(self, vector_id: int, options: QueryOptions | None = None) -> QueryResult:
        """Hits for an indexed picture by its id. Raises NotIndexed."""
        return self._query(vector_id, str(vector_id), options)

    def query_array(
        self, image: Any, label: str = "array", options: QueryOptions | None = None
    ) -> QueryResult:
        """Hits for an upright uint8 (H, W, 3) array or a PIL image."""
        return self._query(image, label, options)

    def look_at(self, example: Example | Seen) -> Seen:
        """An example with its vector and its own files, for any number of queries. See `vector_of`."""
        if isinstance(example, Seen):
            return example
        source, vector = example.source, self.vector_of(example.source, example.box)
        own: tuple[bytes, ...] = ()
        if isinstance(source, (int, np.integer)):
            own = tuple(os.fsencode(path) for path in self.index.paths_of(int(source)))
        elif isinstance(source, (str, os.PathLike)):
            own = (canonical(source),)
        return Seen(vector, example.weight, own)

    def vector_of(self, source: Any, box: Box | None = None) -> Vectors:
        """The unit vector of a picture or of a region of it, float32 (dim,).

        Args:
            source: a path (str or Path), the bytes of a picture, the id of an indexed one, an upright uint8
                (H, W, 3) array or a PIL image.
            box: the region; None is the whole, whose stored vector is taken where there is one.

        Raises PhotoUnreadable, NotIndexed for an unknown id, IndexEmpty, RegionOutside.
        """
        if box is not None:
            self._refuse_empty()
            return np.asarray(self.embedder.embed([self._region(source, box)])[0], dtype=np.float32)
        stored = None
        if isinstance(source, (int, np.integer)):
            stored = int(source)
        elif isinstance(source, (str, os.PathLike)):
            source = Path(text(canonical(source)))
            stored = self.index.vector_id_of(path=source)
        if stored is not None:
            found: Vectors = self.index.vectors([stored])[0]
            return found
        self._refuse_empty()
        if isinstance(source, (bytes, Path)):
            return self._embed(source)
        return np.asarray(self.embedder.embed([source])[0], dtype=np.float32)

    def search_vector(
        self, vector: Vectors, options: QueryOptions | None = None, own: Sequence[AnyPath] = ()
    ) -> tuple[Hit, ...]:
        """Hits for a unit vector of this index's spec, float32 (dim,); the options' examples play no part.

        `own` are absolute paths, spelt as in the index, that are no answer unless the options include them.
        """
        options = options or QueryOptions()
        itself = frozenset(map(os.fsencode, own))
        wanted = replace(wanted_by(options), without=frozenset() if options.include_self else itself)
        if options.expand:
            vector = self.expanded(vector, options.expand, replace(wanted, without=itself))
        return page_of(self.index.rank(vector[None], wanted)[0], options)

    def expanded(self, vector: Vectors, count: int, wanted: Wanted) -> Vectors:
        """The vector in the middle of a query and of its best answers, of any photo but `wanted.without`.

        Answers are found as wholes, since it is these that join: a photo of which a tile is like the query
        need not be like it itself. Average query expansion: Chum et al.,
        https://doi.org/10.1109/ICCV.2007.4408891
        """
        joining = Wanted(count, without=wanted.without, center=wanted.center, tiles=False)
        near = self.index.rank(vector[None], joining)[0]
        rows = [vector, *self.index.vectors([hit.id for hit in near])] if near else [vector]
        blended = np.sum(rows, axis=0, dtype=np.float64)
        return np.asarray(blended / np.linalg.norm(blended), dtype=np.float32)

    def thumbnail(self, picture: str | bytes, side: int = 256) -> bytes | None:
        """JPEG bytes of a small upright picture, given by path or by its bytes; None where it cannot be read.

        Those of files are kept with the index.
        """
        return Thumbnails.of(self.index)(picture, side)

    @property
    def _limits(self) -> DecodeLimits:
        return DecodeLimits(max_pixels=self.index.max_pixels)

    def _refuse_empty(self) -> None:
        with self.index.database.read() as connection:
            filled = catalog.holds_a_photo(connection)
        if not filled:
            raise IndexEmpty(
                f"The index at {self.index.path} holds no photo. Add some: simsearch index FOLDER"
            )

    def _embed(self, source: bytes | Path) -> Vectors:
        """The vector of a file, or of a picture's bytes."""
        with ThreadPoolExecutor(1) as beside:
            # The view is read while the network is: together they are most of a first query's time.
            beside.submit(self.index.snapshot)
            decoded = decode_here(source, self.index.spec.framing, self._limits)
            known = self.index.vector_id_of(digest=decoded.digest)
            if known is not None:
                stored: Vectors = self.index.vectors([known])[0]
                return stored
            return np.asarray(self.embedder.embed(decoded.pixels[None])[0], dtype=np.float32)

    def _query(self, source: Any, label: str, options: QueryOptions | None) -> QueryResult:
        options = options or QueryOptions()
        plus = [self.look_at(one) for one in (Example(source, box=options.box), *options.plus)]
        minus = [self.look_at(one) for one in options.minus]
        own = [path for one in (*plus, *minus) for path in one.own]
        return QueryResult(label, self.search_vector(rocchio(plus, minus), options, own))

    def _region(self, source: Any, box: Box) -> Any:
        """The pixels of a region of a picture."""
        if isinstance(source, (int, np.integer)):
            return self._region_of_first(self.index.paths_of(int(source)), box)
        if isinstance(source, (str, os.PathLike)):
            source = Path(text(canonical(source)))
        if isinstance(source, (bytes, Path)):
            return region_of_file(source, box, self.index.spec.framing, self._limits)
        return region_of_array(source, box)

    def _region_of_first(self, paths: Sequence[str], box: Box) -> Any:
        """That of the first of several equal files that can be read."""
        for path in paths[:-1]:
            with contextlib.suppress(PhotoUnreadable):
                return region_of_file(Path(path), box, self.index.spec.framing, self._limits)
        return region_of_file(Path(paths[-1]), box, self.index.spec.framing, self._limits)


def wanted_by(options: QueryOptions) -> Wanted:
    """What a query with these options asks of the index; paths that are no answer are not among it."""
    return Wanted(
        options.offset + options.k,
        options.min_score,
        options.max_score,
        center=options.center,
        photos=options.photos,
        diverse=options.diverse,
        one_in=options.one_in,
        tiles=options.tiles,
    )


def page_of(hits: tuple[Hit, ...], options: QueryOptions) -> tuple[Hit, ...]:
    """The hits of the page that the options ask for, of all from the first on."""
    page = hits[options.offset :]
    # A score with several pictures at once has no place among those of pairs.
    return tuple(replace(hit, one_in=None) for hit in page) if options.expand else page


def find_similar(
    images: Any,
    index: Index | str | os.PathLike[str] | None = None,
    *,
    k: int = 10,
    options: QueryOptions | None = None,
    embedder: Embedder | None = None,
) -> list[QueryResult]:
    """The `k` most similar indexed pictures of each image.

    Args:
        images: one or several of: a path (str, bytes, Path), a vector id (int), an upright uint8 (H, W, 3)
            array, a PIL image.
        index: an open `Index`, its folder or its name.
        k: hits an image; `options` overrides it and adds score bounds and `include_self`.
        embedder: one to reuse across calls; its spec must be the index's.

    Returns: one `QueryResult` an image, in order. Raises IndexMissing, IndexEmpty, IndexMismatch,
    PhotoUnreadable, NotIndexed.
    """
    options = options or QueryOptions(k=k)
    several = list(images) if isinstance(images, (list, tuple)) else [images]
    with Searcher(index, embedder=embedder) as searcher:
        return [_query(searcher, image, options) for image in several]


def _query(searcher: Searcher, image: Any, options: QueryOptions) -> QueryResult:
    if isinstance(image, (str, bytes, Path)):
        return searcher.query_path(image, options)
    if isinstance(image, (int, np.integer)):
        return searcher.query_id(int(image), options)
    return searcher.query_array(image, options=options)
