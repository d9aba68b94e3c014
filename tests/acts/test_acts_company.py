"""What goes with a picture, and which names are one file."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from acts.ground import Ground, contents, left, make_ground, photo, tree
from simsearch import Index
from simsearch.dedup.acts.apply import apply_plan
from simsearch.dedup.acts.planning.companions import Folders, belongs
from simsearch.dedup.acts.purging.purge import purge
from simsearch.dedup.acts.records import ActReport, Plan
from simsearch.dedup.acts.undo import undo
from simsearch.dedup.verdicts import Verdicts


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return make_ground(tmp_path)


def apply(ground: Ground, plan: Plan) -> ActReport:
    with Index.open(ground.index) as index:
        return apply_plan(index, plan, yes=True)


def comes_back(ground: Ground, plan: Plan) -> bool:
    """Apply, undo, and compare every file with what it was."""
    before = tree(ground.photos)
    apply(ground, plan)
    changed = tree(ground.photos) != before
    with Index.open(ground.index) as index:
        undo(index, plan.run)
    return changed and tree(ground.photos) == before


def going(plan: Plan) -> list[list[str]]:
    """The names of what goes, each picture before what goes with it."""
    files = [file for group in plan.groups for file in group.files]
    return [[Path(p).name for p in (f.facts.path, *(c.facts.path for c in f.companions))] for f in files]


# Names


@pytest.mark.parametrize(
    ("name", "picture", "expected"),
    [
        ("IMG.xmp", "IMG.JPG", True),
        ("img.XMP", "IMG.jpg", True),
        ("IMG.JPG.xmp", "IMG.JPG", True),
        ("IMG.JPG.xmp", "IMG.CR2", False),
        ("IMG.AAE", "IMG.HEIC", True),
        ("IMG.thm", "IMG.CR2", True),
        ("IMG.MOV", "IMG.HEIC", True),
        ("IMG.MOV", "IMG.PNG", False),
        ("IMG.jpg.json", "IMG.jpg", True),
        ("IMG.json", "IMG.jpg", False),
        ("IMG.jpg.supplemental-metadata.json", "IMG.jpg", True),
        ("IMG.jpg.supplemental-me.json", "IMG.jpg", True),
        ("IMG.jpg.supplement-of-mine.json", "IMG.jpg", False),
        ("IMG.jpg(1).json", "IMG(1).jpg", True),
        ("IMG.JPG(1).JSON", "IMG(1).jpg", True),
        ("my.IMG.jpg.supplemental-meta(12).json", "my.IMG(12).jpg", True),
        ("IMG(1).jpg.json", "IMG(1).jpg", True),
        ("IMG.jpg(1).json", "IMG.jpg", False),
        ("IMG.jpg(2).json", "IMG(1).jpg", False),
        ("IMG.jpg.supplemental-metadata(1).json", "IMG.jpg", False),
        ("IMG2.xmp", "IMG.jpg", False),
        ("IMG.jpg2.json", "IMG.jpg", False),
        ("IMG.txt", "IMG.jpg", False),
    ],
)
def test_what_belongs_to_a_picture_is_told_by_its_name(name: str, picture: str, expected: bool) -> None:
    assert belongs(name.encode(), picture.encode()) is expected


def test_a_family_is_what_one_folder_holds_under_one_stem(ground: Ground) -> None:
    for name in (
        "IMG.CR2",
        "img.jpg",
        "IMG.heic",
        "IMG.xmp",
        "img.jpg.xmp",
        "IMG.mov",
        "IMG2.jpg",
        "IMG.txt",
    ):
        ground.put(name, name.encode())
    family = Folders().family(os.fsencode(ground.photos / "img.jpg"))
    assert family.pictures == (b"IMG.CR2", b"IMG.heic", b"img.jpg")
    assert family.owners == {
        b"IMG.mov": (b"IMG.heic", b"img.jpg"),
        b"IMG.xmp": (b"IMG.CR2", b"IMG.heic", b"img.jpg"),
        b"img.jpg.xmp": (b"img.jpg",),
    }
    assert family.shot(b"img.jpg") == (b"IMG.CR2", b"IMG.heic", b"img.jpg")


def test_a_name_that_comes_is_seen_a_second_later_and_one_that_goes_at_once(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    for name in ("IMG.jpg", "IMG.xmp"):
        ground.put(name, name.encode())
    folders, path = Folders(), os.fsencode(ground.photos / "IMG.jpg")
    assert folders.family(path).owners == {b"IMG.xmp": (b"IMG.jpg",)}
    (ground.photos / "IMG.xmp").unlink()
    assert folders.family(path).owners == {}
    ground.put("img.CR2", b"raw")
    now[0] = 1.1
    assert folders.family(path).shot(b"IMG.jpg") == (b"IMG.jpg", b"img.CR2")


# Sidecars


def test_every_sidecar_of_a_copy_goes_with_it(ground: Ground) -> None:
    ground.put("a/IMG.jpg", b"photo")
    ground.put("b/IMG.jpg", b"photo")
    beside = (
        "IMG.xmp",
        "IMG.jpg.xmp",
        "IMG.AAE",
        "IMG.thm",
        "IMG.jpg.json",
        "IMG.jpg.supplemental-meta.json",
    )
    for name in beside:
        ground.put(f"b/{name}", name.encode())
    ground.put("b/IMG.txt", b"of no picture")
    ground.enter("a/IMG.jpg", "b/IMG.jpg")
    plan = ground.plan(ground.group("a/IMG.jpg", "b/IMG.jpg"))
    [names] = going(plan)
    assert (names[0], sorted(names[1:])) == ("IMG.jpg", sorted(beside))
    assert comes_back(ground, plan)


def test_notes_of_a_numbered_picture_of_google_takeout_go_with_it(ground: Ground) -> None:
    ground.put("IMG.jpg", b"photo")
    ground.put("IMG(1).jpg", b"photo")
    for name in ("IMG.jpg.json", "IMG.jpg(1).json"):
        ground.put(name, name.encode())
    ground.enter("IMG.jpg", "IMG(1).jpg")
    plan = ground.plan(ground.group("IMG.jpg", "IMG(1).jpg"))
    assert going(plan) == [["IMG(1).jpg", "IMG.jpg(1).json"]]
    assert comes_back(ground, plan)


def test_a_sidecar_of_two_pictures_stays_with_the_one_that_stays(ground: Ground) -> None:
    ground.put("a/IMG.png", b"photo")
    ground.put("b/IMG.png", b"photo")
    ground.put("b/IMG.heic", b"another")
    ground.put("b/IMG.xmp", b"of both")
    ground.enter("a/IMG.png", "b/IMG.png")
    plan = ground.plan(ground.group("a/IMG.png", "b/IMG.png"))
    assert going(plan) == [["IMG.png"]]
    assert apply(ground, plan).left == ()
    assert (ground.photos / "b/IMG.xmp").exists()


def test_a_sidecar_of_two_pictures_goes_when_both_go(ground: Ground) -> None:
    for place in ("a", "b"):
        ground.put(f"{place}/IMG.png", b"photo")
        ground.put(f"{place}/IMG.heic", b"another")
    ground.put("b/IMG.xmp", b"of both")
    ground.enter("a/IMG.png", "b/IMG.png")
    groups = ground.group("a/IMG.png", "b/IMG.png"), ground.group("a/IMG.heic", "b/IMG.heic")
    plan = ground.plan(*groups)
    assert going(plan) == [["IMG.heic", "IMG.png", "IMG.xmp"]]
    assert comes_back(ground, plan)


def test_a_sidecar_whose_target_is_taken_gets_a_free_name(ground: Ground) -> None:
    ground.put("a/IMG.jpg", b"photo")
    ground.put("b/IMG.jpg", b"photo")
    ground.put("b/IMG.xmp", b"new")
    ground.put("to/b/IMG.xmp", b"old")
    ground.enter("a/IMG.jpg", "b/IMG.jpg")
    plan = ground.plan(ground.group("a/IMG.jpg", "b/IMG.jpg"), action="move", to=str(ground.photos / "to"))
    assert Path(plan.groups[0].files[0].companions[0].target).name == "IMG (2).xmp"
    assert apply(ground, plan).companions == 1
    assert (ground.photos / "to/b/IMG.xmp").read_bytes() == b"old"
    assert (ground.photos / "to/b/IMG (2).xmp").read_bytes() == b"new"


# Pairs


def test_a_raw_and_its_jpeg_are_no_copies_of_each_other(ground: Ground) -> None:
    ground.put("IMG.CR2", b"raw")
    ground.put("IMG.JPG", b"jpeg")
    ground.enter("IMG.JPG")
    plan = ground.plan(ground.group("IMG.CR2", "IMG.JPG", level="near"))
    assert (plan.files, left(plan)) == (0, {"IMG.JPG": "the other half of the shot that is kept"})


def test_a_jpeg_elsewhere_is_no_copy_of_a_raw(ground: Ground) -> None:
    ground.put("a/IMG.CR2", b"raw")
    ground.put("b/IMG.JPG", b"jpeg")
    ground.enter("b/IMG.JPG")
    plan = ground.plan(ground.group("a/IMG.CR2", "b/IMG.JPG", level="near"))
    assert list(left(plan)) == ["IMG.JPG"]
    assert "neither stands in for the other" in left(plan)["IMG.JPG"]


def test_a_whole_shot_goes_where_a_whole_shot_stays(ground: Ground) -> None:
    for place in ("a", "b"):
        ground.put(f"{place}/IMG.CR2", b"raw")
        ground.put(f"{place}/IMG.JPG", b"jpeg")
        ground.put(f"{place}/IMG.xmp", place.encode())
    ground.enter("a/IMG.JPG", "b/IMG.JPG")
    plan = ground.plan(ground.group("a/IMG.JPG", "b/IMG.JPG"))
    assert going(plan) == [["IMG.JPG", "IMG.CR2", "IMG.xmp"]]
    [file] = plan.groups[0].files
    assert file.companions[0].keeper is not None
    assert file.companions[0].keeper.path == str(ground.photos / "a/IMG.CR2")
    assert comes_back(ground, plan)


def test_a_whole_shot_goes_as_one_where_both_halves_are_in_one_group(ground: Ground) -> None:
    for place in ("a", "b"):
        ground.put(f"{place}/IMG.CR2", b"raw")
        ground.put(f"{place}/IMG.JPG", b"jpeg")
    ground.enter("a/IMG.JPG", "b/IMG.JPG")
    plan = ground.plan(ground.group("a/IMG.JPG", "a/IMG.CR2", "b/IMG.CR2", "b/IMG.JPG", level="near"))
    assert going(plan) == [["IMG.CR2", "IMG.JPG"]]
    assert left(plan) == {"IMG.CR2": "the other half of the shot that is kept"}
    assert comes_back(ground, plan)


def test_a_raw_that_all_stays_by_a_verdict_keeps_its_jpeg(ground: Ground) -> None:
    for place in ("a", "b"):
        ground.put(f"{place}/IMG.CR2", b"raw")
        ground.put(f"{place}/IMG.JPG", b"jpeg")
    ground.enter("a/IMG.JPG", "b/IMG.JPG")
    with Verdicts.open(ground.index) as verdicts:
        verdicts.keep_all([hashlib.sha256(b"raw").digest()] * 2)
        plan = ground.plan(ground.group("a/IMG.JPG", "b/IMG.JPG"))
        words = f"you said that the other half of its shot stays: {ground.photos / 'b/IMG.CR2'}"
        assert (plan.files, left(plan)) == (0, {"IMG.JPG": words})
        verdicts.forget([hashlib.sha256(b"raw").digest()])
    assert ground.plan(ground.group("a/IMG.JPG", "b/IMG.JPG")).files == 1


def test_a_raw_without_a_copy_keeps_its_jpeg(ground: Ground) -> None:
    ground.put("a/IMG.JPG", b"jpeg")
    ground.put("b/IMG.JPG", b"jpeg")
    raw = ground.put("b/IMG.CR2", b"raw")
    ground.enter("a/IMG.JPG", "b/IMG.JPG")
    plan = ground.plan(ground.group("a/IMG.JPG", "b/IMG.JPG"))
    assert (plan.files, left(plan)) == (0, {"IMG.JPG": f"no copy of what belongs to it would stay: {raw}"})


def test_a_live_photo_goes_where_its_video_has_a_copy_and_else_stays(ground: Ground) -> None:
    for place in ("a", "b", "c"):
        ground.put(f"{place}/IMG.HEIC", b"still")
    ground.put("a/IMG.MOV", b"moving")
    ground.put("b/img.mov", b"moving")
    ground.put("c/IMG.MOV", b"another take")
    ground.enter("a/IMG.HEIC", "b/IMG.HEIC", "c/IMG.HEIC")
    plan = ground.plan(ground.group("a/IMG.HEIC", "b/IMG.HEIC", "c/IMG.HEIC"))
    assert going(plan) == [["IMG.HEIC", "img.mov"]]
    assert left(plan) == {
        "IMG.HEIC": f"no copy of what belongs to it would stay: {ground.photos / 'c/IMG.MOV'}"
    }
    apply(ground, plan)
    (ground.photos / "a/IMG.MOV").unlink()
    with Index.open(ground.index) as index:
        report = purge(index, plan.run, permanently=True)
    assert [Path(item.path).name for item in report.left] == ["img.mov"]


def test_a_pair_that_lost_one_half_to_an_edit_is_left_whole(ground: Ground) -> None:
    for place in ("a", "b"):
        ground.put(f"{place}/IMG.CR2", b"raw")
        ground.put(f"{place}/IMG.JPG", b"jpeg")
    ground.enter("a/IMG.JPG", "b/IMG.JPG")
    plan = ground.plan(ground.group("a/IMG.JPG", "b/IMG.JPG"))
    ground.put("b/IMG.CR2", b"raW")
    before = tree(ground.photos)
    [item] = apply(ground, plan).left
    assert item.reason == f"{ground.photos / 'b/IMG.CR2'}: it has changed since the plan was made"
    assert contents(ground.photos / "b") == {b"raW", b"jpeg"}
    assert {n: e for n, e in tree(ground.photos).items() if "trash" not in n} == before


# Identity


def test_links_to_the_keeper_and_its_other_names_are_left(ground: Ground) -> None:
    keeper = ground.put("a/1.png", b"photo")
    (ground.photos / "link.png").symlink_to(keeper)
    os.link(keeper, ground.photos / "name.png")
    copy = ground.put("b/1.png", b"photo")
    (ground.photos / "to-copy.png").symlink_to(copy)
    ground.enter("a/1.png", "b/1.png")
    plan = ground.plan(ground.group("a/1.png", "b/1.png", "link.png", "name.png", "to-copy.png"))
    assert [Path(file.facts.path).name for file in plan.groups[0].files] == ["1.png"]
    assert left(plan) == {
        "link.png": "a link to the keeper itself",
        "name.png": "same inode as the keeper",
        "to-copy.png": f"a link; the file itself is {copy}",
    }
    assert comes_back(ground, plan)


def test_a_file_that_a_linked_keeper_leads_to_never_goes(ground: Ground) -> None:
    real = ground.put("b/1.png", b"photo")
    (ground.photos / "a").mkdir()
    (ground.photos / "a/1.png").symlink_to(real)
    ground.enter("b/1.png")
    plan = ground.plan(ground.group("a/1.png", "b/1.png"))
    assert (plan.files, left(plan)) == (0, {"1.png": "same inode as the keeper"})


def test_what_one_group_keeps_does_not_go_with_another(ground: Ground) -> None:
    ground.put("a.png", b"one")
    ground.put("b.png", b"two")
    ground.put("c.png", b"three")
    ground.enter("a.png", "b.png", "c.png")
    groups = ground.group("a.png", "b.png", level="near"), ground.group("b.png", "c.png", level="near")
    plan = ground.plan(*groups)
    assert left(plan) == {"b.png": "it is kept for another group"}
    assert going(plan) == [["c.png"]]


@pytest.mark.parametrize("action", ["set-aside", "symlink"])
def test_a_copy_that_a_link_leads_to_keeps_its_name(ground: Ground, action: str) -> None:
    ground.put("a/1.png", b"photo")
    copy = ground.put("b/1.png", b"photo")
    (ground.photos / "album").mkdir()
    link = ground.photos / "album/best.png"
    link.symlink_to(copy)
    ground.enter("a/1.png", "b/1.png", "album/best.png")
    plan = ground.plan(ground.group("a/1.png", "b/1.png"), action=action)
    # In its place a link would go on leading to the same bytes.
    assert plan.files == (action == "symlink")
    assert left(plan) == ({} if plan.files else {"1.png": f"a link leads to it: {link}"})
    apply(ground, plan)
    assert link.read_bytes() == b"photo"


def test_a_linked_folder_makes_no_second_copy(ground: Ground) -> None:
    ground.put("a/1.png", b"photo")
    (ground.photos / "alias").symlink_to("a")
    ground.enter("a/1.png")
    plan = ground.plan(ground.group("a/1.png", "alias/1.png"))
    assert (plan.files, left(plan)) == (0, {"1.png": "same inode as the keeper"})


def test_a_folder_that_became_a_link_since_takes_nothing_away(ground: Ground) -> None:
    ground.put("a/1.png", b"photo")
    ground.put("b/1.png", b"photo")
    ground.enter("a/1.png", "b/1.png")
    plan = ground.plan(ground.group("a/1.png", "b/1.png"))
    (ground.photos / "b").rename(ground.work / "elsewhere")
    (ground.photos / "b").symlink_to(ground.work / "elsewhere")
    with pytest.raises(Exception, match="has become a link"):
        apply(ground, plan)
    assert (ground.work / "elsewhere/1.png").exists()


def test_reference_folders_and_what_is_outside_of_the_index_are_not_touched(ground: Ground) -> None:
    ground.put("a/1.png", b"photo")
    ground.put("reference/1.png", b"photo")
    outside = ground.work / "outside.png"
    outside.write_bytes(b"photo")
    ground.enter("a/1.png", "reference/1.png")
    group = ground.group("a/1.png", "reference/1.png")
    strange = replace(group, photos=(*group.photos, photo(outside, "bytes")))
    crooked = ground.group("a/1.png", "../outside.png")
    reference = (str(ground.photos / "reference"),)
    assert left(ground.plan(strange, reference=reference)) == {
        "1.png": "in a reference folder",
        "outside.png": "not below a folder of the index",
    }
    plan = ground.plan(crooked)
    assert (plan.files, list(left(plan))) == (0, ["outside.png"])


# Mounts


@contextmanager
def bound(source: Path, target: Path) -> Iterator[None]:
    """The folder `source` mounted at `target` as well."""
    target.mkdir(parents=True, exist_ok=True)
    mounting = subprocess.run(["mount", "--bind", str(source), str(target)], capture_output=True, check=False)
    if mounting.returncode:
        pytest.skip(f"mounts are not permitted here: {mounting.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(target)], check=True)


def test_a_file_that_two_mounts_show_is_one_file(ground: Ground) -> None:
    ground.put("a/1.png", b"photo")
    with bound(ground.photos / "a", ground.photos / "again"):
        ground.enter("a/1.png")
        plan = ground.plan(ground.group("a/1.png", "again/1.png"))
        assert (plan.files, left(plan)) == (0, {"1.png": "same inode as the keeper"})


def test_a_mount_that_came_after_the_plan_does_not_make_a_second_copy(ground: Ground) -> None:
    ground.put("a/1.png", b"photo")
    ground.put("b/1.png", b"photo")
    ground.enter("a/1.png", "b/1.png")
    plan = ground.plan(ground.group("a/1.png", "b/1.png"))
    with bound(ground.photos / "b", ground.photos / "a"):
        [item] = apply(ground, plan).left
    assert item.reason.startswith("it is the same file as what is kept")
    assert (ground.photos / "b/1.png").exists()


def test_a_bound_folder_has_a_trash_of_its_own(ground: Ground) -> None:
    ground.put("a/1.png", b"photo")
    elsewhere = ground.work / "elsewhere"
    (elsewhere / "deep").mkdir(parents=True)
    (elsewhere / "deep/1.png").write_bytes(b"photo")
    with bound(elsewhere, ground.photos / "b"):
        ground.enter("a/1.png", "b/deep/1.png")
        plan = ground.plan(ground.group("a/1.png", "b/deep/1.png"))
        [file] = plan.groups[0].files
        assert file.target == str(ground.photos / "b/.simsearch-trash" / plan.run / "deep/1.png")
        assert comes_back(ground, plan)


def test_a_hard_link_does_not_reach_another_mount(ground: Ground) -> None:
    ground.put("a/1.png", b"photo")
    elsewhere = ground.work / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "1.png").write_bytes(b"photo")
    with bound(elsewhere, ground.photos / "b"):
        ground.enter("a/1.png", "b/1.png")
        plan = ground.plan(ground.group("a/1.png", "b/1.png"), action="hardlink")
        assert [item.reason for item in apply(ground, plan).left] == ["on another disk"]
        assert (elsewhere / "1.png").read_bytes() == b"photo"
