"""The search benchmark: what its generator makes, and what it calls exact and recalled, against NumPy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.search.data import likeness
from benchmarks.search.data.collection import QUERIES, Collection, blocks_of, make, rows_at
from benchmarks.search.data.flat import Flat, Ids, recall
from benchmarks.search.data.generator import Generator, Vectors
from benchmarks.search.data.vectors import RealVectors, extract, photos_in
from benchmarks.search.engine import Engine
from benchmarks.search.tasks.graph import graph
from benchmarks.search.tasks.timing import interleaved
from simsearch import Index
from simsearch.models.embedder import Embedder

DIM, ROWS = 64, 3000


def unit(rows: Vectors) -> Vectors:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


@pytest.fixture(scope="module")
def seeds() -> Vectors:
    """Rows near a surface of 6 dimensions, without negative values, as behind a ReLU."""
    rng = np.random.default_rng(0)
    surface = np.tanh(rng.standard_normal((1500, 6)) @ rng.standard_normal((6, DIM)) / 2)
    return unit(np.maximum(surface + 0.1 * rng.standard_normal((1500, DIM)), 0))


@pytest.fixture(scope="module")
def collection(seeds: Vectors, tmp_path_factory: pytest.TempPathFactory) -> Collection:
    real = RealVectors(seeds[100:], seeds[:50], seeds[50:100])
    return make(tmp_path_factory.mktemp("work"), real, ROWS, 50, lambda line: None)


def rows_of(collection: Collection) -> Vectors:
    return np.concatenate(collection.maps())


def closest(queries: Vectors, rows: Vectors, k: int) -> Ids:
    scores = queries.astype(np.float64) @ rows.T.astype(np.float64)
    return np.argsort(-scores, axis=1)[:, :k].astype(np.int64)


def test_made_vectors_are_unit_and_not_negative_and_always_the_same(seeds: Vectors) -> None:
    made = Generator(seeds).rows(10_000)
    assert made.shape == (10_000, DIM)
    assert made.dtype == np.float32
    assert made.min() == 0
    np.testing.assert_allclose(np.linalg.norm(made, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(made, Generator(seeds).rows(10_000))
    assert not np.array_equal(made, Generator(seeds).rows(10_000, stream=1))


def test_made_vectors_have_neighbours_like_those_of_the_real_ones(seeds: Vectors) -> None:
    real, made = (likeness.describe(rows) for rows in (seeds, Generator(seeds).rows(len(seeds))))
    for name in ("d10", "d100", "LID20", "LID100"):
        assert made[name] == pytest.approx(real[name], rel=0.25), name


def test_one_made_vector_in_a_hundred_is_a_near_duplicate(seeds: Vectors) -> None:
    made = Generator(seeds).rows(4000)
    similar = made @ made.T
    np.fill_diagonal(similar, 0)
    assert 30 <= (similar.max(axis=1) > 0.98).sum() <= 120


def test_the_intrinsic_dimension_of_a_cube_is_told() -> None:
    points = np.random.default_rng(0).random((4000, 3)).astype(np.float32)
    distances = np.sort(np.linalg.norm(points[:500, None] - points[None], axis=2), axis=1)[:, 1:101] / 4
    figures = likeness.neighbourhood((1 - distances**2 / 2).astype(np.float32))
    assert figures["d10"] == pytest.approx(distances[:, 9].mean(), rel=1e-3)
    assert figures["LID20"] == pytest.approx(3, abs=0.5)


def test_flat_search_is_exact(seeds: Vectors) -> None:
    queries, rows = seeds[:20], seeds[20:]
    flat = Flat([rows[:700], rows[700:]])
    scores, ids = flat.search(queries, 10)
    np.testing.assert_array_equal(ids - 1, closest(queries, rows, 10))
    np.testing.assert_allclose(scores[:, 0], (queries @ rows.T).max(axis=1), rtol=1e-5)
    allowed = np.arange(3, len(rows), 7)
    np.testing.assert_array_equal(
        flat.search(queries, 10, allowed + 1)[1] - 1, allowed[closest(queries, rows[allowed], 10)]
    )


def test_recall_is_the_share_of_true_ids() -> None:
    assert recall(np.array([[1, 2], [3, 4]]), [np.array([2, 1]), np.array([4, 9])]) == 0.75


def test_a_collection_is_a_real_index_of_the_made_rows(collection: Collection, seeds: Vectors) -> None:
    rows = rows_of(collection)
    np.testing.assert_array_equal(rows, Generator(seeds[100:]).rows(ROWS))
    store = collection.store()
    blocks = list(blocks_of(store, ROWS)())
    np.testing.assert_array_equal(np.concatenate([ids for ids, _ in blocks]), np.arange(1, ROWS + 1))
    np.testing.assert_array_equal(np.concatenate([block for _, block in blocks]), rows)
    places = np.array([0, 5, 6, 2999])
    [(ids, block)] = blocks_of(store, ROWS)(places)
    np.testing.assert_array_equal(ids, places + 1)
    np.testing.assert_array_equal(block, rows[places])
    np.testing.assert_array_equal(rows_at(store, np.array([9, 1])), rows[[8, 0]])
    with Index.open(collection.index) as index:
        assert len(index) == ROWS
        for query, true in zip(
            collection.queries("rows"), closest(collection.queries("rows"), rows, 5), strict=True
        ):
            assert [hit.id for hit in index.search(query[None], 5)[0]] == (true + 1).tolist()


def test_the_view_is_re_ranked_exactly(collection: Collection) -> None:
    Engine.build(collection, "ivf", 0.99)
    rows = rows_of(collection)
    for kind in QUERIES:
        queries = collection.queries(kind)
        true = closest(queries, rows, 10) + 1
        for setting in ("tuned", "robust"):
            engine = Engine.open(collection, "ivf", setting)
            found = [engine.search(query) for query in queries]
            assert recall(true, found) >= 0.97
    allowed = np.arange(2, ROWS, 3)
    narrow = [engine.search(query, allowed) for query in queries]
    assert all(np.isin(ids, allowed).all() for ids in narrow)
    assert recall(allowed[closest(queries, rows[allowed - 1], 10)], narrow) >= 0.97


def test_the_graph_is_checked_on_some_of_its_rows(collection: Collection) -> None:
    whole, part = graph(collection.folder, ROWS), graph(collection.folder, 600)
    assert (whole["rows"], whole["recall"], part["recall"]) == (ROWS, 1.0, 1.0)
    assert 600 <= part["rows"] < ROWS
    assert 0 < part["checked"] <= part["rows"]


def test_every_way_is_asked_right_after_flat_search() -> None:
    seen: list[tuple[str, int]] = []

    def way(name: str) -> Callable[[Vectors], None]:
        return lambda query: seen.append((name, int(query[0])))

    queries = np.arange(20, dtype=np.float32)[:, None]
    figures = interleaved(way("flat"), {name: way(name) for name in ("one", "other")}, queries)
    order = ("flat", "one", "flat", "other")
    assert seen == [(name, number) for number in range(20) for name in order]
    assert figures.keys() == {"flat", "one", "other"}
    assert figures["one"]["cpu_ms"] < 10


def test_crops_of_held_out_photos_are_no_seeds(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(10):
        pixels = rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((300, 240)).save(tmp_path / f"{number}.png")
    photos = photos_in([tmp_path])
    assert len(photos) == 10
    embedder = Embedder("efficientnet_lite0")
    found = extract(photos, embedder, seeds=27, queries=9, note=lambda line: None)
    assert [len(found.seeds), len(found.seen), len(found.unseen)] == [27, 9, 9]
    own = embedder.embed([np.asarray(Image.open(photo)) for photo in photos])
    whole = {
        name: (own @ getattr(found, name).T).max(axis=1) > 0.9999 for name in ("seeds", "seen", "unseen")
    }
    assert whole["unseen"].sum() == 1
    assert not (whole["unseen"] & (whole["seeds"] | whole["seen"])).any()
    assert (whole["seeds"] | whole["seen"]).sum() == 9
    found.write(tmp_path / "kept")
    np.testing.assert_array_equal(RealVectors.read(tmp_path / "kept").seen, found.seen)
