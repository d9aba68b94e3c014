"""What every view promises, whoever holds it: held against NumPy's brute force on the same rows."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from life import RECALL, Life, address_in
from lite import MISSING
from made import ENOUGH
from rows import ROWS, Made, Searched

from simsearch import Index, SimsearchError
from simsearch.engine.maintenance.compact import compact
from simsearch.engine.maintenance.remove import remove
from simsearch.engine.maintenance.verify import verify
from simsearch.engine.maintenance.view import TAIL_ROWS
from simsearch.views.exact import ExactView
from simsearch.views.faiss_view import HnswView, IvfView

milvus = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("pymilvus", "milvus_lite")), reason=MISSING
)
KINDS = [
    "exact",
    "ivf",
    "hnsw",
    pytest.param("milvus", marks=[pytest.mark.proof, milvus]),
    pytest.param("milvus?index=ivf", marks=[pytest.mark.proof, milvus]),
]


@pytest.fixture(scope="module")
def made() -> Made:
    return Made()


@pytest.fixture(scope="module", params=KINDS)
def view(request: pytest.FixtureRequest, made: Made, tmp_path_factory: pytest.TempPathFactory) -> Searched:
    """A view of the made rows that was tuned to find .99 of the ten nearest."""
    if request.param == "exact":
        return ExactView(made.blocks)
    if request.param == "ivf":
        return IvfView.build(made.blocks, ROWS, recall=0.99)
    if request.param == "hnsw":
        return HnswView.build(made.blocks, ROWS, recall=0.99)
    from simsearch.views.remote.address import MilvusAddress
    from simsearch.views.remote.milvus_view import MilvusView

    address = MilvusAddress.parse(address_in(tmp_path_factory.mktemp("lite"), request.param))
    return MilvusView.build((address, "0" * 32), made.blocks, ROWS, recall=0.99)


def test_it_finds_its_share_of_the_true_neighbours(view: Searched, made: Made) -> None:
    assert made.recall(view) >= RECALL


def test_asked_for_more_it_gives_more_and_asked_for_all_all(view: Searched, made: Made) -> None:
    for k in (10, 700):
        for ids in view.search(made.queries[:3], k):
            assert len(np.unique(ids)) == len(ids) >= k
    [everything] = view.search(made.queries[:1], ROWS)
    assert sorted(everything) == list(made.ids)


@pytest.mark.parametrize("count", [5, 500, 2500])
@pytest.mark.parametrize("chosen", ["random", "close together"])
def test_a_filter_lets_through_what_is_allowed_and_finds_it(
    view: Searched, made: Made, chosen: str, count: int
) -> None:
    if chosen == "random":
        allowed = np.sort(np.random.default_rng(0).choice(made.ids, count, replace=False))
    else:
        allowed = np.sort(made.ids[np.argsort(-made.rows @ made.rows[0])[:count]])
    if isinstance(view, HnswView):
        # Who asks compares the rows exactly instead.
        with pytest.raises(SimsearchError, match="among some of its rows"):
            view.search(made.queries, 10, allowed)
        return
    found = view.search(made.queries, 10, allowed)
    best = made.best(min(10, count), allowed)
    for ids in found:
        assert len(np.unique(ids)) == len(ids) >= min(10, count)
        assert np.isin(ids, allowed).all()
    assert np.mean([np.isin(t, ids).mean() for t, ids in zip(best, found, strict=True)]) >= 0.97


@pytest.fixture(params=KINDS)
def life(request: pytest.FixtureRequest, tmp_path: Path) -> Life:
    return Life(tmp_path, request.param)


def test_removals_the_tail_and_compaction_are_what_brute_force_says(life: Life) -> None:
    life.check()
    remove([life.photos / f"{n:05d}.png" for n in range(0, 40, 2)], life.folder, yes=True)
    life.check()
    life.more(30)
    with Index.open(life.folder) as index:
        assert index.info().view.tail == (0 if life.kind == "exact" else 30)
    life.check()
    compact(life.folder)
    life.check()
    assert verify(life.folder).ok


def test_it_never_gives_more_than_there_is_and_refuses_what_is_no_vector(life: Life) -> None:
    truth = life.truth()
    with Index.open(life.folder) as index:
        [hits] = index.search(truth.vectors[:1], k=5000)
        assert sorted(hit.id for hit in hits) == sorted(truth.ids)
        with pytest.raises(SimsearchError, match="NaN"):
            index.search(np.full((1, 16), np.nan, dtype=np.float32))


@pytest.mark.proof
def test_a_long_tail_becomes_part_of_the_view(life: Life) -> None:
    life.more(TAIL_ROWS)
    with Index.open(life.folder) as index:
        assert index.info().view.tail == 0
        assert len(index) == ENOUGH + TAIL_ROWS
    life.check()
