"""Finding copies in whole collections: real photos with edits of them, and the named data sets."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from conftest import picture
from PIL import Image
from trouble.disk import fill, mounted

from dedup.ground import indexed, names
from simsearch import Index, SimsearchError, find_duplicates
from simsearch.dedup.features.store import FeatureStore
from simsearch.dedup.grouping.scope import Scope
from simsearch.dedup.options import DedupOptions
from simsearch.dedup.records import DuplicateReport
from simsearch.dedup.verdicts import Verdicts
from simsearch.dedup.verify.classifier import shipped

KINDS = ("cropped", "half-size", "mirrored", "recompressed")
SOME = ("coffee", "motorcycle_left", "motorcycle_right", "page", "rocket")
TOO_LITTLE = {
    # 16 x 16 pixels, and black dots on white whose density is all that is left of the shades.
    "hopper.ico", "hopper.msp", "hopper.xbm",
}  # fmt: skip

Found = tuple[Path, Path]


def copied(photos: Path, folder: Path, stems: tuple[str, ...]) -> Path:
    """Some of the sample photos with all their edits."""
    for path in photos.rglob("*"):
        if path.stem in stems:
            (folder / path.parent.name).mkdir(parents=True, exist_ok=True)
            shutil.copy(path, folder / path.parent.name / path.name)
    return folder.resolve()


@pytest.fixture(scope="module")
def some(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Found:
    """Six originals with four edits each, and their index."""
    home = tmp_path_factory.mktemp("some")
    folder = copied(photos, home / "photos", SOME)
    return folder, indexed(folder, home / "index")


@pytest.fixture(scope="module")
def report(some: Found) -> DuplicateReport:
    return find_duplicates(some[1])


def families(folder: Path) -> set[frozenset[str]]:
    """Each original with its four edits."""
    return {
        frozenset([f"originals/{path.name}", *(f"{kind}/{path.stem}.jpg" for kind in KINDS)])
        for path in (folder / "originals").iterdir()
    }


def test_every_original_is_grouped_with_its_four_edits_and_no_other(
    some: Found, report: DuplicateReport
) -> None:
    folder, index = some
    assert names(report, below=folder) == families(folder)
    assert (report.index, report.photos, report.failed, report.silenced) == (str(index), 25, (), 0)
    assert report.threshold == shipped().threshold
    assert 0 < report.compared <= 25 * 24 / 2
    for group in report.groups:
        keeper, *others = group.photos
        assert Path(keeper.path).parent.name == "originals"
        assert (keeper.path, keeper.level, keeper.score) == (group.keep, "bytes", 1.0)
        assert {photo.level for photo in others} == {"near"}
        assert min(photo.score for photo in others) >= report.threshold
        assert group.min_score <= min(photo.score for photo in others)


def test_a_second_run_gives_the_equal_report_and_reads_nothing_again(
    some: Found, report: DuplicateReport, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("worked out again")

    monkeypatch.setattr("simsearch.dedup.stages.judging.judge", never)
    monkeypatch.setattr("simsearch.dedup.features.collect.describe", never)
    assert find_duplicates(some[1]) == report


def test_the_report_is_the_same_in_any_order_of_indexing(
    some: Found, report: DuplicateReport, tmp_path: Path
) -> None:
    folder, _ = some
    for part in (folder / "recompressed", folder / "originals", folder):
        index = indexed(part, tmp_path / "index")
    again = find_duplicates(index)
    assert (again.groups, again.photos, again.compared) == (report.groups, report.photos, report.compared)


def test_two_views_of_one_scene_are_shown_as_similar_when_asked_for(some: Found) -> None:
    folder, index = some
    found = find_duplicates(index, DedupOptions(reach="similar"))
    [alike] = [group for group in found.groups if group.level == "similar"]
    assert [Path(photo.path).stem for photo in alike.photos] == ["motorcycle_left", "motorcycle_right"]
    assert names(found, below=folder) > families(folder)


def test_the_exact_reach_finds_bytes_and_pixels_only(some: Found, tmp_path: Path) -> None:
    folder, _ = some
    (made := tmp_path / "photos").mkdir()
    original = folder / "originals" / "coffee.png"
    shutil.copy(original, made / "a.png")
    shutil.copy(original, made / "b.png")
    with Image.open(original) as image:
        image.save(made / "c.bmp")
        image.save(made / "d.jpg", quality=95)
    for name, colour in (("plain.png", "white"), ("plain.bmp", "white"), ("other.png", "black")):
        Image.new("RGB", (64, 48), colour).save(made / name)
    index = indexed(made, tmp_path / "index")
    exact = find_duplicates(index, DedupOptions(reach="exact"))
    assert names(exact, below=made) == {
        frozenset({"a.png", "b.png", "c.bmp"}),
        frozenset({"plain.png", "plain.bmp"}),
    }
    assert {photo.score for group in exact.groups for photo in group.photos} == {1.0}
    assert {g.photos[0].width: {p.path[-5:]: p.level for p in g.photos} for g in exact.groups}[600] == {
        "c.bmp": "bytes", "a.png": "pixels", "b.png": "pixels",
    }  # fmt: skip
    near = find_duplicates(index)
    assert names(near, below=made) == {
        frozenset({"a.png", "b.png", "c.bmp", "d.jpg"}),
        frozenset({"plain.png", "plain.bmp"}),
    }


def test_more_equal_pictures_than_neighbours_are_one_group(tmp_path: Path) -> None:
    (folder := tmp_path / "photos").mkdir()
    image = picture(5, (120, 90))
    for number in range(30):
        info = Image.Exif()
        info[0x010E] = f"copy {number}"
        image.save(folder / f"{number:02d}.png", exif=info)
    index = indexed(folder, tmp_path / "index")
    for reach in ("exact", "near"):
        [group] = find_duplicates(index, DedupOptions(reach=reach)).groups
        assert (group.level, len(group.photos), group.min_score) == ("pixels", 30, 1.0)


def test_what_cannot_be_read_any_more_is_told(tmp_path: Path) -> None:
    (folder := tmp_path / "photos").mkdir()
    for number in range(4):
        picture(number, (300, 200)).save(folder / f"{number}.png")
    picture(0, (300, 200)).save(folder / "copy.jpg", quality=95)
    index = indexed(folder, tmp_path / "index")
    picture(9, (300, 200)).save(folder / "1.png")
    (folder / "2.png").unlink()
    report, exact = (find_duplicates(index, DedupOptions(reach=reach)) for reach in ("near", "exact"))
    for found in (report, exact):
        assert [(Path(item.path).name, item.reason, item.transient) for item in found.failed] == [
            ("1.png", "changed since it was indexed; index it again", True)
        ]
    assert report.photos == 4, "a file that is gone is no picture"
    assert names(report, below=folder) == {frozenset({"0.png", "copy.jpg"})}


def test_links_are_no_copies_and_count_where_they_are(tmp_path: Path) -> None:
    (folder := (tmp_path / "photos").resolve()).mkdir()
    for name in ("a", "b"):
        (folder / name).mkdir()
    picture(1, (300, 200)).save(folder / "a" / "1.png")
    (folder / "b" / "hard.png").hardlink_to(folder / "a" / "1.png")
    (folder / "b" / "soft.png").symlink_to(folder / "a" / "1.png")
    picture(1, (300, 200)).save(folder / "b" / "copy.jpg", quality=95)
    index = indexed(folder, tmp_path / "index")
    assert names(find_duplicates(index), below=folder) == {frozenset({"a/1.png", "b/copy.jpg"})}
    within = DedupOptions(scope=Scope(within=(str(folder / "b"),)))
    assert names(find_duplicates(index, within), below=folder) == {frozenset({"b/hard.png", "b/copy.jpg"})}


def test_a_verdict_is_heeded(some: Found, report: DuplicateReport) -> None:
    first, second = report.groups[0].photos[:2]
    with Verdicts.open(some[1]) as verdicts:
        verdicts.keep_all(bytes.fromhex(photo.sha256) for photo in report.groups[1].photos)
        verdicts.different([bytes.fromhex(first.sha256), bytes.fromhex(second.sha256)])
        try:
            found = find_duplicates(some[1])
        finally:
            for group in report.groups[:2]:
                verdicts.forget(bytes.fromhex(photo.sha256) for photo in group.photos)
    assert found.silenced == 1
    groups = [{photo.path for photo in group.photos} for group in found.groups]
    assert {photo.path for photo in report.groups[1].photos} not in groups
    assert not any({first.path, second.path} <= group for group in groups)


def test_a_threshold_moves_the_line(some: Found) -> None:
    strict = find_duplicates(some[1], DedupOptions(threshold=1.0))
    assert strict.threshold == 1.0
    assert {photo.level for group in strict.groups for photo in group.photos[1:]} >= {"probably"}


def test_progress_is_told_by_stages(some: Found) -> None:
    told: list[tuple[str, int, int]] = []
    find_duplicates(some[1], progress=lambda *said: told.append(said))
    assert told[-1][0] == "comparing"
    assert told[-1][1] == told[-1][2]
    assert all(0 < done <= total for _, done, total in told)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_hardly_any_pictures_are_no_trouble(tmp_path: Path, count: int) -> None:
    (folder := tmp_path / "photos").mkdir()
    (folder / "notes.txt").write_text("no picture")
    for number in range(count):
        picture(number, (300, 200)).save(folder / f"{number}.png")
    index = indexed(folder, tmp_path / "index")
    for reach in ("exact", "near", "similar"):
        report = find_duplicates(index, DedupOptions(reach=reach))
        assert (report.groups, report.photos) == ((), count)


def test_options_that_mean_nothing_are_refused() -> None:
    for wrong in (
        {"reach": "far"}, {"threshold": 0.0}, {"threshold": 1.5}, {"threshold": "best"}, {"precision": 1.0}
    ):  # fmt: skip
        with pytest.raises(SimsearchError):
            DedupOptions(**wrong)  # type: ignore[arg-type]


@pytest.mark.proof
def test_all_sample_photos_are_grouped_with_their_edits(photos: Path, tmp_path: Path) -> None:
    index = indexed(photos, tmp_path / "index")
    report = find_duplicates(index, DedupOptions(reach="similar"))
    folder = photos.resolve()
    twins = {frozenset(f"originals/motorcycle_{side}.png" for side in ("left", "right"))}
    assert names(report, below=folder) == families(folder) | twins


@pytest.mark.proof
@pytest.mark.parametrize("room", [80, 200, 600])
def test_a_full_disk_takes_nothing_from_the_answer(
    some: Found, report: DuplicateReport, tmp_path: Path, room: int
) -> None:
    with mounted(tmp_path / "disk", "size=8m"):
        index = indexed(some[0], tmp_path / "disk" / "index")
        fill(tmp_path / "disk", room)
        found = [find_duplicates(index), find_duplicates(index)]
        with FeatureStore(index, shipped().name) as store:
            kept = store.ids([bytes.fromhex(p.sha256) for group in report.groups for p in group.photos])
    assert [(each.groups, each.failed, each.compared) for each in found] == [
        (report.groups, (), report.compared)
    ] * 2
    assert len(kept) < report.photos


@pytest.mark.proof
def test_5000_empty_files_are_no_group(tmp_path: Path) -> None:
    (folder := tmp_path / "photos").mkdir()
    for number in range(5000):
        (folder / f"{number}.jpg").touch()
    report = find_duplicates(indexed(folder, tmp_path / "index"))
    assert (report.groups, report.photos) == ((), 0)


@pytest.mark.proof
def test_overlapping_shots_of_one_scene_are_never_copies(shared_data: Path, tmp_path: Path) -> None:
    index = indexed(shared_data / "photos_10mp", tmp_path / "index", aged=False)
    report = find_duplicates(index, DedupOptions(reach="similar"))
    assert report.photos == 8
    assert {group.level for group in report.groups} <= {"similar"}
    assert find_duplicates(index).groups == ()


@pytest.mark.proof
def test_nine_orientations_of_two_photos_are_two_groups(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "exif_orientation"
    report = find_duplicates(indexed(folder, tmp_path / "index", aged=False))
    assert names(report, below=folder) == {
        frozenset(f"{kind}_{number}.jpg" for number in range(9)) for kind in ("Landscape", "Portrait")
    }


@pytest.mark.proof
def test_one_picture_in_many_formats_is_one_group(shared_data: Path, tmp_path: Path) -> None:
    (folder := (tmp_path / "photos").resolve()).mkdir()
    for path in (shared_data / "hostile").glob("hopper.*"):
        shutil.copy(path, folder / path.name)
    index = indexed(folder, tmp_path / "index")
    with Index.open(index) as opened:
        readable = {Path(path).name for photo in opened.photos() for path in photo.paths}
    assert len(readable) > 25
    assert readable >= TOO_LITTLE
    together = max(names(find_duplicates(index), below=folder), key=len)
    assert together >= readable - TOO_LITTLE
