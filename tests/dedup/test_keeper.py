"""What is said of a keeper where what the user named and what the files are like both had a say."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

from simsearch.dedup.grouping.keeper import KeeperPolicy, Order
from simsearch.dedup.records import Picture


def put(folder: Path, name: str, side: int) -> tuple[Picture, str]:
    """A file that passes for a picture of so many pixels each way: only its name and size are looked at."""
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(name.encode())
    number = len(list(folder.rglob("*.jpg")))
    return Picture(
        number, bytes([number]) * 32, (str(path),), side, side, "JPEG", "2020-01-01T00:00:00"
    ), str(path)


def why(policy: KeeperPolicy, kept: tuple[Picture, str], *others: tuple[Picture, str]) -> str:
    order = Order(policy, richness=lambda path: 0)
    assert min((kept, *others), key=lambda file: order.key(*file)) == kept
    return order.why(kept, others)


def test_a_pattern_that_put_a_larger_picture_behind_is_named(tmp_path: Path) -> None:
    kept, second = put(tmp_path, "best original.jpg", 300), put(tmp_path, "original.jpg", 200)
    large = put(tmp_path, "large.jpg", 900)
    policy = KeeperPolicy(pattern=("*original*",))
    # Against the next best 300 x 300 decides; the one of 900 x 900 is behind by its name alone.
    told = "90,000 pixels against 40,000 pixels"
    assert why(policy, kept, second, large) == f"kept: matches *original*, which is preferred; {told}"
    assert why(policy, kept, second) == f"kept: {told}"
    assert why(policy, kept, large) == "kept: matches *original*, which is preferred"


@pytest.mark.parametrize(
    ("name", "words"), [("prefer", "which is preferred"), ("reference", "which is never touched")]
)
def test_a_folder_that_put_a_larger_picture_behind_is_named(name: str, words: str, tmp_path: Path) -> None:
    kept, second = put(tmp_path, "own/a.jpg", 300), put(tmp_path, "own/b.jpg", 200)
    large = put(tmp_path, "large.jpg", 900)
    own = str(tmp_path / "own")
    policy = KeeperPolicy(prefer=(own,)) if name == "prefer" else KeeperPolicy(reference=(own,))
    told = "90,000 pixels against 40,000 pixels"
    assert why(policy, kept, second, large) == f"kept: in {own}, {words}; {told}"


def test_what_was_behind_before_a_pattern_was_asked_for_is_not_told_by_it(tmp_path: Path) -> None:
    kept, second = put(tmp_path, "a original longer.jpg", 300), put(tmp_path, "original.jpg", 300)
    small = put(tmp_path, "small.jpg", 100)
    policy = KeeperPolicy(policies=("resolution", "path"), pattern=("*original*",))
    assert why(policy, kept, second, small) == "kept: 21 bytes against 12 bytes at the same size"


def test_what_no_date_is_known_of_is_not_the_oldest(tmp_path: Path) -> None:
    here = tmp_path / "a.jpg"
    here.write_bytes(b"here")
    os.utime(here, (1_600_000_000, 1_600_000_000))
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        archive.writestr("a.jpg", b"inside")
    inside = f"{tmp_path}/p.zip/a.jpg"
    pictures = [
        Picture(number, bytes([number]) * 32, (path,), 40, 30, "JPEG", None)
        for number, path in enumerate((inside, str(here)))
    ]
    policy = KeeperPolicy(policies=("oldest",))
    told = why(policy, (pictures[1], str(here)), (pictures[0], inside))
    assert told == "kept: last changed 2020-09-13; of the other no date is known"


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [("best/*.jpg", True), ("*/best/*", True), ("b.jpg", True), ("est/*.jpg", False), ("best/*.png", False)],
)
def test_a_pattern_with_a_slash_is_held_against_the_end_of_a_path(
    pattern: str, fits: bool, tmp_path: Path
) -> None:
    large, small = put(tmp_path, "large.jpg", 900), put(tmp_path, "best/b.jpg", 300)
    order = Order(KeeperPolicy(pattern=(pattern,)), richness=lambda path: 0)
    assert min((large, small), key=lambda file: order.key(*file)) == (small if fits else large)
