"""Decisions about copies by hand, real files that go and come back, and the page without a browser."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from acts.ground import Ground, make_ground, tree
from conftest import age
from PIL import Image, ImageOps
from streamlit.testing.v1 import AppTest

from simsearch import Index, find_duplicates
from simsearch.dedup.acts.records import PlanOptions
from simsearch.dedup.grouping.keeper import KeeperPolicy
from simsearch.dedup.grouping.scope import Scope
from simsearch.dedup.options import DedupOptions
from simsearch.dedup.records import Doubt, DuplicateGroup, DuplicatePhoto, DuplicateReport, Picture
from simsearch.dedup.verdicts import Verdicts
from simsearch.ui.pages.duplicates.acting import working
from simsearch.ui.pages.duplicates.acting.carrying import Draft, carry_out, draft, forget, take_back
from simsearch.ui.pages.duplicates.deciding import decisions as deciding
from simsearch.ui.pages.duplicates.deciding.decisions import Decision, Headed, key_of
from simsearch.ui.pages.duplicates.deciding.desk import SHOWN, Desk
from simsearch.ui.pages.duplicates.deciding.heading import OUT_OF_SCOPE, REFERENCE, TOLD_APART, headed
from simsearch.ui.pages.duplicates.deciding.laying import laid
from simsearch.ui.pages.duplicates.deciding.session import Session
from simsearch.ui.pages.duplicates.finding import Found
from simsearch.ui.pages.duplicates.teach import answer_pair
from simsearch.ui.shared import library
from ui.scenes import scene

SET_ASIDE = PlanOptions("set-aside")


def photo(
    path: str, level: str = "bytes", score: float = 1.0, *, sha: str = "", size: int = 10
) -> DuplicatePhoto:
    digest = hashlib.sha256((sha or path).encode()).hexdigest()
    return DuplicatePhoto(path, score, 40, 30, size, level, digest)


def group(*photos: DuplicatePhoto, level: str = "near", score: float = 0.99) -> DuplicateGroup:
    return DuplicateGroup(level, score, photos[0].path, "kept: a test", photos)


def found_of(*groups: DuplicateGroup, options: DedupOptions | None = None) -> Found:
    report = DuplicateReport("index", 0.96, 9, 9, groups, (), 0)
    return Found("job", report, options or DedupOptions(), {key_of(each): each for each in groups})


def going(each: DuplicateGroup, said: Decision, **reasons: str) -> set[str]:
    planned, _ = deciding.to_plan(Headed(each, reasons), said)
    return set() if planned is None else {photo.path for photo in planned.photos[1:]}


def test_what_is_proposed_goes_and_what_is_only_probable_stays() -> None:
    each = group(photo("a"), photo("b", "near"), photo("c", "probably", 0.9), photo("d"), level="probably")
    planned, left = deciding.to_plan(Headed(each), deciding.proposal(each))
    assert planned is not None
    assert [photo.path for photo in planned.photos] == ["a", "b", "d"]
    # Of "near" and "bytes" the less certain one; the probable one is no part of it any more.
    assert planned.level == "near"
    assert [(item.path, item.reason) for item in left] == [
        ("c", "it is only probably a copy of what is kept")
    ]


def test_a_copy_stays_or_shows_another_picture_when_that_is_said() -> None:
    each = group(photo("a"), photo("b", "near"), photo("c", "near"), photo("d", "near"))
    said = deciding.with_other(deciding.with_stay(deciding.proposal(each), "b"), "c")
    assert going(each, said) == {"d"}
    assert deciding.reason(each.photos[1], said, {}) == "you let it stay"
    # What stays is kept with the keeper for good; what is another picture is told apart from it alone.
    a, b, c, _ = (bytes.fromhex(photo.sha256) for photo in each.photos)
    assert deciding.answers([(each, said)]) == deciding.Answers(((a, c),), ((a, b),))
    assert going(each, deciding.with_stay(said, "b")) == {"b", "d"}
    assert going(each, deciding.with_other(said, "b")) == {"d"}
    assert deciding.with_stay(said, "a") == said
    # The one that is kept neither stays nor is another one.
    assert deciding.kept(said, "b") == Decision("set-aside", "b", frozenset(), frozenset({"c"}))


def test_a_group_of_different_pictures_or_of_files_that_all_stay() -> None:
    each = group(photo("a", sha="x"), photo("b", sha="x"), photo("c", sha="y"))
    x, y = (hashlib.sha256(name).digest() for name in (b"x", b"y"))
    for kind in (deciding.DIFFERENT, deciding.KEEP_ALL):
        assert going(each, Decision(kind, "a")) == set()
    said = deciding.answers([(each, Decision(deciding.KEEP_ALL, "a"))])
    assert said == deciding.Answers((), ((x, x, y),))
    # Files with the same bytes are no different pictures.
    assert not deciding.may_differ(each)
    assert not deciding.may_be_other(each, "a", "b")
    assert deciding.may_be_other(each, "a", "c")


def test_all_exact_ones_are_those_of_bytes_and_pixels_that_are_not_decided() -> None:
    same = group(photo("a"), photo("b"), level="bytes")
    alike = group(photo("c"), photo("d", "pixels"), level="pixels")
    mixed = group(photo("e"), photo("f"), photo("g", "near"))
    groups = found_of(same, alike, mixed).open_groups()
    decided = {key_of(same): Decision(deciding.KEEP_ALL, "a")}
    assert deciding.exact_ones(groups, decided) == {key_of(alike): Decision("set-aside", "c")}


def test_the_list_in_its_orders() -> None:
    small = group(photo("z", size=99), photo("y", "near", size=5), score=0.999)
    large = group(photo("b", size=99), photo("c", "near", size=70), score=0.97)
    same = group(photo("m", size=99), photo("n", size=20), level="bytes", score=1.0)
    groups = found_of(small, large, same).groups
    keys = {name: key_of(each) for name, each in (("small", small), ("large", large), ("same", same))}
    names = {key: name for name, key in keys.items()}

    def listed(level: str | None, order: str) -> list[str]:
        return [names[key] for key in deciding.chosen(groups, level, order)]

    assert listed(None, "bytes") == ["large", "same", "small"]
    assert listed(None, "certainty") == ["same", "small", "large"]
    assert listed(None, "path") == ["large", "same", "small"]
    assert listed("near", "bytes") == ["large", "small"]
    # The same files make the same group, in whatever order they come.
    assert key_of(replace(small, photos=small.photos[::-1])) == keys["small"]


def png(made: Image.Image) -> bytes:
    data = io.BytesIO()
    made.save(data, "PNG")
    return data.getvalue()


@pytest.fixture
def ground() -> Iterator[Ground]:
    """In memory, where there is such a place: of many syncs none need reach a disk."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as place:
        yield make_ground(Path(place).resolve())


def member(ground: Ground, name: str, level: str) -> DuplicatePhoto:
    data = (ground.photos / name).read_bytes()
    with Image.open(io.BytesIO(data)) as opened:
        width, height = opened.size
    digest = hashlib.sha256(data).hexdigest()
    return DuplicatePhoto(str(ground.photos / name), 1.0, width, height, len(data), level, digest)


def halves(ground: Ground) -> DuplicateGroup:
    """A picture with its left and its right half, which have little in common."""
    whole = scene(1)
    for name, made in (
        ("a/whole.png", whole),
        ("b/left.png", whole.crop((0, 0, 250, 320))),
        ("b/right.png", whole.crop((230, 0, 480, 320))),
    ):
        ground.put(name, png(made))
    names = ("a/whole.png", "b/left.png", "b/right.png")
    ground.enter(*names)
    return group(
        *(member(ground, name, level) for name, level in zip(names, ("bytes", "near", "near"), strict=True))
    )


def test_only_what_was_held_against_the_chosen_keeper_goes(ground: Ground) -> None:
    each = halves(ground)
    whole, left, right = (photo.path for photo in each.photos)
    found = found_of(each)
    with Index.open(ground.index) as index:
        now = headed(index, found, each, left)
        assert now.group.keep == left
        assert {photo.path: photo.level for photo in now.group.photos}[whole] == "near"
        said = deciding.kept(deciding.proposal(each), left)
        made = draft(index, found, {key_of(each): (each, said)}, SET_ASIDE)
        [planned] = made.plan.groups
        assert planned.keep == left
        assert [file.facts.path for file in planned.files] == [whole]
        [stays] = made.stays[left]
        assert stays.path == right
        assert "no copy" in stays.reason


def test_a_chosen_keeper_does_not_leave_the_scope_or_what_was_said(ground: Ground) -> None:
    each = halves(ground)
    whole, left, right = (photo.path for photo in each.photos)
    across = DedupOptions(scope=Scope(folders="across"))
    a = str(ground.photos / "a")
    reference = DedupOptions(policy=KeeperPolicy(reference=(a,)), scope=Scope(reference=(a,)))
    with Index.open(ground.index) as index:
        assert headed(index, found_of(each, options=across), each, left).reasons == {right: OUT_OF_SCOPE}
        assert headed(index, found_of(each, options=reference), each, left).reasons == {whole: REFERENCE}
        with Verdicts.open(ground.index) as verdicts:
            verdicts.different([bytes.fromhex(photo.sha256) for photo in each.photos[:2]])
        assert headed(index, found_of(each), each, left).reasons == {whole: TOLD_APART}


def test_equal_pixels_need_no_second_look(ground: Ground) -> None:
    # None of these files is there to be read.
    each = group(photo("k"), photo("p", "pixels"), photo("q", "pixels"), photo("b", sha="k"), level="pixels")
    ground.put("one.png", 1)
    ground.enter("one.png")
    with Index.open(ground.index) as index:
        now = headed(index, found_of(each), each, "p").group
        assert {photo.path: (photo.level, photo.score) for photo in now.photos} == {
            **dict.fromkeys("kqb", ("pixels", 1.0)),
            "p": ("bytes", 1.0),
        }


def test_a_part_that_is_mirrored_is_laid_where_it_came_from(ground: Ground) -> None:
    whole = scene(2)
    ground.put("whole.png", png(whole))
    # Its right half, mirrored: u of the part is 1 - (u - 0.5) / 0.5 of the whole.
    ground.put("part.png", png(ImageOps.mirror(whole.crop((240, 0, 480, 320)))))
    ground.enter("whole.png", "part.png")
    photos = (member(ground, "whole.png", "bytes"), member(ground, "part.png", "near"))
    with Index.open(ground.index) as index:
        assert laid(index, found_of(group(*photos)), *photos) == pytest.approx(
            (-0.5, 0, 1, 0, 1, 0), abs=0.01
        )


def twins(ground: Ground) -> DuplicateReport:
    """Two files of the same bytes, one with a sidecar, and another two; found by their bytes."""
    for name in ("a/one.png", "b/one.png"):
        ground.put(name, 1)
    for name in ("a/two.png", "c/two.png"):
        ground.put(name, 2)
    ground.put("b/one.xmp", b"<x/>")
    age(ground.photos)
    ground.enter("a/one.png", "b/one.png", "a/two.png", "c/two.png")
    return find_duplicates(ground.index, DedupOptions(reach="exact"))


def drafted(ground: Ground, found: Found, *decisions: Decision) -> Draft:
    pairs = zip(found.groups.items(), decisions, strict=True)
    with Index.open(ground.index) as index:
        return draft(index, found, {key: (each, said) for (key, each), said in pairs}, SET_ASIDE)


def test_what_was_done_is_undone_to_the_last_byte(ground: Ground) -> None:
    report = twins(ground)
    before, known = tree(ground.photos), ground.known()
    first, second = report.groups
    found = found_of(first, second)
    a_one, b_one = (str(ground.photos / name) for name in ("a/one.png", "b/one.png"))
    assert [photo.path for photo in first.photos] == [a_one, b_one]
    made = drafted(ground, found, deciding.kept(deciding.proposal(first), b_one), deciding.proposal(second))
    # Making a plan touches nothing.
    assert tree(ground.photos) == before
    with Index.open(ground.index) as index:
        done = carry_out(index, found, made, lambda done, total: None)
        assert done.report is not None
        assert done.report.files == 2
        assert ground.known() == {"b/one.png", "a/two.png"}
        assert not os.path.exists(a_one)
        assert found.open_groups() == {}
        undone = take_back(index, found, done.report.run, lambda done, total: None)
        assert (undone.state, undone.files) == ("undone", 2)
        assert set(found.open_groups()) == {key_of(first), key_of(second)}
    assert tree(ground.photos) == before
    assert ground.known() == known


def test_what_belongs_to_a_copy_goes_and_comes_back_with_it(ground: Ground) -> None:
    report = twins(ground)
    before = tree(ground.photos)
    found = found_of(report.groups[0])
    made = drafted(ground, found, deciding.proposal(report.groups[0]))
    [file] = made.plan.groups[0].files
    assert [os.path.basename(beside.facts.path) for beside in file.companions] == ["one.xmp"]
    with Index.open(ground.index) as index:
        done = carry_out(index, found, made, lambda done, total: None)
        assert not (ground.photos / "b" / "one.xmp").exists()
        assert done.report is not None
        take_back(index, found, done.report.run, lambda done, total: None)
    assert tree(ground.photos) == before


def test_both_groups_of_a_raw_and_its_jpeg_are_off_the_list_when_the_shot_goes(ground: Ground) -> None:
    names = ("a/1.cr2", "b/1.cr2", "a/1.jpg", "b/1.jpg")
    for name in names:
        ground.put(name, 1 if name.endswith("jpg") else 2)
    age(ground.photos)
    ground.enter(*names)
    groups = [group(*(member(ground, name, "bytes") for name in two)) for two in (names[:2], names[2:])]
    found = found_of(*groups)
    # Nothing is remembered yet of what was decided in this visit.
    stays = Decision(deciding.KEEP_ALL, groups[0].keep)
    assert drafted(ground, found, stays, deciding.proposal(groups[1])).plan.files == 0
    made = drafted(ground, found, *(deciding.proposal(each) for each in groups))
    assert made.plan.files == 1
    with Index.open(ground.index) as index:
        done = carry_out(index, found, made, lambda done, total: None)
    assert (done.report is not None, found.open_groups()) == (True, {})
    assert not list((ground.photos / "b").iterdir())


def test_what_all_stays_is_not_asked_again_until_that_is_taken_back(ground: Ground) -> None:
    report = twins(ground)
    before = tree(ground.photos)
    first, second = report.groups
    found = found_of(first)
    made = drafted(ground, found, Decision(deciding.KEEP_ALL, first.keep))
    with Index.open(ground.index) as index:
        done = carry_out(index, found, made, lambda done, total: None)
        assert (done.report, done.verdicts) == (None, 1)
        assert found.open_groups() == {}
        again = find_duplicates(index, DedupOptions(reach="exact"))
        assert (again.groups, again.silenced) == ((second,), 1)
        assert forget(index, found, done.answered) == 1
        assert list(found.open_groups()) == [key_of(first)]
        assert find_duplicates(index, DedupOptions(reach="exact")).groups == report.groups
    assert tree(ground.photos) == before


def test_a_file_that_changed_meanwhile_stays(ground: Ground) -> None:
    report = twins(ground)
    found = found_of(*report.groups)
    made = drafted(ground, found, *map(deciding.proposal, report.groups))
    ground.put("c/two.png", 3)
    with Index.open(ground.index) as index:
        done = carry_out(index, found, made, lambda done, total: None)
    assert done.report is not None
    assert done.report.files == 1
    assert [item.path for item in done.report.left] == [str(ground.photos / "c" / "two.png")]
    # Its group is still to be decided about.
    [still] = found.open_groups().values()
    assert {Path(photo.path).name for photo in still.photos} == {"two.png"}


@pytest.fixture
def desk(ground: Ground) -> Desk:
    report = twins(ground)
    found = found_of(*report.groups)
    return Desk(library(ground.index), found, Session(order="path"), key_of(report.groups[0]))


def test_keys_decide_and_are_taken_back(desk: Desk) -> None:
    session, first, second = desk.session, *desk.found.groups
    assert session.listed(desk.found.open_groups()) == [first, second]
    desk.take_in({"what": "keep", "member": 2})
    assert session.decisions[first] == Decision("set-aside", desk.group.photos[1].path)
    desk.take_in({"what": "keep-all"})
    assert session.decisions[first].kind == deciding.KEEP_ALL
    desk.take_in({"what": "back"})
    assert session.decisions == {}
    desk.take_in({"what": "accept"})
    assert session.decisions == {first: deciding.proposal(desk.group)}
    assert session.at == second
    # The same bytes are no different pictures, whatever is pressed.
    desk.take_in({"what": "back"})
    desk.take_in({"what": "different"})
    desk.take_in({"what": "other", "member": 2})
    assert session.decisions == {}
    replace(desk, key=second).take_in({"what": "accept"})
    assert session.at is None


def test_what_is_no_act_changes_nothing(desk: Desk) -> None:
    keep = {"what": "keep"}
    for act in ({}, {"what": 3}, keep, {**keep, "member": 9}, {**keep, "member": "1"}, {"what": "rm"}):
        desk.take_in(act)
        assert (desk.session.decisions, desk.session.at) == ({}, None)


def test_names_may_hold_anything_and_large_groups_come_in_parts(ground: Ground) -> None:
    ground.put("one.png", 1)
    ground.enter("one.png")
    names = [f"/photos/<b>{number:02d}\udcff*_\n.jpg" for number in range(60)]
    each = group(*(photo(name, sha="one") for name in names), level="bytes")
    desk = Desk(library(ground.index), found_of(each), Session(), key_of(each))
    data = desk.data()
    # No byte that is no UTF-8 is on its way to the browser.
    assert "\\\\xff*_\\\\n.jpg" in json.dumps(data).encode("utf-8").decode()
    assert (len(data["members"]), data["total"]) == (SHOWN, 60)  # type: ignore[arg-type]
    for _ in range(5):
        desk.take_in({"what": "more"})
    numbers = [shown["number"] for shown in desk.data()["members"]]  # type: ignore[attr-defined]
    # What is kept is always there.
    assert numbers == [1, *range(49, 61)]


def test_answers_about_pairs_are_kept_once(ground: Ground) -> None:
    lib, session = library(twins(ground).index), Session(pairs="job")
    pictures = [Picture(n, bytes([n]) * 32, (f"/{n}.png",), 4, 3, "PNG", None) for n in range(4)]
    doubts = (Doubt(pictures[0], pictures[1], 0.5), Doubt(pictures[2], pictures[3], 0.6))
    for act in (
        {"key": "job.0", "what": "copies"},
        # Too late, of another search, and no answer.
        {"key": "job.0", "what": "different"},
        {"key": "other.1", "what": "copies"},
        {"key": "job.1", "what": "perhaps"},
        {"key": "job.1", "what": "skip"},
    ):
        answer_pair(lib, session, doubts, act)
    assert session.taught == {0: "copies", 1: "skip"}
    with Verdicts.open(ground.index) as verdicts:
        [label] = verdicts.labels()
        assert (label.first, label.second, label.same) == (bytes(32), b"\1" * 32, True)
        # What was skipped had no answer; what was answered has none any more.
        answer_pair(lib, session, doubts, {"what": "back"})
        assert (session.taught, len(verdicts.labels())) == ({0: "copies"}, 1)
        answer_pair(lib, session, doubts, {"what": "back"})
        assert (session.taught, verdicts.labels()) == ({}, ())


def page(index: str) -> None:
    """What the script does for this page."""
    from simsearch.ui.pages.duplicates.page import show
    from simsearch.ui.shared import library

    show(library(index))


def until(at: AppTest, button: str) -> None:
    """Run until a button is there, as the page itself does while something is going on."""
    ended = time.monotonic() + 300
    while button not in [each.label for each in at.button]:
        assert time.monotonic() < ended, [each.value for each in (*at.markdown, *at.error)]
        time.sleep(0.2)
        at.run()


def press(at: AppTest, label: str) -> None:
    next(button for button in at.button if button.label == label).click().run()


def test_from_the_search_to_undo(ground: Ground) -> None:
    twins(ground)
    before = tree(ground.photos)
    at = AppTest.from_function(page, args=(str(ground.index),), default_timeout=300).run()
    at.radio[0].set_value("exact").run()
    press(at, "Look for copies")
    until(at, "Accept all exact ones (2)")
    press(at, "Accept all exact ones (2)")
    press(at, "Summary (2 decided)")
    until(at, "Do it")
    assert any("**2 copies** and 1 file that belong to them" in each.value for each in at.markdown)
    assert tree(ground.photos) == before
    press(at, "Do it")
    until(at, "Undo")
    assert any(
        each.value.startswith("**Done:** 2 copies and 1 file beside them set aside") for each in at.markdown
    )
    assert ground.known() == {"a/one.png", "a/two.png"}
    press(at, "Undo")
    until(at, "Accept all exact ones (2)")
    assert any(each.value.startswith("**Undone:** 2 pictures put back") for each in at.markdown)
    assert tree(ground.photos) == before
    at.button_group[0].set_value("History").run()
    assert any("undone" in each.value for each in at.markdown)
    assert not at.exception
    assert not at.error


def test_an_act_that_goes_on_is_shown_to_whoever_comes(ground: Ground) -> None:
    """Such as a visitor who loads the page again in the middle of it."""
    twins(ground)
    goes_on = threading.Event()
    begun = working.begin(ground.index, "Setting copies aside", lambda told: goes_on.wait(300))
    try:
        at = AppTest.from_function(page, args=(str(ground.index),), default_timeout=300).run()
        assert not at.button
        assert working.going_on(ground.index) is begun
    finally:
        goes_on.set()
    assert begun.wait(300)
    press(at.run(), "Look for copies")
    assert working.going_on(ground.index) is None


def test_options_that_mean_nothing_are_told_and_start_nothing(ground: Ground) -> None:
    twins(ground)
    at = AppTest.from_function(page, args=(str(ground.index),), default_timeout=300).run()
    next(area for area in at.text_area if area.label.startswith("Only below")).set_value(
        "/no/such/folder"
    ).run()
    assert "/no/such/folder" in at.error[0].value.replace("\\", "")
    assert next(button for button in at.button if button.label == "Look for copies").disabled
