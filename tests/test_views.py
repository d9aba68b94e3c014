"""Views and the graph of neighbours, held against NumPy's brute force on made vectors."""

from __future__ import annotations

from pathlib import Path

import faiss
import numpy as np
import pytest
from made import ENOUGH, made_index
from oracle import read_index
from rows import DIM, ROWS, Made

from simsearch import Index, SimsearchError
from simsearch.dedup.graph import knn_graph
from simsearch.engine.maintenance.remove import remove
from simsearch.engine.maintenance.view import rebuild, tend_view
from simsearch.engine.ranking import Wanted
from simsearch.engine.search import QueryOptions, Searcher
from simsearch.views.exact import ExactView
from simsearch.views.faiss_view import FaissView, HnswView, IvfView
from simsearch.views.training import even_places, learn_transform
from simsearch.views.tuning import RERANKED


@pytest.fixture(scope="module")
def made() -> Made:
    return Made()


@pytest.fixture(scope="module", params=[IvfView, HnswView])
def view(request: pytest.FixtureRequest, made: Made) -> FaissView:
    kind: type[FaissView] = request.param
    return kind.build(made.blocks, ROWS, recall=0.99)


def test_few_queries_are_compared_with_every_row_on_one_thread(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, int]] = []
    search, before = faiss.knn, faiss.omp_get_max_threads()

    def seen(queries: np.ndarray, *rows: object, **how: object) -> object:
        asked.append((len(queries), faiss.omp_get_max_threads()))
        return search(queries, *rows, **how)

    monkeypatch.setattr(faiss, "knn", seen)
    faiss.omp_set_num_threads(2)
    try:
        for count in (1, 64, 65):
            ExactView(made.blocks).search(np.ones((count, DIM), dtype=np.float32), 3)
        assert set(asked) == {(1, 1), (64, 1), (65, 2)}
        assert faiss.omp_get_max_threads() == 2
    finally:
        faiss.omp_set_num_threads(before)


def test_a_view_finds_what_it_promises_on_rows_it_has_not_seen(view: FaissView, made: Made) -> None:
    assert len(view) == ROWS
    assert view.setting.recall >= 0.99
    assert view.robust.recall >= view.setting.recall
    assert view.robust.reranked >= view.setting.reranked
    assert made.recall(view) >= 0.98
    view.setting, tuned = view.robust, view.setting
    assert made.recall(view) >= 0.99
    view.setting = tuned


def test_asked_for_more_a_view_gives_more(view: FaissView, made: Made) -> None:
    for k in (10, 700):
        assert all(len(ids) >= k for ids in view.search(made.queries[:3], k))
    [everything] = view.search(made.queries[:1], ROWS)
    assert sorted(everything) == list(made.ids)


def test_the_same_rows_give_the_same_view(view: FaissView, made: Made) -> None:
    again = type(view).build(made.blocks, ROWS, recall=0.99)
    if view.kind == "ivf":
        assert (again.setting, again.robust) == (view.setting, view.robust)
    assert again.search(made.queries[:1], 10)[0][0] == view.search(made.queries[:1], 10)[0][0]


def test_a_view_comes_back_from_its_file(view: FaissView, made: Made, tmp_path: Path) -> None:
    view.write(tmp_path / "1.faiss")
    again = type(view).read(tmp_path / "1.faiss", view.setting, view.robust)
    for old, new in zip(view.search(made.queries, 10), again.search(made.queries, 10), strict=True):
        assert list(old) == list(new)


def test_groups_hold_every_row_once(view: FaissView, made: Made) -> None:
    groups = list(view.groups(100))
    assert max(map(len, groups)) <= 100
    assert sorted(np.concatenate(groups)) == list(made.ids)


@pytest.mark.parametrize("chosen", ["random", "close together"])
def test_a_filter_is_kept_and_finds_its_rows(made: Made, chosen: str) -> None:
    view = IvfView.build(made.blocks, ROWS, recall=0.99)
    if chosen == "random":
        allowed = np.sort(np.random.default_rng(0).choice(made.ids, 500, replace=False))
    else:
        allowed = np.sort(made.ids[np.argsort(-made.rows @ made.rows[0])[:500]])
    assert made.recall(view, allowed) >= 0.97


def test_a_graph_refuses_a_filter_that_it_would_fail(made: Made) -> None:
    view = HnswView.build(made.blocks, ROWS, recall=0.9)
    with pytest.raises(SimsearchError, match="cannot search among some"):
        view.search(made.queries, 10, made.ids[:50])


def test_for_a_recall_of_1_a_view_searches_as_hard_as_it_can(made: Made) -> None:
    view = IvfView.build(made.blocks, ROWS, recall=1.0)
    assert view.setting.reranked == RERANKED[-1]
    assert view.setting.nprobe == faiss.downcast_index(view._index.index).nlist
    assert made.recall(view) >= made.recall(IvfView.build(made.blocks, ROWS, recall=0.99))


def test_exact_search_that_was_chosen_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simsearch.engine.maintenance.view.EXACT_UP_TO", 1000)
    _, folder = made_index(tmp_path)

    def after_a_run() -> str:
        with Index.open(folder) as index:
            tend_view(index, lambda line: None)
            return index.info().view.kind

    assert after_a_run() == "ivf"
    for options in ({"view": "exact"}, {"recall": 1.0}):
        assert rebuild(folder, **options).kind == "exact"  # type: ignore[arg-type]
        assert after_a_run() == "exact"
        assert rebuild(folder, recall=0.9).kind == "ivf"
        assert after_a_run() == "ivf"


def test_main_directions_are_those_of_the_covariance(made: Made) -> None:
    transform = learn_transform(made.blocks, ROWS)
    reduced = transform.apply(made.rows)
    assert reduced.shape == (ROWS, DIM)
    assert np.abs(reduced.mean(axis=0)).max() < 1e-4
    # A rotation: with all directions kept, distances are what they were.
    inside, outside = reduced[:50] - reduced[50:100], made.rows[:50] - made.rows[50:100]
    assert np.allclose(np.linalg.norm(inside, axis=1), np.linalg.norm(outside, axis=1), atol=1e-4)


def test_the_sample_is_even_and_in_runs() -> None:
    assert list(even_places(10, 20)) == list(range(10))
    places = even_places(100_000, 1600)
    assert len(places) == 1600
    assert list(places[:17]) == [*range(16), 1000]
    assert places[-1] == 99_015


@pytest.mark.parametrize("kind", ["exact", "ivf", "hnsw"])
def test_the_graph_of_neighbours_is_that_of_brute_force(tmp_path: Path, kind: str) -> None:
    photos, folder = made_index(tmp_path)
    rebuild(folder, view=kind, recall=1.0)
    remove([photos / f"{n:05d}.png" for n in range(5)], folder, yes=True)
    truth = read_index(folder)
    scores = truth.vectors @ truth.vectors.T
    np.fill_diagonal(scores, -2)
    order = np.argsort(-scores, axis=1)[:, :6]
    expected = {own: [truth.ids[n] for n in best] for own, best in zip(truth.ids, order, strict=True)}
    with Index.open(folder) as index:
        groups = list(knn_graph(index, 6))
    seen = np.concatenate([group.ids for group in groups])
    assert sorted(seen) == sorted(truth.ids)
    assert len(seen) == ENOUGH - 5
    right = [
        np.isin(expected[int(own)], found).mean()
        for group in groups
        for own, found in zip(group.ids, group.neighbours, strict=True)
    ]
    assert np.mean(right) == 1.0 if kind == "exact" else np.mean(right) > 0.97
    for group in groups:
        assert (np.diff(group.scores, axis=1) <= 0).all()
        place = {int(own): n for n, own in enumerate(truth.ids)}
        own, best = place[int(group.ids[0])], place[int(group.neighbours[0, 0])]
        assert group.scores[0, 0] == pytest.approx(scores[own, best], abs=1e-6)


@pytest.mark.parametrize("kind", ["exact", "ivf", "hnsw"])
def test_few_allowed_pictures_are_ranked_exactly_whatever_the_view(tmp_path: Path, kind: str) -> None:
    _, folder = made_index(tmp_path)
    info = rebuild(folder, view=kind, recall=0.5, robust=True)
    assert (info.kind, info.robust) == (kind, kind != "exact")
    truth = read_index(folder)
    allowed = np.asarray(truth.ids)[::7]
    with Index.open(folder) as index:
        answers = index.rank(truth.vectors[:20], Wanted(k=5, allowed=allowed))
    for query, hits in zip(truth.vectors[:20], answers, strict=True):
        best = np.argsort(-(truth.vectors[::7] @ query))[:5]
        assert [hit.id for hit in hits] == [int(allowed[n]) for n in best]


@pytest.mark.parametrize("kind", ["exact", "ivf", "hnsw"])
def test_centred_scores_are_those_of_vectors_less_the_shrunken_mean(tmp_path: Path, kind: str) -> None:
    _, folder = made_index(tmp_path)
    info = rebuild(folder, view=kind, recall=1.0, center=True)
    assert info.center
    truth = read_index(folder)
    mean = truth.vectors.mean(axis=0) * (ENOUGH / (ENOUGH + 30))
    moved = truth.vectors - mean
    moved /= np.linalg.norm(moved, axis=1, keepdims=True)
    found, nearest = [], []
    with Searcher(folder) as searcher:
        for own in range(20):
            expected = moved @ moved[own]
            best = [truth.ids[n] for n in np.argsort(-expected, kind="stable") if n != own][:5]
            hits = searcher.query_id(truth.ids[own], QueryOptions(k=5)).hits
            assert len(hits) == 5
            places = [truth.ids.index(hit.id) for hit in hits]
            assert [hit.score for hit in hits] == pytest.approx(expected[places], abs=1e-5)
            found += [number in [hit.id for hit in hits] for number in best]
            plain = searcher.query_id(truth.ids[own], QueryOptions(k=5, center=False)).hits
            scores = truth.vectors @ truth.vectors[own]
            nearest.append(plain[0].score == pytest.approx(np.sort(scores)[-2], abs=1e-6))
    # Of the hundred that are nearest an approximate view may miss three.
    assert np.mean(found) >= (1.0 if kind == "exact" else 0.97)
    assert np.mean(nearest) >= (1.0 if kind == "exact" else 0.9)
    assert not rebuild(folder, view=kind, center=False).center


def test_the_middle_is_that_of_the_photos_that_are_left(tmp_path: Path) -> None:
    photos, folder = made_index(tmp_path)
    rebuild(folder, view="ivf", recall=0.9, center=True)
    remove([photos / f"{n:05d}.png" for n in range(5, ENOUGH)], folder, yes=True)
    truth = read_index(folder)
    mean = truth.vectors.mean(axis=0) * (5 / 35)
    moved = truth.vectors - mean
    moved /= np.linalg.norm(moved, axis=1, keepdims=True)
    with Searcher(folder) as searcher:
        hits = searcher.query_id(truth.ids[0], QueryOptions(k=4)).hits
    expected = np.sort((moved @ moved[0])[1:])[::-1]
    assert [hit.score for hit in hits] == pytest.approx(expected, abs=1e-5)
