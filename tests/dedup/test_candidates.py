"""Which pairs are looked at, against brute force in NumPy; and that they are never all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import combinations

import faiss
import numpy as np
import pytest
from numpy.typing import NDArray

from simsearch.dedup.candidates import hashing
from simsearch.dedup.candidates.collection import Collection
from simsearch.dedup.candidates.hashing import NearestHashes
from simsearch.dedup.candidates.nearest import EXACT_UP_TO, NearestPictures, neighbours_for
from simsearch.dedup.candidates.pairs import (
    HASHED,
    WORDED,
    Side,
    between,
    of_one_hash,
    of_one_look,
    of_one_look_between,
    within,
)
from simsearch.dedup.candidates.whiten import fit
from simsearch.dedup.candidates.words import LOOKED_AT, SharedWords, Vocabulary, drawn
from simsearch.dedup.features.describe import Features
from simsearch.dedup.features.hashes import HashTable
from simsearch.dedup.records import Picture
from simsearch.dedup.verify.match import rooted

Rows = NDArray[np.float32]
COPIES = 40


def rows_of(count: int, dim: int = 32, seed: int = 0) -> Rows:
    """Unit vectors around a common mean, whose directions vary unequally."""
    rng = np.random.default_rng(seed)
    made = rng.normal(size=(count, dim)) * np.geomspace(3, 0.1, dim) + 2
    return np.asarray(made / np.linalg.norm(made, axis=1, keepdims=True), np.float32)


def hashes_of(count: int, seed: int = 0) -> HashTable:
    """Random hashes, all known and of full quality."""
    forms = np.random.default_rng(seed).integers(0, 256, (count, 8, 32), dtype=np.uint8)
    return HashTable(forms, np.full(count, 100, np.uint8), np.ones(count, np.bool_))


def features_of(seed: int, points: int = 40) -> Features:
    rng = np.random.default_rng(seed)
    return Features(
        np.zeros((8, 32), np.uint8),
        100,
        np.zeros((points, 2), np.float32),
        rng.integers(0, 256, (points, 128), dtype=np.uint8),
        np.zeros((8, 8), np.uint8),
    )


def collection(rows: Rows, sizes: Callable[[int], tuple[int, int]] = lambda place: (100, 80)) -> Collection:
    pictures = tuple(
        Picture(place, place.to_bytes(32, "big"), (f"/{place}.jpg",), *sizes(place), "JPEG", None)
        for place in range(len(rows))
    )
    return Collection(pictures, lambda places: rows[places])


def side(rows: Rows, hashes: HashTable | None = None, first: int = 0) -> Side:
    table = hashes if hashes is not None else hashes_of(len(rows), seed=first + 1)
    return Side(collection(rows), table, lambda place: features_of(first + place))


def test_whitening_is_a_rotation_divided_by_the_root_of_the_deviation() -> None:
    rows = rows_of(200)
    mean = rows.astype(np.float64).mean(axis=0)
    _, values, axes = np.linalg.svd(rows - mean, full_matrices=False)
    deviations = values / np.sqrt(len(rows) - 1)
    expected = (rows - mean) @ axes.T[:, :10] / np.sqrt(deviations[:10])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    found = fit(rows, 10)(rows)
    assert found.dtype == np.float32
    assert found.shape == (200, 10)
    # The sign of a direction is free; products are not.
    np.testing.assert_allclose(found @ found.T, expected @ expected.T, atol=1e-4)


@pytest.mark.parametrize(("count", "kept"), [(1, 1), (2, 1), (3, 1), (20, 10), (200, 32)])
def test_few_pictures_tell_few_directions(count: int, kept: int) -> None:
    rows = rows_of(count)
    found = fit(rows)(rows)
    assert found.shape == (count, kept)
    assert np.isfinite(found).all()


def test_the_nearest_are_those_of_brute_force() -> None:
    rows = rows_of(300)
    whitened = fit(rows)(rows)
    expected = whitened @ whitened.T
    nearest = NearestPictures(lambda places: rows[places], len(rows))
    [(found, scores)] = nearest.search(lambda places: rows[places], 300, 7)
    np.testing.assert_allclose(scores, -np.sort(-expected, axis=1)[:, :7], atol=1e-5)
    np.testing.assert_allclose(np.take_along_axis(expected, found, axis=1), scores, atol=1e-5)


def test_a_large_collection_is_searched_by_lists(capfd: pytest.CaptureFixture[str]) -> None:
    count = EXACT_UP_TO + 2000
    rows = rows_of(count)
    # Planted: the last thousand pictures are the first, a little changed.
    rows[-1000:] = rows[:1000] + 0.02 * rows_of(1000, seed=5)
    nearest = NearestPictures(lambda places: rows[places], count)
    found = np.concatenate([places for places, _ in nearest.search(lambda places: rows[places], 1000, 2)])
    there = (found == np.arange(count - 1000, count)[:, None]).any(axis=1)
    assert there.mean() >= 0.99
    assert capfd.readouterr().err == ""


def test_many_hashes_are_searched_by_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    table = hashes_of(2000)
    for place in range(1000):
        table.forms[1000 + place, 0] = table.forms[place, place % 8]
        table.forms[1000 + place, 0, :2] ^= 5
    monkeypatch.setattr(hashing, "EXACT_UP_TO", 1000)
    found = NearestHashes(table).nearest(table[1000:], 1, itself=False)[:, 0]
    own = np.arange(1000, 2000)
    # A picture is its own nearest where the collection does not ask itself.
    assert (found == own).all()
    found = NearestHashes(table).nearest(table, 1, itself=True)[1000:, 0]
    assert (found == own - 1000).mean() >= 0.98


def test_more_neighbours_are_looked_at_in_a_larger_collection() -> None:
    assert [neighbours_for(count) for count in (0, 2_000, 20_000, 200_000, 2_000_000, 10**9)] == [
        40, 10, 15, 20, 25, 30,
    ]  # fmt: skip


def test_the_nearest_hashes_are_those_of_brute_force_over_eight_forms() -> None:
    table = hashes_of(120)
    # Planted: picture 100 + n is picture n in its form n, with n bits wrong.
    for place in range(8):
        table.forms[100 + place, 0] = table.forms[place, place]
        table.forms[100 + place, 0, :place] ^= 1
    bits = np.unpackbits(table.forms, axis=2).astype(np.int64)
    apart = np.array([(bits[place, 0] != bits).sum(axis=2).min(axis=1) for place in range(120)])
    np.fill_diagonal(apart, 999)
    found = NearestHashes(table).nearest(table, 2, itself=True)
    assert found[100:108, 0].tolist() == list(range(8))
    assert [int(apart[100 + place, place]) for place in range(8)] == list(range(8))
    assert (found >= 0).all()
    np.testing.assert_array_equal(np.take_along_axis(apart, found, axis=1), np.sort(apart, axis=1)[:, :2])


def test_a_picture_without_detail_is_nobodys_neighbour_by_its_hash() -> None:
    table = hashes_of(10)
    table.quality[3] = 49
    table.known[4] = False
    table.quality[4] = 0
    found = NearestHashes(table).nearest(table, 2, itself=True)
    assert found[3].tolist() == found[4].tolist() == [-1, -1]
    assert not np.isin(found, (3, 4)).any()
    nothing = HashTable.empty(3)
    assert (NearestHashes(nothing).nearest(table, 2, itself=False) == -1).all()


def as_words(pictures: Iterable[list[int]]) -> Iterator[NDArray[np.uint16]]:
    return (np.array(words, np.uint16) for words in pictures)


def vocabulary_of(size: int) -> Vocabulary:
    index = faiss.IndexFlatL2(128)
    index.add(np.eye(size, 128, dtype=np.float32))
    return Vocabulary(index, 3)


def test_rare_words_count_more() -> None:
    # Of four pictures word 1 is held by one, word 2 by two, word 3 by all four.
    pictures = [[1, 2, 3], [2, 3], [3], [3, 5]]
    shared = SharedWords(as_words(pictures), 4, vocabulary_of(8))
    assert [shared.of(place).tolist() for place in range(4)] == pictures
    rare, common = np.log(4) ** 2, np.log(2) ** 2
    found = shared.nearest(np.array([1, 2, 3], np.uint16), 4)
    assert [place for place, _ in found] == [0, 1]
    assert [weight for _, weight in found] == pytest.approx([rare + common, common])
    assert shared.nearest(np.array([4], np.uint16), 4) == []
    assert shared.nearest(np.zeros(0, np.uint16), 4) == []


def test_of_common_words_only_so_many_entries_are_looked_at() -> None:
    # Word 0 is held by all pictures, word 1 by the last alone: the lists of both are too long together.
    count = LOOKED_AT
    pictures = ([0, 1] if place == count - 1 else [0] for place in range(count))
    shared = SharedWords(as_words(pictures), count, vocabulary_of(4))
    [found] = shared.nearest(np.array([0, 1], np.uint16), 3)
    assert found == (count - 1, pytest.approx(np.log(count) ** 2))


def test_the_words_of_a_mirrored_picture_are_those_of_its_mirror() -> None:
    descriptors = features_of(1).descriptors
    index = faiss.IndexFlatL2(128)
    index.add(rooted(features_of(2, 500).descriptors))
    vocabulary = Vocabulary(index, 200)
    straight, mirror = vocabulary.words(descriptors), vocabulary.words(descriptors, mirror=True)
    assert straight.tolist() == sorted(set(straight.tolist()))
    assert (len(straight) > 10, straight.tolist() != mirror.tolist()) == (True, True)
    _, found = index.search(rooted(descriptors), 1)
    assert straight.tolist() == sorted(set(found.ravel().tolist()))


def test_a_vocabulary_is_drawn_from_what_was_read() -> None:
    kept = {place: features_of(place) for place in range(0, 30, 2)}
    vocabulary = drawn(30, kept.get)
    assert vocabulary is not None
    assert vocabulary.size == 15 * 40 // 8
    assert drawn(30, lambda place: None) is None


def planted(count: int) -> tuple[Rows, HashTable]:
    """Vectors and hashes in which picture 2 n + 1 is a copy of picture 2 n: by one of them, or by both."""
    rows, hashes = rows_of(count), hashes_of(count)
    for place in range(0, COPIES, 2):
        if place % 4 == 0:
            rows[place + 1] = rows[place]
        if place % 8 != 0:
            hashes.forms[place + 1, 0] = hashes.forms[place, place % 7]
    return rows, hashes


def test_pairs_within_a_collection_come_once_and_are_never_all() -> None:
    count = 400
    rows, hashes = planted(count)
    hashes.known[399], hashes.quality[399] = False, 0
    pairs = list(within(side(rows, hashes)))
    assert len(pairs) == len({frozenset(pair) for pair in pairs})
    assert all(one != other for one, other in pairs)
    assert {(place, place + 1) for place in range(0, COPIES, 2)} <= {(min(p), max(p)) for p in pairs}
    assert not any(399 in pair for pair in pairs)
    assert len(pairs) <= count * (neighbours_for(count) + HASHED + WORDED) < count * (count - 1) / 2
    firsts = [one for one, _ in pairs]
    assert firsts == sorted(firsts), "those of one picture stand together"


def test_of_few_pictures_all_pairs_are_looked_at() -> None:
    for count in (2, 3, 12):
        pairs = {(min(pair), max(pair)) for pair in within(side(rows_of(count)))}
        assert pairs == set(combinations(range(count), 2))


def test_pairs_between_two_collections() -> None:
    rows, hashes = planted(400)
    evens, odds = np.arange(0, 400, 2), np.arange(1, 400, 2)

    def half(places: NDArray[np.int64]) -> Side:
        table = HashTable(hashes.forms[places], hashes.quality[places], hashes.known[places])
        return side(rows[places], table, int(places[0]))

    pairs = list(between(half(evens), half(odds)))
    assert len(pairs) == len(set(pairs)) <= 200 * (neighbours_for(200) + HASHED + WORDED) < 200 * 200
    assert {(place, place) for place in range(COPIES // 2)} <= set(pairs)
    one = list(between(side(rows[:1]), side(rows[1:4], first=1)))
    assert sorted(one) == [(0, 0), (1, 0), (2, 0)]


@pytest.mark.parametrize("count", [2, 3, 90, 150])
def test_two_of_one_look_and_one_size_may_have_equal_pixels(count: int) -> None:
    rows = rows_of(count)
    rows[1] = rows[0]
    pairs = list(of_one_look(collection(rows)))
    assert (0, 1) in pairs
    assert len(pairs) == len(set(pairs))
    assert all(one < other for one, other in pairs)
    assert list(of_one_look(collection(rows, lambda place: (100 + place, 80)))) == []
    if count > 100:
        assert pairs == [(0, 1)]


def test_one_look_between_two_collections() -> None:
    rows = rows_of(150)
    asked = collection(rows[[7, 3]], lambda place: (100, 80 + place))
    assert (0, 7) in list(of_one_look_between(collection(rows), asked))
    assert all(place == 0 for place, _ in of_one_look_between(collection(rows), asked))


def test_one_hash_and_one_size_may_have_equal_pixels() -> None:
    table = hashes_of(4)
    table.forms[1, 0] = table.forms[0, 0]
    table.forms[1, 0, 0] ^= 0xFF  # 8 bits
    table.forms[2, 0] = table.forms[1, 0]
    table.forms[2, 0, 1] ^= 1  # 9 bits from picture 0
    pictures = collection(rows_of(4)).pictures
    every = list(combinations(range(4), 2))
    assert list(of_one_hash(every, pictures, table)) == [(0, 1), (1, 2)]


def test_a_narrowed_collection_keeps_its_vectors() -> None:
    rows = rows_of(10)
    narrow = collection(rows).kept(lambda pictures: [p for p in pictures if p.id % 3 == 0])
    assert [picture.paths for picture in narrow.pictures] == [(f"/{place}.jpg",) for place in (0, 3, 6, 9)]
    assert [picture.id for picture in narrow.pictures] == [0, 1, 2, 3]
    np.testing.assert_array_equal(narrow.rows(np.array([1, 3])), rows[[3, 9]])
