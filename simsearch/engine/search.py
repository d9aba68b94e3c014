"""Pictures, paths and ids -> hits: one query engine for the shell, Python and the browser."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simsearch.engine.index import Index
from simsearch.engine.ranking import Wanted
from simsearch.errors import IndexEmpty, IndexMismatch
from simsearch.media.decode import DecodeLimits
from simsearch.media.pool import decode_here
from simsearch.media.thumbs import thumbnail
from simsearch.models.embedder import Embedder
from simsearch.paths import AnyPath, canonical, text
from simsearch.records import Hit, QueryResult
from simsearch.storage import catalog

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class QueryOptions:
    """How many hits, which scores, and whether the query's own file may be among them.

    `center` ranks by vectors seen from the middle of the collection; None does as the index is set.
    """

    k: int = 10
    min_score: float | None = None
    max_score: float | None = None
    include_self: bool = False
    center: bool | None = None


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
        """The embedder of the index's spec, made at first use. Raises WeightsMissing."""
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
        options = options or QueryOptions()
        where = canonical(path)
        own = () if options.include_self else (where,)
        vector_id = self.index.vector_id_of(path=where)
        if vector_id is not None:
            vector = self.index.vectors([vector_id])[0]
        else:
            self._refuse_empty()
            vector = self._embed(Path(text(where)))
        return QueryResult(text(where), self._search(vector, options, own))

    def query_bytes(self, data: bytes, label: str = "-", options: QueryOptions | None = None) -> QueryResult:
        """Hits for the bytes of a picture; `label` names it in the result."""
        self._refuse_empty()
        return QueryResult(label, self._search(self._embed(data), options or QueryOptions(), ()))

    def query_id(self, vector_id: int, options: QueryOptions | None = None) -> QueryResult:
        """Hits for an indexed picture by its id. Raises NotIndexed."""
        options = options or QueryOptions()
        vector = self.index.vectors([vector_id])[0]
        own = () if options.include_self else tuple(os.fsencode(p) for p in self.index.paths_of(vector_id))
        return QueryResult(str(vector_id), self._search(vector, options, own))

    def query_array(
        self, image: Any, label: str = "array", options: QueryOptions | None = None
    ) -> QueryResult:
        """Hits for an upright uint8 (H, W, 3) array or a PIL image."""
        self._refuse_empty()
        return QueryResult(
            label, self._search(self.embedder.embed([image])[0], options or QueryOptions(), ())
        )

    def thumbnail(self, picture: str | bytes, side: int = 256) -> bytes | None:
        """JPEG bytes of a small upright picture, given by path or by its bytes; None where it cannot be read.

        Those of files are kept with the index.
        """
        if isinstance(picture, bytes):
            return thumbnail(picture, side=side, limits=self._limits)
        store = self.index.path / "thumbs.db"
        return thumbnail(Path(picture), side=side, store=store, limits=self._limits)

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

    def _search(self, vector: Vectors, options: QueryOptions, own: Sequence[bytes]) -> tuple[Hit, ...]:
        wanted = Wanted(
            options.k, options.min_score, options.max_score, frozenset(own), center=options.center
        )
        return self.index.rank(vector[None], wanted)[0]


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
