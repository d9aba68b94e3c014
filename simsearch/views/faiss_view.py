"""The IVF view: PCA to 256, random rotation, inverted lists, 4-bit product codes, squared L2."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from simsearch.errors import IndexDamaged, SimsearchError
from simsearch.views.base import Blocks, Ids, Vectors
from simsearch.views.exact import ExactView
from simsearch.views.tuning import Setting, tune

PCA_DIM = 256
MINIMUM_ROWS = 1000
TRAIN_PCA, TRAIN_PER_LIST, HELD_OUT = 40_000, 40, 500


class IvfView:
    """An approximate view that lists `setting.reranked` candidates, to be ranked by their true vectors.

    PCA then squared L2 keeps the order of neighbours better than inner product on centred vectors, and
    the codes need the rotation. IVF keeps 64-bit ids itself. See
    https://github.com/facebookresearch/faiss/wiki/Fast-accumulation-of-PQ-and-AQ-codes-(FastScan)
    """

    kind = "ivf"

    def __init__(self, index: faiss.IndexPreTransform, setting: Setting) -> None:
        self._index, self.setting = index, setting
        self._ivf: Any = faiss.downcast_index(index.index)

    def __len__(self) -> int:
        return int(self._index.ntotal)

    @classmethod
    def build(cls, blocks: Blocks, total: int, *, recall: float) -> IvfView:
        """Train on a sample of `blocks`, add every row, and tune on 500 held-out rows to `recall`."""
        if total < MINIMUM_ROWS:
            raise SimsearchError(
                f"An IVF view needs at least {MINIMUM_ROWS} photos; this index has {total}. Use --view exact."
            )
        lists = 2 ** round(np.log2(4 * np.sqrt(total)))
        lists = max(1, min(lists, total // TRAIN_PER_LIST))
        sample = _sample(blocks, total, max(TRAIN_PCA, TRAIN_PER_LIST * lists))
        index = _train(sample, lists)
        del sample
        for ids, rows in blocks():
            index.add_with_ids(np.ascontiguousarray(rows), ids)
        view = cls(index, Setting(lists, 400, 0.0))
        view.setting = view._tune(blocks, total, recall)
        return view

    def search(self, queries: Vectors, k: int, allowed: Ids | None = None) -> list[Ids]:
        """Candidates of each query: `setting.reranked`, or `k` where that is more.

        Who asks for more gets as many more lists probed, in the end all rows.
        """
        selector = None if allowed is None else faiss.IDSelectorBatch(allowed)
        wider = -(-k // self.setting.reranked)
        some = allowed is None and k < len(self)
        nprobe = self.setting.nprobe * wider if some else self._ivf.nlist
        return self._candidates(queries, max(k, self.setting.reranked), nprobe, selector)

    def add(self, ids: Ids, rows: Vectors) -> None:
        """Add rows to the lists as they are; the training is kept."""
        self._index.add_with_ids(np.ascontiguousarray(rows), ids)

    def write(self, path: Path) -> None:
        """Write the index to `path` and wait until the disk has it."""
        try:
            faiss.write_index(self._index, os.fspath(path))
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

    @classmethod
    def read(cls, path: Path, setting: Setting) -> IvfView:
        """The view that `write` wrote. Raises IndexDamaged when FAISS cannot read it."""
        try:
            return cls(faiss.read_index(os.fspath(path)), setting)
        except (RuntimeError, AttributeError) as exc:
            raise IndexDamaged(f"FAISS cannot read {path}: {exc}. Run: simsearch rebuild") from exc

    def _candidates(
        self, queries: Vectors, k: int, nprobe: int, selector: faiss.IDSelector | None = None
    ) -> list[Ids]:
        inner = faiss.SearchParametersIVF(nprobe=min(nprobe, self._ivf.nlist), sel=selector)
        params = faiss.SearchParametersPreTransform()
        params.index_params = inner
        threads = faiss.omp_get_max_threads()
        if len(queries) < 8:
            faiss.omp_set_num_threads(1)
        try:
            _, ids = self._index.search(queries, min(k, len(self)), params=params)
        finally:
            faiss.omp_set_num_threads(threads)
        return [row[row >= 0] for row in ids]

    def _tune(self, blocks: Blocks, total: int, recall: float) -> Setting:
        rng = np.random.default_rng(0)
        chosen = np.sort(rng.choice(total, min(HELD_OUT, total), replace=False))
        own, queries = _pick(blocks, chosen)
        truth = _without(ExactView(blocks).search(queries, 11), own, 10)

        def search(nprobe: int, k: int) -> list[Ids]:
            return _without(self._candidates(queries, k + 1, nprobe), own, k)

        return tune(search, truth, lists=self._ivf.nlist, rows=total, wanted=recall)


def _train(sample: Vectors, lists: int) -> faiss.IndexPreTransform:
    dim = sample.shape[1]
    # Short vectors keep their length; one that is odd loses its least component, since codes are of pairs.
    kept = min(PCA_DIM, dim - dim % 2)
    pca = faiss.PCAMatrix(dim, kept, 0, True)
    pca.train(np.ascontiguousarray(sample[:: max(1, len(sample) // TRAIN_PCA)][:TRAIN_PCA]))
    reduced = pca.apply(np.ascontiguousarray(sample))
    quantizer = faiss.IndexFlatL2(kept)
    ivf = faiss.IndexIVFPQFastScan(quantizer, kept, lists, kept // 2, 4, faiss.METRIC_L2)
    ivf.cp.min_points_per_centroid = ivf.pq.cp.min_points_per_centroid = 1
    ivf.train(reduced)
    index = faiss.IndexPreTransform(pca, ivf)
    return index


def _sample(blocks: Blocks, total: int, wanted: int) -> Vectors:
    """At most `wanted` rows in runs of 16, spread evenly over the collection."""
    if wanted >= total:
        return np.concatenate([rows for _, rows in blocks()])
    step = total / (wanted / 16)
    starts = (np.arange(wanted // 16) * step).astype(np.int64)
    chosen = (starts[:, None] + np.arange(16)).ravel()
    return _pick(blocks, np.unique(chosen[chosen < total]))[1]


def _pick(blocks: Blocks, places: Ids) -> tuple[Ids, Vectors]:
    ids, rows, start = [], [], 0
    for block_ids, block in blocks():
        inside = places[(places >= start) & (places < start + len(block_ids))] - start
        ids.append(block_ids[inside])
        rows.append(np.array(block[inside]))
        start += len(block_ids)
    return np.concatenate(ids), np.concatenate(rows)


def _without(found: Sequence[Ids], own: Ids, k: int) -> list[Ids]:
    return [ids[ids != mine][:k] for ids, mine in zip(found, own, strict=True)]
