"""Approximate views by FAISS: rows on their main directions, in inverted lists or in a graph."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Self

import faiss
import numpy as np

from simsearch.errors import IndexDamaged, SimsearchError
from simsearch.views.base import Blocks, Ids, Owners, Vectors
from simsearch.views.exact import one_thread
from simsearch.views.tuning import RERANKED, Effort, Setting, Trial

MINIMUM_ROWS = 1000
FEW = 8
"""Fewer queries are answered on one thread."""


def check_rows(kind: str, total: int) -> None:
    """Raises SimsearchError for fewer rows than a view can be tuned on."""
    if total < MINIMUM_ROWS:
        raise SimsearchError(
            f"The view {kind} needs at least {MINIMUM_ROWS} photos; this index has {total}. Use --view exact."
        )


def write_synced(write: Callable[[str], None], path: Path) -> None:
    """Have FAISS write a file and wait until the disk has it. Raises SimsearchError."""
    try:
        write(os.fspath(path))
        fd = os.open(path, os.O_RDWR)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
    except (RuntimeError, OSError) as exc:
        reason = " ".join(str(exc).split())
        raise SimsearchError(
            f"Cannot write the view {path}: {reason}. Make room and run: simsearch rebuild"
        ) from exc


class FaissView(ABC):
    """A view that lists `setting.reranked` candidates, to be ranked by their true vectors.

    Rows are compared by squared L2 on their main directions: that keeps the order of neighbours better than
    the inner product of centred vectors. `setting` was tuned on rows of the collection; `robust` searches
    harder, for pictures that are unlike them.
    """

    kind: str

    def __init__(self, index: Any, setting: Setting, robust: Setting | None = None) -> None:
        self._index, self.setting, self.robust = index, setting, robust or setting

    def __len__(self) -> int:
        return int(self._index.ntotal)

    @classmethod
    def build(cls, blocks: Blocks, total: int, *, recall: float, owners: Owners | None = None) -> Self:
        """Train on a sample of `blocks`, add every row, and tune on 500 held-out rows to `recall`.

        Where pictures have several rows, it is that of the best rows of the ten nearest other pictures.
        """
        check_rows(cls.kind, total)
        # k-means of product codes is many small steps, in which threads only wait for each other.
        with one_thread():
            index = cls._trained(blocks, total)
        view = cls(index, Setting(0, RERANKED[-1], 0.0))
        for ids, rows in blocks():
            view.add(ids, rows)
        view._tune(blocks, total, recall, owners)
        return view

    @classmethod
    @abstractmethod
    def _trained(cls, blocks: Blocks, total: int) -> Any:
        """An empty index that has learnt from a sample of the rows."""

    @abstractmethod
    def _efforts(self) -> list[Effort]:
        """What tuning may choose from, from the cheapest."""

    @abstractmethod
    def _harder(self) -> tuple[int, int]:
        """nprobe and re-ranked rows of the robust setting."""

    @abstractmethod
    def _parameters(self, nprobe: int, selector: Any) -> Any:
        """FAISS's parameters of a search with this effort among the rows of `selector`."""

    @abstractmethod
    def search(self, queries: Vectors, k: int, allowed: Ids | None = None) -> list[Ids]:
        """Candidates of each query: `setting.reranked`, or `k` where that is more."""

    @abstractmethod
    def groups(self, most: int) -> Iterator[Ids]:
        """The ids of all rows, each once, at most `most` together; those together lie close to each other."""

    def add(self, ids: Ids, rows: Vectors) -> None:
        """Add rows as they are; the training is kept."""
        self._index.add_with_ids(np.ascontiguousarray(rows), ids)

    def write(self, path: Path) -> None:
        """Write the index to `path` and wait until the disk has it."""
        write_synced(partial(faiss.write_index, self._index), path)

    @classmethod
    def read(cls, path: Path, setting: Setting, robust: Setting | None = None) -> Self:
        """The view that `write` wrote. Raises IndexDamaged when FAISS cannot read it."""
        try:
            return cls(faiss.read_index(os.fspath(path)), setting, robust)
        except (RuntimeError, AttributeError) as exc:
            raise IndexDamaged(f"FAISS cannot read {path}: {exc}. Run: simsearch rebuild") from exc

    def _candidates(self, queries: Vectors, k: int, nprobe: int, selector: Any = None) -> list[Ids]:
        params = faiss.SearchParametersPreTransform()
        inner = self._parameters(nprobe, selector)
        params.index_params = inner
        with one_thread(len(queries) < FEW):
            _, ids = self._index.search(queries, min(k, len(self)), params=params)
        return [row[row >= 0] for row in ids]

    def _tune(self, blocks: Blocks, total: int, recall: float, owners: Owners | None) -> None:
        trial = Trial.of(blocks, total, owners)
        self.setting = trial.tuned(self._candidates, self._efforts(), recall)
        self.robust = trial.measured(self._candidates, *self._harder())


class IvfView(FaissView):
    """Inverted lists with 4-bit product codes, 64 bytes a row.

    The codes need the rotation. They are of the rows, not of what is left after the list's centre: tables of
    distances are then made once a query and not once a list, so that more lists cost next to nothing.
    IVF keeps 64-bit ids itself. See
    https://github.com/facebookresearch/faiss/wiki/Fast-accumulation-of-PQ-and-AQ-codes-(FastScan)
    """

    kind = "ivf"
    _PROBES = (8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
    _TRAIN_PER_LIST, _TRAIN_LEAST = 40, 40_000
    # Measured on a million rows, AMD EPYC: 4 microseconds a row, 5 nanoseconds a code.
    _CODES_A_ROW = 800
    _ROBUST = (128, 400)

    def __init__(self, index: Any, setting: Setting, robust: Setting | None = None) -> None:
        super().__init__(index, setting, robust)
        self._ivf: Any = faiss.downcast_index(index.index)

    @classmethod
    def _trained(cls, blocks: Blocks, total: int) -> Any:
        from simsearch.views.training import learn_transform, reduced_sample

        lists = 2 ** round(np.log2(2 * np.sqrt(total)))
        lists = max(1, min(lists, total // cls._TRAIN_PER_LIST))
        transform = learn_transform(blocks, total)
        kept = transform.d_out
        ivf = faiss.IndexIVFPQFastScan(faiss.IndexFlatL2(kept), kept, lists, kept // 2, 4, faiss.METRIC_L2)
        ivf.by_residual = False
        ivf.cp.min_points_per_centroid = ivf.pq.cp.min_points_per_centroid = 1
        sample = max(cls._TRAIN_LEAST, cls._TRAIN_PER_LIST * lists)
        ivf.train(reduced_sample(blocks, total, sample, transform))
        return faiss.IndexPreTransform(transform, ivf)

    def search(self, queries: Vectors, k: int, allowed: Ids | None = None) -> list[Ids]:
        """Candidates of each query: `setting.reranked`, or `k` where that is more.

        Who asks for more gets as many more lists probed, in the end all rows. Among `allowed` rows every
        list is probed, and as many candidates given as by the robust setting: rows of one folder lie in few
        lists, which a fixed number would miss, and close together, where codes tell them apart less well.
        """
        if allowed is not None:
            most = max(k, self.robust.reranked)
            return self._candidates(queries, most, self._ivf.nlist, _bitmap(allowed))
        wider = -(-k // self.setting.reranked)
        nprobe = self.setting.nprobe * wider if k < len(self) else self._ivf.nlist
        return self._candidates(queries, max(k, self.setting.reranked), nprobe)

    def groups(self, most: int) -> Iterator[Ids]:
        """The ids of all rows, list by list."""
        lists = self._ivf.invlists
        for number in range(self._ivf.nlist):
            size = lists.list_size(number)
            ids = faiss.rev_swig_ptr(lists.get_ids(number), size).copy() if size else np.empty(0, np.int64)
            for start in range(0, size, most):
                yield ids[start : start + most]

    def _efforts(self) -> list[Effort]:
        lists, rows = self._ivf.nlist, len(self)
        return [
            Effort(nprobe, RERANKED[-1], nprobe * rows / lists / self._CODES_A_ROW)
            for nprobe in (*[n for n in self._PROBES if n < lists], lists)
        ]

    def _harder(self) -> tuple[int, int]:
        nprobe, reranked = self._ROBUST
        return min(self._ivf.nlist, max(nprobe, self.setting.nprobe)), max(reranked, self.setting.reranked)

    def _parameters(self, nprobe: int, selector: Any) -> Any:
        return faiss.SearchParametersIVF(nprobe=min(nprobe, self._ivf.nlist), sel=selector)


class HnswView(FaissView):
    """A graph of neighbours over 8-bit codes, 464 bytes a row: quicker than lists, larger, slower to build.

    Malkov and Yashunin, https://arxiv.org/abs/1603.09320
    """

    kind = "hnsw"
    _LINKS = 24
    _ENDS = (20, 30, 50, 80, 120, 180, 260, 400)
    _ROBUST = 260

    @classmethod
    def _trained(cls, blocks: Blocks, total: int) -> Any:
        from simsearch.views.training import PCA_ROWS, learn_transform, reduced_sample

        transform = learn_transform(blocks, total)
        graph = faiss.IndexHNSWSQ(transform.d_out, faiss.ScalarQuantizer.QT_8bit, cls._LINKS)
        graph.train(reduced_sample(blocks, total, PCA_ROWS, transform))
        return faiss.IndexIDMap(faiss.IndexPreTransform(transform, graph))

    def search(self, queries: Vectors, k: int, allowed: Ids | None = None) -> list[Ids]:
        """Candidates of each query: `setting.reranked`, or `k` where that is more.

        Raises SimsearchError for `allowed`: a graph whose rows are mostly forbidden finds next to nothing.
        """
        if allowed is not None:
            raise SimsearchError("An hnsw view cannot search among some of its rows.")
        if k >= len(self):
            # Links lead to nearly every row, not to every one.
            return [faiss.vector_to_array(self._index.id_map) for _ in queries]
        found = max(k, self.setting.reranked)
        return self._candidates(queries, found, max(found, self.setting.nprobe))

    def groups(self, most: int) -> Iterator[Ids]:
        """The ids of all rows as they came: a folder's photos come together."""
        ids = faiss.vector_to_array(self._index.id_map)
        for start in range(0, len(ids), most):
            yield ids[start : start + most]

    def _efforts(self) -> list[Effort]:
        return [Effort(ends, ends, ends) for ends in self._ENDS]

    def _harder(self) -> tuple[int, int]:
        return max(self._ROBUST, self.setting.nprobe), max(self._ROBUST, self.setting.reranked)

    def _parameters(self, nprobe: int, selector: Any) -> Any:
        return faiss.SearchParametersHNSW(efSearch=nprobe)


VIEWS: dict[str, type[FaissView]] = {view.kind: view for view in (IvfView, HnswView)}


def _bitmap(allowed: Ids) -> faiss.IDSelectorBitmap:
    bits = np.zeros((int(allowed[-1]) // 8 + 1) * 8 if len(allowed) else 8, dtype=bool)
    bits[allowed] = True
    return faiss.IDSelectorBitmap(np.packbits(bits, bitorder="little"))
