"""Pictures of a test set among those of a training set: folders, indexes, and what is refused."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import picture, simsearch
from PIL import Image

from dedup.ground import indexed
from simsearch import Index, SimsearchError, find_leaks
from simsearch.dedup.options import DedupOptions
from simsearch.dedup.records import LeakReport
from simsearch.dedup.verdicts import Verdicts
from simsearch.dedup.verify.classifier import shipped
from simsearch.engine.create import create_index, prepare_folder
from simsearch.errors import IndexMismatch, IndexMissing, RootMissing

Sets = tuple[Path, Path]
SIZE = (300, 200)


@pytest.fixture(autouse=True)
def small_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMSEARCH_MODEL", "efficientnet_lite0")


@pytest.fixture
def sets(photos: Path, tmp_path: Path) -> Sets:
    """Three leaks of three kinds and an innocent picture, next to each other."""
    train, test = (tmp_path.resolve() / name for name in ("train", "test"))
    (train / "deep").mkdir(parents=True)
    test.mkdir()
    for name in ("coffee.png", "chelsea.png", "motorcycle_left.png"):
        shutil.copy(photos / "originals" / name, train / "deep" / name)
    picture(1, SIZE).save(train / "made.png")
    shutil.copy(photos / "originals" / "coffee.png", test / "same.png")
    shutil.copy(photos / "originals" / "coffee.png", test / "same again.png")
    shutil.copy(photos / "mirrored" / "chelsea.jpg", test / "edited.jpg")
    shutil.copy(photos / "originals" / "motorcycle_right.png", test / "other view.png")
    picture(1, SIZE).save(test / "pixels.bmp")
    picture(2, SIZE).save(test / "new.png")
    return train, test


def told(report: LeakReport) -> dict[str, tuple[str, str]]:
    """By name of the test picture: the level, and the name of the training picture."""
    assert [leak.test for leak in report.leaks] == sorted(leak.test for leak in report.leaks)
    return {Path(leak.test).name: (leak.level, Path(leak.train).name) for leak in report.leaks}


EXACT = {
    "same.png": ("bytes", "coffee.png"),
    "same again.png": ("bytes", "coffee.png"),
    "pixels.bmp": ("pixels", "made.png"),
}
NEAR = EXACT | {"edited.jpg": ("near", "chelsea.png")}
SIMILAR = NEAR | {"other view.png": ("similar", "motorcycle_left.png")}


def test_two_folders_are_compared_and_nothing_in_them_is_changed(sets: Sets, own_cache: Path) -> None:
    train, test = sets
    before = {path: path.stat() for folder in sets for path in folder.rglob("*")}
    report = find_leaks(train, test)
    assert told(report) == NEAR
    assert (report.train, report.test) == (str(train), str(test))
    assert (report.train_photos, report.test_photos, report.failed) == (4, 5, ())
    assert report.threshold == shipped().threshold
    certain = {leak.score for leak in report.leaks if leak.level in ("bytes", "pixels")}
    assert certain == {1.0}
    assert {path: path.stat().st_mtime_ns for path in before} == {p: s.st_mtime_ns for p, s in before.items()}
    assert before.keys() == {path for folder in sets for path in folder.rglob("*")}

    # The second time only what changed is read.
    lines: list[tuple[str, int, int]] = []
    assert find_leaks(train, test, progress=lambda *said: lines.append(said)) == report
    assert "reading" not in {stage for stage, _, _ in lines}
    (test / "same.png").unlink()
    shutil.copy(train / "deep" / "chelsea.png", test / "late.png")
    assert told(find_leaks(train, test)).keys() == {*NEAR, "late.png"} - {"same.png"}
    assert len(list((own_cache / "cache" / "simsearch" / "folders").iterdir())) >= 2


def test_reaches(sets: Sets) -> None:
    exact = find_leaks(*sets, DedupOptions(reach="exact"))
    assert (told(exact), exact.threshold) == (EXACT, 1.0)
    assert told(find_leaks(*sets, DedupOptions(reach="similar"))) == SIMILAR
    strict = find_leaks(*sets, DedupOptions(threshold=1.0))
    assert (told(strict)["edited.jpg"][0], strict.threshold) == ("probably", 1.0)


def test_indexes_and_folders_in_any_mixture(sets: Sets, tmp_path: Path) -> None:
    train, test = sets
    lines: list[str] = []
    one, other = indexed(train, tmp_path / "one"), indexed(test, tmp_path / "other")
    report = find_leaks(one, other)
    assert (told(report), report.train, report.test) == (NEAR, str(one), str(other))
    assert told(find_leaks(one, test)) == told(find_leaks(train, other)) == NEAR
    both = indexed(tmp_path, tmp_path / "both")
    found = find_leaks(train, test, index=both, note=lines.append)
    assert told(found) == NEAR
    assert (found.train, found.train_photos, found.test_photos) == (str(train), 4, 5)
    assert len([line for line in lines if str(both) in line]) == 2


def test_a_link_in_one_set_to_a_file_in_the_other_is_a_leak(tmp_path: Path) -> None:
    train, test = (tmp_path.resolve() / name for name in ("train", "test"))
    for folder in (train, test):
        folder.mkdir()
    picture(1, SIZE).save(train / "a.png")
    (test / "hard.png").hardlink_to(train / "a.png")
    (test / "soft.png").symlink_to(train / "a.png")
    both = indexed(tmp_path, tmp_path / "both")
    for index in (both, None):
        assert told(find_leaks(train, test, index=index)) == {"hard.png": ("bytes", "a.png")}


def test_the_best_training_picture_is_told(tmp_path: Path) -> None:
    train, test = (tmp_path.resolve() / name for name in ("train", "test"))
    for folder in (train, test):
        folder.mkdir()
    picture(1, SIZE).save(test / "t.png")
    picture(1, SIZE).save(train / "a edited.jpg", quality=60)
    for name in ("c.bmp", "b.tif"):
        picture(1, SIZE).save(train / name)
    assert told(find_leaks(train, test)) == {"t.png": ("pixels", "b.tif")}
    shutil.copy(test / "t.png", train / "z.png")
    assert told(find_leaks(train, test)) == {"t.png": ("bytes", "z.png")}


def test_what_cannot_be_read_is_told(sets: Sets, tmp_path: Path) -> None:
    train, test = sets
    (test / "cut.png").write_bytes((test / "same.png").read_bytes()[:-3000])
    report = find_leaks(train, test)
    assert told(report) == NEAR
    [failed] = report.failed
    assert failed.path == str(test / "cut.png")
    assert failed.reason.startswith("truncated")
    # An index that is there already tells of its own, and of a folder in it only what lies there.
    picture(5, SIZE).save(tmp_path / "elsewhere.png")
    (tmp_path / "cut too.png").write_bytes((tmp_path / "elsewhere.png").read_bytes()[:-100])
    both = indexed(tmp_path, tmp_path / "both")
    assert find_leaks(train, test, index=both).failed == (failed,)


def test_what_a_person_told_apart_is_not_asked_again(sets: Sets, tmp_path: Path) -> None:
    train, test = sets
    index = indexed(tmp_path, tmp_path / "both")
    with Index.open(index) as opened:
        by_name = {Path(path).name: photo.sha256 for photo in opened.photos() for path in photo.paths}
    with Verdicts.open(index) as verdicts:
        verdicts.different([bytes.fromhex(by_name[name]) for name in ("edited.jpg", "chelsea.png")])
    assert told(find_leaks(train, test, index=index)) == EXACT


def test_verdicts_of_the_index_that_is_named_count_for_folders_outside_of_it(
    sets: Sets, tmp_path: Path
) -> None:
    train, test = sets
    other = tmp_path / "other"
    other.mkdir()
    picture(3, SIZE).save(other / "x.png")
    index = indexed(tmp_path, other)
    digests = [
        hashlib.sha256(path.read_bytes()).digest()
        for path in (test / "edited.jpg", train / "deep" / "chelsea.png")
    ]
    with Verdicts.open(index) as verdicts:
        verdicts.different(digests)
    assert told(find_leaks(train, test, index=index)) == EXACT


def test_a_check_that_looks_at_nothing_does_not_pass(tmp_path: Path) -> None:
    train, test = (tmp_path / name for name in ("train", "test"))
    for folder in (train, test):
        folder.mkdir()
    picture(1, SIZE).save(train / "a.png")
    (test / "cut.png").write_bytes((train / "a.png").read_bytes()[:200])
    for reach in ("exact", "near"):
        for two in ((train, test), (test, train)):
            with pytest.raises(SimsearchError, match="test has no picture that can be read"):
                find_leaks(*two, DedupOptions(reach=reach))


def test_an_index_whose_disk_is_not_mounted_does_not_pass(tmp_path: Path) -> None:
    for name in ("train", "one", "two"):
        (tmp_path / name).mkdir()
        picture(len(name), SIZE).save(tmp_path / name / f"{name}.png")
    train = indexed(tmp_path / "train", tmp_path / "of train")
    test = indexed(tmp_path / "one", tmp_path / "of test")
    indexed(tmp_path / "two", test)
    (tmp_path / "two").rename(tmp_path / "away")
    with pytest.raises(RootMissing, match=r"two of .*missing or empty"):
        find_leaks(train, test)
    (tmp_path / "away").rename(tmp_path / "two")
    assert find_leaks(train, test).test_photos == 1


def test_sets_that_overlap_are_refused(sets: Sets, tmp_path: Path) -> None:
    train, _ = sets
    index = indexed(train, tmp_path / "index")
    (tmp_path / "link").symlink_to(train)
    for two in (
        (train, train), (train, train / "deep"), (train / "deep", train), (train, tmp_path / "link"),
        (index, train / "deep"), (tmp_path, index), (index, index),
    ):  # fmt: skip
        with pytest.raises(SimsearchError, match="overlap"):
            find_leaks(*two)


def test_what_is_no_set_is_refused(sets: Sets, tmp_path: Path) -> None:
    train, _ = sets
    with pytest.raises(RootMissing, match="is neither a folder nor an index"):
        find_leaks(train, tmp_path / "missing")
    with pytest.raises(RootMissing, match="is a file"):
        find_leaks(train / "made.png", train)
    with pytest.raises(IndexMissing):
        find_leaks(*sets, index=tmp_path / "missing")


def test_indexes_of_two_models_are_refused(sets: Sets, tmp_path: Path) -> None:
    one, other = indexed(sets[0], tmp_path / "one"), tmp_path / "other"
    prepare_folder(other)
    with Index.open(one) as opened:
        spec = replace(opened.spec, pooling="max")
    create_index(other, spec, weights_path="", fallback=None, note=lambda line: None).close()
    with pytest.raises(IndexMismatch, match="cannot be compared"):
        find_leaks(one, other)


def test_the_command_exits_with_3_over_the_limit(sets: Sets) -> None:
    train, test = sets
    done = simsearch("leaks", train, test, "--json")
    answer = json.loads(done.stdout)
    assert (done.returncode, len(answer["leaks"])) == (3, 4)
    assert simsearch("leaks", train, test, "--max", "4").returncode == 0


@pytest.mark.proof
def test_a_threshold_of_the_sets_own(photos: Path, tmp_path: Path) -> None:
    (test := tmp_path / "test").mkdir()
    for name in ("chelsea.jpg", "coffee.jpg", "rocket.jpg"):
        shutil.copy(photos / "cropped" / name, test / name)
    stages: list[str] = []
    report = find_leaks(
        photos / "originals",
        test,
        DedupOptions(threshold="auto"),
        progress=lambda stage, done, total: stages.append(stage),
    )
    assert {name: Path(train).stem for name, (_, train) in told(report).items()} == {
        "chelsea.jpg": "chelsea", "coffee.jpg": "coffee", "rocket.jpg": "rocket",
    }  # fmt: skip
    assert "calibrating" in stages
    assert report.calibration is not None
    assert report.threshold == report.calibration.near != shipped().threshold


def test_the_edge_of_a_picture_is_looked_at(tmp_path: Path) -> None:
    train, test = (tmp_path / name for name in ("train", "test"))
    for folder in (train, test):
        folder.mkdir()
    image = picture(1, SIZE)
    image.save(train / "a.png")
    image.putpixel((SIZE[0] - 1, SIZE[1] - 1), (0, 0, 0))
    image.save(test / "b.png")
    Image.new("RGB", SIZE, "white").save(test / "plain.png")
    assert told(find_leaks(train, test, DedupOptions(reach="exact"))) == {}
