"""The map of a collection against NumPy's SVD, and points that can be worked out by hand."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from conftest import age, picture
from numpy.typing import NDArray
from oracle import read_index

from simsearch import Index
from simsearch.engine.exchange.importing import import_embeddings
from simsearch.engine.exchange.origin import Origin
from simsearch.engine.queries.layout import even, layout, principal
from simsearch.errors import IndexDamaged, SimsearchError

Rows = NDArray[np.float32]


def by_svd(rows: Rows) -> tuple[NDArray[np.float64], float]:
    """The first two principal components, each with its largest component positive, and their share."""
    wide = rows.astype(np.float64)
    wide -= wide.mean(axis=0)
    _, values, axes = np.linalg.svd(wide, full_matrices=False)
    axes = axes[:2] * np.sign(axes[:2][[0, 1], np.abs(axes[:2]).argmax(axis=1)])[:, None]
    return wide @ axes.T, float((values[:2] ** 2).sum() / (values**2).sum())


def made(work: Path, count: int, dim: int = 24) -> Path:
    """An index of made vectors; their tiny pictures lie by turns in photos/a and photos/b."""
    photos = work / "photos"
    paths = [photos / "ab"[n % 2] / f"{n:03d}.png" for n in range(count)]
    for n, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(n, (8, 8)).save(path)
    age(photos)
    rng = np.random.default_rng(7)
    rows = rng.standard_normal((count, dim)) * np.linspace(3, 0.3, dim)
    np.save(work / "rows.npy", rows.astype(np.float32))
    (work / "rows.csv").write_text("\n".join(["path", *map(str, paths)]) + "\n")
    import_embeddings(Origin(work / "rows.npy", work / "rows.csv", name="made"), work / "index")
    return work / "index"


def test_a_cross_lies_on_its_own_axes() -> None:
    # About the middle (5, 5, 5, 5): the squares add up to 8 along the first, 2 along the third, 0.5 along
    # the second axis.
    arms = [(2, 0, 0, 0), (-2, 0, 0, 0), (0, 0, 1, 0), (0, 0, -1, 0), (0, 0.5, 0, 0), (0, -0.5, 0, 0)]
    places, share = principal(np.array(arms, dtype=np.float32) + 5)
    expected = [(2, 0), (-2, 0), (0, 1), (0, -1), (0, 0), (0, 0)]
    np.testing.assert_allclose(places, expected, atol=1e-6)
    assert share == pytest.approx(10 / 10.5)


@pytest.mark.parametrize(("count", "dim"), [(300, 64), (10, 40), (500, 3), (3, 500), (2, 5), (40, 2)])
def test_as_numpy_has_it(count: int, dim: int) -> None:
    rng = np.random.default_rng(count)
    rows = (rng.standard_normal((count, dim)) * 0.8 ** np.arange(dim) + 0.3).astype(np.float32)
    expected, share = by_svd(rows)
    places, told = principal(rows)
    np.testing.assert_allclose(places, expected, atol=2e-4)
    assert told == pytest.approx(share, abs=1e-5)


@pytest.mark.parametrize("count", [0, 1, 7])
def test_equal_pictures_lie_at_one_place(count: int) -> None:
    places, share = principal(np.full((count, 9), 1 / 3, dtype=np.float32))
    assert places.shape == (count, 2)
    assert not places.any()
    assert share == 1.0


def test_pictures_on_a_line_lie_on_the_first_axis() -> None:
    rows = np.zeros((5, 40), dtype=np.float32)
    rows[:, 3] = [0, 1, 2, 3, 4]
    places, share = principal(rows)
    np.testing.assert_allclose(places, [(-2, 0), (-1, 0), (0, 0), (1, 0), (2, 0)], atol=1e-6)
    assert share == pytest.approx(1.0)


def test_even_places() -> None:
    assert even(10, 4).tolist() == [0, 2, 5, 7]
    assert even(3, 5).tolist() == [0, 1, 2]
    assert even(0, 5).tolist() == []


def test_the_map_of_an_index(tmp_path: Path) -> None:
    index = made(tmp_path, 40)
    truth = read_index(index)
    expected, share = by_svd(truth.vectors)
    with Index.open(index) as opened:
        found, again = layout(opened), layout(opened)
        part = layout(opened, most=8)
        with pytest.raises(SimsearchError, match="at least 1"):
            layout(opened, most=0)
    assert found.ids.tolist() == truth.ids
    assert found.total == 40
    np.testing.assert_allclose(found.places, expected, atol=2e-4)
    assert found.share == pytest.approx(share, abs=1e-5)
    np.testing.assert_array_equal(found.places, again.places)
    # Every fifth of 40.
    assert part.ids.tolist() == truth.ids[::5]
    assert part.total == 40
    np.testing.assert_allclose(part.places, by_svd(truth.vectors[::5])[0], atol=2e-4)


def test_a_damaged_vector_is_told(tmp_path: Path) -> None:
    index = made(tmp_path, 20)
    [segment] = (index / "segments").glob("*.seg")
    raw = bytearray(segment.read_bytes())
    raw[-1] ^= 1
    segment.write_bytes(raw)
    with Index.open(index) as opened, pytest.raises(IndexDamaged, match="simsearch verify"):
        layout(opened)


@pytest.mark.proof
def test_five_thousand_take_less_than_two_seconds() -> None:
    rng = np.random.default_rng(3)
    rows = (rng.standard_normal((5000, 2048)) * np.arange(1, 2049) ** -0.5).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    # Time of the processor: what else runs on the machine does not count.
    began = time.process_time()
    principal(rows)
    assert time.process_time() - began < 2
