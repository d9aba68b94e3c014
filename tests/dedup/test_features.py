"""What is kept of a picture: PDQ in eight forms, points, a small grey version; and the file for it."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pdqhash
import pytest
from conftest import picture
from PIL import Image

from dedup.ground import FORMS, Turn, as_picture, loaded, pixels, turned
from simsearch.dedup.features import store as stores
from simsearch.dedup.features.ahead import AHEAD, spread
from simsearch.dedup.features.collect import CHANGED, Collector
from simsearch.dedup.features.describe import Features, describe
from simsearch.dedup.features.exact import PixelDigests
from simsearch.dedup.features.hashes import HashTable, distance, pdq
from simsearch.dedup.features.store import FeatureStore, keep_only

MOST_PIXELS = 10_000_000
ONE, OTHER = b"\x01" * 32, b"\x02" * 32

SAME = 31
"""Bits of 256 by which two hashes of one picture differ at most, as PDQ's own documentation advises."""


@pytest.fixture(scope="module")
def coffee(photos: Path) -> Image.Image:
    return loaded(photos / "originals" / "coffee.png")


@pytest.fixture(scope="module")
def features(coffee: Image.Image) -> Features:
    return describe(pixels(coffee))


def same(one: Features | None, other: Features) -> bool:
    return (
        one is not None
        and one.quality == other.quality
        and all(
            np.array_equal(getattr(one, name), getattr(other, name))
            for name in ("hashes", "places", "descriptors", "grey")
        )
    )


def test_a_hash_is_that_of_pdqhash(coffee: Image.Image) -> None:
    bits, quality = pdqhash.compute(pixels(coffee))
    hashes, told = pdq(pixels(coffee))
    assert told == quality == 100
    assert np.unpackbits(hashes[0]).tolist() == bits.tolist()


def test_distance_counts_bits_to_the_nearest_form() -> None:
    one, other = np.zeros((8, 32), np.uint8), np.full((8, 32), 255, np.uint8)
    assert distance(one, other) == 256
    other[5] = 0
    other[5, 31] = 0b0000_0111
    assert distance(one, other) == 3
    # Only the first form of the first picture counts.
    one[1] = other[5]
    assert distance(one, other) == 3


@pytest.mark.parametrize("form", Turn, ids=lambda form: form.name)
def test_a_turned_picture_is_near_in_one_of_the_forms(coffee: Image.Image, form: Turn) -> None:
    straight, _ = pdq(pixels(coffee))
    other, _ = pdq(pixels(turned(coffee, form)))
    assert distance(other, straight) <= SAME
    assert distance(other, straight[:1]) > 3 * SAME


def test_each_of_the_eight_forms_is_met_by_another_turn(coffee: Image.Image) -> None:
    straight, _ = pdq(pixels(coffee))
    turns = [pdq(pixels(turned(coffee, form)))[0] for form in FORMS]
    met = [[distance(turn, straight[form : form + 1]) <= SAME for form in range(8)] for turn in turns]
    assert np.array(met).sum(axis=0).tolist() == np.array(met).sum(axis=1).tolist() == [1] * 8


def test_features_have_the_sizes_that_are_promised() -> None:
    found = describe(pixels(picture(3, (768, 384))))
    assert found.grey.shape == (96, 192)
    assert found.hashes.shape == (8, 32)
    assert found.places.shape == (len(found.descriptors), 2)
    assert found.descriptors.shape[1:] == (128,)
    assert len(found.places) <= 400
    assert (found.places >= 0).all()
    assert (found.places <= [192, 96]).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 600), (600, 1), (8, 8)])
def test_tiny_and_plain_pictures_have_features_too(size: tuple[int, int]) -> None:
    found = describe(pixels(Image.new("RGB", size, "navy")))
    assert len(found.places) == 0
    assert set(np.unique(found.grey)) == {15}  # 0.114 * 128 = 14.6


def test_what_is_kept_is_what_was_found(features: Features, tmp_path: Path) -> None:
    assert len(features.places) > 100
    with FeatureStore(tmp_path, "judge 1") as store:
        store.put(ONE, features)
    with FeatureStore(tmp_path, "judge 1") as store:
        assert same(store.features(ONE), features)
        assert store.features(OTHER) is None
        hashes, quality = store.hashes([OTHER, ONE])[ONE]
        assert np.array_equal(hashes, features.hashes)
        assert quality == features.quality
        assert list(store.ids([ONE, OTHER])) == [ONE]


def test_pairs_are_forgotten_under_another_judge_and_features_are_not(
    features: Features, tmp_path: Path
) -> None:
    with FeatureStore(tmp_path, "judge 1") as store:
        store.put(ONE, features)
        store.put_scores([(1, 2, 0.25, 7), (1, 3, 0.5, 0)])
    with FeatureStore(tmp_path, "judge 1") as store:
        assert store.scores(1) == {2: (0.25, 7), 3: (0.5, 0)}
    with FeatureStore(tmp_path, "judge 2") as store:
        assert store.scores(1) == {}
        assert same(store.features(ONE), features)


@pytest.mark.parametrize("column", ["body", "hashes"])
@pytest.mark.parametrize("damage", ["x'00'", "x''", "'text'", "7"])
def test_a_damaged_row_counts_as_missing(
    features: Features, tmp_path: Path, column: str, damage: str
) -> None:
    with FeatureStore(tmp_path, "j") as store:
        store.put(ONE, features)
        store.put(OTHER, features)
    with sqlite3.connect(tmp_path / stores.NAME) as connection:
        connection.execute(f"UPDATE features SET {column} = {damage} WHERE sha256 = ?", (ONE,))
    connection.close()
    with FeatureStore(tmp_path, "j") as store:
        assert store.features(ONE) is None
        assert same(store.features(OTHER), features)
        store.put(ONE, features)
        assert same(store.features(ONE), features)


def test_a_flipped_bit_is_noticed(features: Features, tmp_path: Path) -> None:
    with FeatureStore(tmp_path, "j") as store:
        store.put(ONE, features)
    with sqlite3.connect(tmp_path / stores.NAME) as connection:
        ((body,),) = connection.execute("SELECT body FROM features").fetchall()
        for place in range(0, len(body), max(1, len(body) // 50)):
            flipped = body[:place] + bytes([body[place] ^ 4]) + body[place + 1 :]
            connection.execute("UPDATE features SET body = ?", (flipped,))
            connection.commit()
            with FeatureStore(tmp_path, "j") as store:
                assert store.features(ONE) is None
    connection.close()


@pytest.mark.parametrize(
    "content", [b"no database at all, but a letter" * 40, b"SQLite format 3\0" + b"\7" * 9000]
)
def test_a_foreign_file_is_replaced(features: Features, tmp_path: Path, content: bytes) -> None:
    (tmp_path / stores.NAME).write_bytes(content)
    with FeatureStore(tmp_path, "j") as store:
        store.put(ONE, features)
    with FeatureStore(tmp_path, "j") as store:
        assert same(store.features(ONE), features)


def test_nothing_is_written_through_a_link(features: Features, tmp_path: Path) -> None:
    elsewhere = tmp_path / "mine.db"
    elsewhere.write_bytes(b"mine")
    (folder := tmp_path / "index").mkdir()
    (folder / stores.NAME).symlink_to(elsewhere)
    with FeatureStore(folder, "j") as store:
        store.put(ONE, features)
        assert same(store.features(ONE), features)
    keep_only(folder, set())
    assert elsewhere.read_bytes() == b"mine"


def test_a_folder_that_takes_no_file_is_done_without(features: Features, tmp_path: Path) -> None:
    for folder in (tmp_path / "missing", None):
        with FeatureStore(folder, "j") as store:
            store.put(ONE, features)
            assert same(store.features(ONE), features)
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_longer_indexed_can_be_dropped(features: Features, tmp_path: Path) -> None:
    with FeatureStore(tmp_path, "j") as store:
        store.put(ONE, features)
        store.put(OTHER, features)
        ids = store.ids([ONE, OTHER])
        store.put_scores([(ids[ONE], ids[OTHER], 0.5, 1)])
    keep_only(tmp_path, {OTHER})
    with FeatureStore(tmp_path, "j") as store:
        assert list(store.ids([ONE, OTHER])) == [OTHER]
        assert store.scores(ids[ONE]) == {}


@pytest.fixture
def three(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / name for name in ("a.png", "b.png", "c.png")]
    for seed, path in enumerate(paths):
        picture(seed, (200, 150)).save(path)
    return paths


def test_each_picture_is_read_once_and_then_kept(three: list[Path], tmp_path: Path) -> None:
    pictures = [as_picture(number, path) for number, path in enumerate(three)]
    told: list[tuple[int, int]] = []
    with FeatureStore(tmp_path, "j") as store, Collector(store, max_pixels=MOST_PIXELS) as collector:
        first = collector.hashes(pictures, lambda done, total: told.append((done, total)))
        assert told == [(1, 3), (2, 3), (3, 3)]
    for path in three:
        path.unlink()
    with FeatureStore(tmp_path, "j") as store, Collector(store, max_pixels=MOST_PIXELS) as collector:
        again = collector.hashes(pictures)
        assert again.known.all()
        assert np.array_equal(again.forms, first.forms)
        kept = [collector.features(found) for found in pictures]
        assert all(found is not None for found in kept)
        assert collector.failed == {}


def test_what_cannot_be_read_is_told_and_the_others_are_not_shifted(
    three: list[Path], tmp_path: Path
) -> None:
    pictures = [as_picture(number, path) for number, path in enumerate(three)]
    expected, _ = pdq(pixels(loaded(three[2])))
    three[0].unlink()
    picture(9).save(three[1])
    with FeatureStore(tmp_path, "j") as store, Collector(store, max_pixels=MOST_PIXELS) as collector:
        table = collector.hashes(pictures)
        assert table.known.tolist() == [False, False, True]
        assert np.array_equal(table.forms[2], expected)
        assert collector.failed[0].reason.startswith("cannot be read: No such file")
        assert collector.failed[1].reason == CHANGED
        assert collector.failed.keys() == {0, 1}
        assert collector.features(pictures[0]) is None


def test_a_table_is_filled_place_by_place(features: Features) -> None:
    table = HashTable.empty(3)
    table.put(1, features.hashes, 77)
    assert (table.known.tolist(), table.quality.tolist()) == ([False, True, False], [0, 77, 0])
    assert table[1:].known.tolist() == [True, False]


def test_equal_pixels_are_equal_in_any_format(tmp_path: Path) -> None:
    image = picture(1)
    near = image.copy()
    near.putpixel((95, 71), (0, 0, 0))
    paths = [tmp_path / name for name in ("a.png", "a.bmp", "a.tif", "near.png", "wide.png")]
    for path, made in zip(paths, (image, image, image, near, image.resize((72, 96))), strict=True):
        made.save(path)
    pictures = [as_picture(number, path) for number, path in enumerate(paths)]
    every = [(one, other) for one in pictures for other in pictures if one.id < other.id]
    with PixelDigests(MOST_PIXELS) as digests:
        found = [(pair.first, pair.second, pair.level, pair.score) for pair in digests.equal(every)]
    assert found == [(0, 1, "pixels", 1.0), (0, 2, "pixels", 1.0), (1, 2, "pixels", 1.0)]


def test_a_file_that_is_gone_or_changed_equals_nothing(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        picture(1).save(tmp_path / name)
    one, other = (as_picture(number, tmp_path / f"{name}.png") for number, name in enumerate("ab"))
    (tmp_path / "a.png").unlink()
    (tmp_path / "b.png").write_bytes((tmp_path / "b.png").read_bytes() + b"\0")
    with PixelDigests(MOST_PIXELS) as digests:
        assert list(digests.equal([(one, other)])) == []
    assert hashlib.sha256((tmp_path / "b.png").read_bytes()).digest() != other.sha256


def test_work_is_spread_in_order_and_never_far_ahead() -> None:
    taken: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(1000):
            taken.append(number)
            yield number

    results = spread(lambda number: number * number, numbers(), 2)
    assert [next(results) for _ in range(3)] == [0, 1, 4]
    assert len(taken) <= 3 + 2 * AHEAD + 1
    assert list(results) == [number * number for number in range(3, 1000)]


def test_an_error_in_a_thread_reaches_the_caller() -> None:
    with pytest.raises(ZeroDivisionError):
        list(spread(lambda number: 1 // number, [2, 1, 0, 1], 2))
