"""The index that is served: opened, opened again where another took its place, and asked in batches."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simsearch.engine.batch.asking import Answer, Question, answers
from simsearch.engine.index import Index
from simsearch.engine.search import Searcher
from simsearch.errors import IndexMismatch, IndexMissing, SimsearchError
from simsearch.paths import DATABASE

Pixels = NDArray[np.uint8]
Vector = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """An index with its searcher, and the file that it was opened from (device, inode)."""

    index: Index
    searcher: Searcher
    stamp: tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Framed:
    """A new picture on its way through the network: pixels as the index frames them."""

    opened: Opened
    pixels: Pixels


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """A question, and the spec that the vectors in it are of."""

    spec: str
    question: Question


class Library:
    """One index for all requests. Any thread may call.

    Args:
        folder: of the index.
        note: told what is to be known of the network, see `Embedder`.
    """

    def __init__(self, folder: Path, note: Callable[[str], None]) -> None:
        self.folder, self.note = folder, note
        self._lock = threading.Lock()
        self._opened: Opened | None = None
        self._is_warm = False

    def current(self) -> Opened:
        """The index as it is there now. Raises IndexMissing, FormatUnknown, IndexDamaged, IndexUnwritable."""
        with self._lock:
            stamp = self._stamp()
            if self._opened is None or self._opened.stamp != stamp:
                # Whoever still reads from the earlier one lets go of it when done.
                index = Index.open(self.folder)
                self._opened = Opened(index, Searcher(index, note=self.note), stamp)
            return self._opened

    def forget(self, opened: Opened) -> None:
        """Open anew next time, though the file seems to be the same one."""
        with self._lock:
            if self._opened is opened:
                self._opened = None

    def close(self) -> None:
        """Close the index; whoever asks later opens it again."""
        with self._lock:
            opened, self._opened = self._opened, None
        if opened is not None:
            opened.index.close()

    def load(self) -> None:
        """Load the network of the index now. Raises SimsearchError."""
        self.current().searcher.embedder.load()
        self._is_warm = True

    @property
    def is_warm(self) -> bool:
        """Whether the network was loaded by `load`, or for a picture."""
        return self._is_warm

    def embed(self, pictures: Sequence[Framed]) -> Sequence[Vector | Exception]:
        """The unit vector of each picture, by one pass of the network for all of one index."""
        found: dict[int, Vector | Exception] = {}
        for opened in dict.fromkeys(picture.opened for picture in pictures):
            places = [place for place, picture in enumerate(pictures) if picture.opened is opened]
            try:
                vectors = opened.searcher.embedder.embed(
                    np.stack([pictures[place].pixels for place in places])
                )
                found.update(zip(places, vectors, strict=True))
                self._is_warm = True
            except SimsearchError as exc:
                found.update(dict.fromkeys(places, exc))
        return [found[place] for place in range(len(pictures))]

    def answer(self, asked: Sequence[Asked]) -> Sequence[Answer]:
        """The hits of each question; one about vectors of an index that was here before is an error."""
        try:
            opened = self.current()
            found = self._answered(opened, asked)
            if any(isinstance(answer, IndexMismatch) for answer in found):
                # Another index was written into the same file.
                self.forget(opened)
                found = self._answered(self.current(), asked)
        except SimsearchError as exc:
            return [exc] * len(asked)
        return found

    def _answered(self, opened: Opened, asked: Sequence[Asked]) -> list[Answer]:
        spec = opened.index.spec.id
        fit = [one.question for one in asked if one.spec == spec]
        found = iter(answers(opened.searcher, fit))
        other = "Another index took the place of this one in this very moment. Ask again."
        return [next(found) if one.spec == spec else IndexMismatch(other) for one in asked]

    def _stamp(self) -> tuple[int, int]:
        try:
            found = (self.folder / DATABASE).stat()
        except OSError as exc:
            raise IndexMissing(
                f"The index at {self.folder} cannot be reached: {exc.strerror or exc}. It is looked for "
                "again at the next request."
            ) from exc
        return found.st_dev, found.st_ino
