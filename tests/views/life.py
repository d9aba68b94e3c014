"""An index with a view through its days: photos come and go, and answers are held against brute force."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import age, picture
from made import made_index
from oracle import Truth, read_index

from simsearch import Index
from simsearch.engine.exchange.importing import import_embeddings
from simsearch.engine.exchange.origin import Origin
from simsearch.engine.maintenance.view import rebuild

RECALL = 0.98


def address_in(folder: Path, kind: str) -> str:
    """A kind of view as `rebuild` takes it; an address is one already."""
    if "://" in kind or not kind.startswith("milvus"):
        return kind
    return f"milvus://{folder}/rows.db/{kind.replace('milvus', 'photos')}"


class Life:
    """An index with a view through its days: photos come, go, and are compacted."""

    def __init__(self, work: Path, kind: str) -> None:
        self.work = work
        self.photos, self.folder = made_index(work)
        self.kind = kind.partition("?")[0].partition(":")[0]
        rebuild(self.folder, view=address_in(work, kind), recall=0.99)

    def truth(self) -> Truth:
        """All that can be found, read without simsearch."""
        return read_index(self.folder)

    def more(self, count: int) -> None:
        """Import as many further photos."""
        photos = self.work / f"more{count}"
        photos.mkdir()
        lines = ["path"]
        for n in range(count):
            picture(10_000 + 10 * count + n, (8, 8)).save(photos / f"{n:05d}.png", compress_level=1)
            lines.append(str(photos / f"{n:05d}.png"))
        age(photos)
        rows = np.random.default_rng(count).standard_normal((count, 16)).astype(np.float32)
        np.save(self.work / "more.npy", rows)
        (self.work / "more.csv").write_text("\n".join(lines) + "\n")
        import_embeddings(Origin(self.work / "more.npy", self.work / "more.csv", name="made"), self.folder)

    def check(self) -> None:
        """Answers are those of brute force, but for the share that a view may miss."""
        truth = self.truth()
        asked = truth.vectors[:: len(truth.vectors) // 40]
        with Index.open(self.folder) as index:
            assert index.info().view.kind == self.kind
            answers = index.search(asked, k=10)
        shares = []
        for query, hits in zip(asked, answers, strict=True):
            ids = [hit.id for hit in hits]
            assert len(set(ids)) == len(ids) == min(10, len(truth.ids))
            assert set(ids) <= set(truth.ids)
            expected = truth.rank(query, 10)
            assert hits[0].score == pytest.approx(1.0, abs=1e-6)
            shares.append(len({hit.path for hit in hits} & {path for path, _ in expected}) / 10)
        assert np.mean(shares) >= (1.0 if self.kind == "exact" else RECALL)
