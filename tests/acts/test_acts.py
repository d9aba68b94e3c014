"""Acts on files: each of them done, looked at, and taken back until every file is as it was."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import simsearch

from acts.ground import Ground, Tree, contents, left, make_ground, tree
from acts.stage import XMP
from simsearch import Index
from simsearch.dedup.acts.apply import apply_plan
from simsearch.dedup.acts.disk import rows
from simsearch.dedup.acts.disk.steps import perform
from simsearch.dedup.acts.purging.purge import purge
from simsearch.dedup.acts.reading import read_plan, write_plan
from simsearch.dedup.acts.records import ActReport, Plan, Step
from simsearch.dedup.acts.runs import list_runs, save_plan
from simsearch.dedup.acts.undo import undo
from simsearch.errors import (
    ActRefused,
    ActStopped,
    ExtraMissing,
    IndexLocked,
    NotIndexed,
    PlanUnreadable,
    RootMissing,
)
from simsearch.storage.lock import WriterLock

GONE = {"b/1.png", "b/1.xmp", "c/2.png"}


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    """a/1.png has a copy b/1.png with a sidecar; a/2.png and c/2.png are near copies of each other."""
    made = make_ground(tmp_path)
    made.put("a/1.png", 1)
    made.put("b/1.png", 1)
    made.put("b/1.xmp", b"<x>rating 5</x>")
    made.put("a/2.png", 2)
    made.put("c/2.png", 3)
    made.enter("a/1.png", "b/1.png", "a/2.png", "c/2.png")
    return made


def both(ground: Ground, **options: Any) -> Plan:
    near = ground.group("a/2.png", "c/2.png", level="near")
    return ground.plan(ground.group("a/1.png", "b/1.png"), near, **options)


def apply(ground: Ground, plan: Plan) -> ActReport:
    with Index.open(ground.index) as index:
        return apply_plan(index, plan, yes=True)


def take_back(ground: Ground, run: str | Path) -> ActReport:
    with Index.open(ground.index) as index:
        return undo(index, run)


def state(ground: Ground, plan: Plan) -> str:
    with Index.open(ground.index) as index:
        [found] = [run.state for run in list_runs(index) if run.run == plan.run]
    return found


def names(found: Tree) -> set[str]:
    return {name for name, entry in found.items() if entry[0] != "d"}


# Set aside


def test_copies_are_set_aside_with_what_belongs_to_them_and_come_back_as_they_were(ground: Ground) -> None:
    before = tree(ground.photos)
    plan = both(ground)
    assert tree(ground.photos) == before
    report = apply(ground, plan)
    sizes = sum(len(before[name][2]) for name in ("b/1.png", "b/1.xmp", "c/2.png"))
    assert (report.state, report.files, report.companions, report.bytes) == ("applied", 2, 1, sizes)
    assert report.left == ()
    after, run = tree(ground.photos), f".simsearch-trash/{plan.run}"
    for name in ("b/1.png", "b/1.xmp", "c/2.png"):
        assert name not in after
        assert after[f"{run}/{name}"] == before[name]
    assert ground.known() == {"a/1.png", "a/2.png"}
    back = take_back(ground, plan.run)
    assert (back.state, back.files, back.companions, back.left) == ("undone", 2, 1, ())
    assert tree(ground.photos) == before
    assert ground.known() == {"a/1.png", "b/1.png", "a/2.png", "c/2.png"}


def test_a_plan_is_the_same_after_it_was_written_and_read(ground: Ground) -> None:
    plan = both(ground)
    write_plan(plan, ground.work / "plan.json")
    assert read_plan(ground.work / "plan.json") == plan
    assert (plan.files, len(plan.groups)) == (2, 2)
    [first] = plan.groups[0].files
    assert first.facts.path == str(ground.photos / "b/1.png")
    assert first.target == str(ground.trash(plan) / "b/1.png")
    assert first.keeper.path == str(ground.photos / "a/1.png")
    assert [Path(item.target).name for item in first.companions] == ["1.xmp"]


def test_a_trash_alone_brings_everything_back_where_the_index_is_lost(ground: Ground) -> None:
    before = tree(ground.photos)
    plan = both(ground)
    apply(ground, plan)
    shutil.rmtree(ground.index)
    assert undo(None, ground.trash(plan)).files == 2
    assert tree(ground.photos) == before


@pytest.mark.parametrize("lost", [True, False])
def test_a_trash_alone_brings_everything_back_after_its_disk_was_mounted_elsewhere(
    ground: Ground, lost: bool
) -> None:
    before = tree(ground.photos)
    plan = both(ground)
    apply(ground, plan)
    if lost:
        shutil.rmtree(ground.index)
    elsewhere = ground.photos.rename(ground.work / "elsewhere")
    assert undo(None, elsewhere / ".simsearch-trash" / plan.run).state == "undone"
    assert tree(elsewhere) == before
    assert lost or state(ground, plan) == "undone"


@pytest.mark.parametrize("given", [True, False])
def test_what_is_undone_by_its_folder_is_undone_in_the_index(ground: Ground, given: bool) -> None:
    before, plan = tree(ground.photos), both(ground)
    apply(ground, plan)
    if given:
        report = take_back(ground, ground.trash(plan))
        assert ground.known() == {"a/1.png", "b/1.png", "a/2.png", "c/2.png"}
    else:
        report = undo(None, ground.trash(plan))
    assert (report.run, report.state, report.files, report.left) == (plan.run, "undone", 2, ())
    assert tree(ground.photos) == before
    assert state(ground, plan) == "undone"
    with Index.open(ground.index) as index, pytest.raises(ActRefused, match=r"not applied \(undone\)"):
        purge(index, plan.run, permanently=True)
    with pytest.raises(ActRefused, match="undone already"):
        apply(ground, plan)


def test_a_damaged_journal_is_no_bar_to_undoing_by_the_folder(ground: Ground) -> None:
    before, plan = tree(ground.photos), both(ground)
    apply(ground, plan)
    (ground.index / "acts" / plan.run / "journal.jsonl").write_bytes(b"?\n?\n")
    assert take_back(ground, ground.trash(plan)).state == "undone"
    assert tree(ground.photos) == before


def test_a_folder_of_a_trash_without_its_journal_is_refused(ground: Ground) -> None:
    plan = both(ground)
    apply(ground, plan)
    shutil.rmtree(ground.index)
    (ground.trash(plan) / "simsearch-undo.jsonl").unlink()
    before = tree(ground.photos)
    with pytest.raises(ActRefused, match=r"has no journal \(simsearch-undo\.jsonl\).*by hand"):
        undo(None, ground.trash(plan))
    assert tree(ground.photos) == before


def test_a_run_that_is_only_planned_is_not_undone(ground: Ground) -> None:
    plan = both(ground)
    with Index.open(ground.index) as index:
        save_plan(index.path, plan)
    with pytest.raises(ActRefused, match=r"only planned.*nothing to undo") as refused:
        take_back(ground, plan.run)
    assert str(refused.value).endswith(f"simsearch dedup --apply {plan.run} -i {ground.index}")
    assert state(ground, plan) == "planned"


def test_what_is_over_is_not_applied_and_what_is_half_done_is_named(ground: Ground) -> None:
    plan = both(ground)
    apply(ground, plan)
    ground.put("b/1.png", b"a new photo")
    assert take_back(ground, plan.run).state == "partly"
    with pytest.raises(ActRefused, match="partly undone") as refused:
        apply(ground, plan)
    assert str(refused.value).endswith(f"Finish that with: simsearch undo {plan.run} -i {ground.index}")
    (ground.photos / "b/1.png").unlink()
    take_back(ground, plan.run)
    again = both(ground)
    apply(ground, again)
    with Index.open(ground.index) as index:
        purge(index, again.run, permanently=True)
    with pytest.raises(ActRefused, match=r"purged already.*Make a new plan with: simsearch dedup --action"):
        apply(ground, again)


def test_applying_again_does_nothing_and_undoing_again_neither(ground: Ground) -> None:
    before, plan = tree(ground.photos), both(ground)
    first = apply(ground, plan)
    after = tree(ground.photos)
    assert apply(ground, plan) == first
    assert tree(ground.photos) == after
    take_back(ground, plan.run)
    assert take_back(ground, plan.run).state == "undone"
    assert tree(ground.photos) == before
    with pytest.raises(ActRefused, match="undone already"):
        apply(ground, plan)


@pytest.mark.parametrize("killed", [False, True])
def test_an_undo_that_was_interrupted_forgets_no_file(
    ground: Ground, killed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, plan = ground.known(), both(ground)
    apply(ground, plan)
    if killed:
        # A process that is killed comes to nothing of what it would have done in the end.
        monkeypatch.setattr(rows, "remember", lambda *given: None)

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with Index.open(ground.index) as index, pytest.raises(KeyboardInterrupt):
        undo(index, plan.run, progress=interrupt)
    monkeypatch.undo()
    take_back(ground, plan.run)
    assert ground.known() == known


def test_without_a_yes_nothing_is_touched(ground: Ground) -> None:
    before, plan = tree(ground.photos), both(ground)
    with Index.open(ground.index) as index, pytest.raises(ActRefused, match="2 files would go"):
        apply_plan(index, plan, yes=False)
    assert tree(ground.photos) == before


@pytest.mark.parametrize("mount_point", [False, True])
def test_a_disk_that_is_not_mounted_is_waited_for(ground: Ground, mount_point: bool) -> None:
    before, plan = tree(ground.photos), both(ground)
    ground.photos.rename(ground.work / "elsewhere")
    if mount_point:
        ground.photos.mkdir()
    with pytest.raises(RootMissing, match=r": (missing|empty), though"):
        apply(ground, plan)
    if mount_point:
        ground.photos.rmdir()
    (ground.work / "elsewhere").rename(ground.photos)
    assert apply(ground, plan).files == 2
    take_back(ground, plan.run)
    assert tree(ground.photos) == before


def test_a_second_writer_waits_his_turn(ground: Ground) -> None:
    plan = both(ground)
    with WriterLock(ground.index), pytest.raises(IndexLocked):
        apply(ground, plan)


def test_only_sure_copies_go(ground: Ground) -> None:
    for level in ("probably", "similar"):
        plan = ground.plan(ground.group("a/2.png", "c/2.png", level=level))
        assert (plan.files, left(plan)) == (0, {"2.png": "look at it first"})


def test_a_file_that_changed_is_left_and_the_rest_goes_on(ground: Ground) -> None:
    plan = both(ground)
    (ground.photos / "b/1.png").write_bytes(b"another picture")
    report = apply(ground, plan)
    assert [(Path(item.path).name, item.reason) for item in report.left] == [
        ("1.png", "it has changed since the plan was made")
    ]
    assert report.files == 1
    assert (ground.photos / "b/1.png").read_bytes() == b"another picture"
    assert (ground.photos / "b/1.xmp").exists()


def test_a_copy_stays_where_its_keeper_is_gone_or_has_changed(ground: Ground) -> None:
    plan = both(ground)
    (ground.photos / "a/1.png").unlink()
    (ground.photos / "a/2.png").write_bytes(b"edited")
    report = apply(ground, plan)
    assert report.files == 0
    kinds = [item.reason.split(":")[0] for item in report.left]
    assert kinds == [
        "what is kept in its stead is gone",
        "what is kept in its stead has changed or cannot be read",
    ]
    assert (ground.photos / "b/1.png").exists()


def test_a_plan_leaves_a_group_whose_keeper_cannot_be_read(ground: Ground) -> None:
    group = ground.group("a/1.png", "b/1.png")
    (ground.photos / "a/1.png").write_bytes(b"edited")
    assert left(ground.plan(group)) == {"1.png": "what is kept has changed since it was compared"}
    (ground.photos / "a/1.png").unlink()
    plan = ground.plan(group)
    assert plan.files == 0
    assert left(plan)["1.png"].startswith("what is kept cannot be read")


def test_what_took_a_files_place_in_the_last_moment_goes_back(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = both(ground)

    def late(step: Step, run: str, data: bytes = b"") -> None:
        if step.source.endswith("b/1.png"):
            Path(step.source).rename(ground.work / "away")
            Path(step.source).write_bytes(b"a new photo")
        perform(step, run, data)

    monkeypatch.setattr("simsearch.dedup.acts.apply.perform", late)
    [item] = apply(ground, plan).left
    assert item.reason == "it has changed since the plan was made"
    assert (ground.photos / "b/1.png").read_bytes() == b"a new photo"
    assert (ground.photos / "b/1.xmp").exists()


def test_a_file_that_is_put_at_an_old_place_after_a_crash_does_not_hide_the_first(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    for action in ("set-aside", "symlink"):
        plan = both(ground, action=action)

        def cut(step: Step, run: str, data: bytes = b"") -> None:
            os.makedirs(os.path.dirname(step.target), exist_ok=True)
            os.rename(step.source, step.target)
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr("simsearch.dedup.acts.apply.perform", cut)
            with pytest.raises(KeyboardInterrupt):
                apply(ground, plan)
        [gone] = {"b/1.png", "b/1.xmp"} - names(tree(ground.photos))
        ground.put(gone, b"new")
        apply(ground, plan)
        assert (ground.photos / gone).read_bytes() == b"new" or (ground.trash(plan) / gone).exists()
        assert b"new" in contents(ground.photos)
        (ground.photos / gone).unlink()
        assert take_back(ground, plan.run).state == "undone"


def test_a_file_that_only_got_another_inode_goes(ground: Ground) -> None:
    plan, copied = both(ground), ground.work / "copied"
    shutil.copy2(ground.photos / "b/1.png", copied)
    copied.replace(ground.photos / "b/1.png")
    before = tree(ground.photos)
    assert apply(ground, plan).left == ()
    take_back(ground, plan.run)
    assert tree(ground.photos) == before


def test_a_place_with_too_long_a_name_is_told_and_the_rest_goes(tmp_path: Path) -> None:
    ground, to, long = make_ground(tmp_path), tmp_path / "to", "x" * 251 + ".png"
    deep = ground.photos / "/".join(["d" * 240] * 15)
    deep.mkdir(parents=True)
    room = 4080 - len(os.fsencode(deep)) - len("/1.png")
    deepest = f"{deep.relative_to(ground.photos)}/{'e' * min(room, 240)}/{'f' * max(room - 242, 1)}/1.png"
    for name, seed in (
        ("a.png", 1),
        (f"b/{long}", 1),
        ("c.png", 2),
        (deepest, 2),
        ("d.png", 3),
        ("e.png", 3),
    ):
        ground.put(name, seed)
    ground.enter("a.png", f"b/{long}", "c.png", "d.png", "e.png")
    (to / "b").mkdir(parents=True)
    (to / "b" / long).write_bytes(b"another")
    before = tree(ground.photos)
    groups = (
        ground.group("a.png", f"b/{long}"),
        ground.group("c.png", deepest),
        ground.group("d.png", "e.png"),
    )
    for action, gone, kept in (("move", "e.png", f"b/{long}"), ("set-aside", "e.png", deepest)):
        plan = ground.plan(*groups, action=action, to=str(to) if action == "move" else None)
        report = apply(ground, plan)
        assert {item.path: item.reason for item in report.left} == {
            str(ground.photos / kept): "its new place would have too long a name"
        }
        assert not (ground.photos / gone).exists()
        assert take_back(ground, plan.run).state == "undone"
        assert tree(ground.photos) == before


def test_a_keeper_that_became_a_link_to_its_copy_is_none(ground: Ground) -> None:
    plan = both(ground)
    (ground.photos / "a/1.png").unlink()
    (ground.photos / "a/1.png").symlink_to("../b/1.png")
    [item] = apply(ground, plan).left
    assert item.reason.startswith("it is the same file as what is kept")
    assert (ground.photos / "b/1.png").exists()


def test_a_sidecar_that_is_new_keeps_its_picture(ground: Ground) -> None:
    plan = both(ground)
    ground.put("b/1.png.xmp", b"<x>new</x>")
    [item] = apply(ground, plan).left
    assert item.reason == "what belongs to it has changed since the plan was made"
    assert (ground.photos / "b/1.png").exists()
    assert (ground.photos / "b/1.xmp").exists()


def test_undo_never_replaces_what_is_there_now(ground: Ground) -> None:
    plan = both(ground)
    apply(ground, plan)
    ground.put("b/1.png", b"a new photo")
    report = take_back(ground, plan.run)
    assert report.state == "partly"
    [item] = report.left
    assert (
        item.reason == f"something else is at its old place now; it stays at {ground.trash(plan) / 'b/1.png'}"
    )
    assert (ground.photos / "b/1.png").read_bytes() == b"a new photo"
    assert (ground.photos / "b/1.xmp").exists()
    (ground.photos / "b/1.png").unlink()
    assert take_back(ground, plan.run).state == "undone"
    assert (ground.photos / "b/1.png").exists()


def test_undo_makes_the_folder_again_that_was_deleted_meanwhile(ground: Ground) -> None:
    before, plan = tree(ground.photos), both(ground)
    apply(ground, plan)
    (ground.photos / "b").rmdir()
    take_back(ground, plan.run)
    after = tree(ground.photos)
    assert {n: e for n, e in after.items() if e[0] != "d"} == {n: e for n, e in before.items() if e[0] != "d"}


def test_a_name_of_any_bytes_goes_and_comes_back(tmp_path: Path) -> None:
    ground = make_ground(tmp_path)
    ground.put("a.png", 1)
    odd = os.fsdecode(b"b/\xff\n\x1b \xe9.png")
    ground.put(odd, 1)
    ground.enter("a.png")
    before = tree(ground.photos)
    plan = ground.plan(ground.group("a.png", odd))
    write_plan(plan, tmp_path / "plan.json")
    apply(ground, read_plan(tmp_path / "plan.json"))
    assert odd not in tree(ground.photos)
    undo(None, ground.trash(plan))
    assert tree(ground.photos) == before


def test_runs_are_listed_with_their_state(ground: Ground) -> None:
    plan = both(ground)
    with Index.open(ground.index) as index:
        assert list_runs(index) == ()
        save_plan(index.path, plan)
        [run] = list_runs(index)
        assert (run.state, run.action, run.files, run.bytes) == ("planned", "set-aside", 2, plan.bytes)
    apply(ground, plan)
    assert state(ground, plan) == "applied"
    take_back(ground, plan.run)
    assert state(ground, plan) == "undone"
    (ground.index / "acts" / plan.run / "plan.json").write_text("{")
    assert state(ground, plan) == "damaged"


def test_a_run_that_is_not_there_is_told(ground: Ground) -> None:
    for name in ("20200101-000000-abcdef", "nonsense", str(ground.photos)):
        with pytest.raises(NotIndexed):
            take_back(ground, name)


# Move


def test_copies_are_moved_below_their_path_and_come_back(ground: Ground) -> None:
    before = tree(ground.photos)
    to = ground.work / "to"
    plan = both(ground, action="move", to=str(to))
    apply(ground, plan)
    found = tree(to)
    for name in ("b/1.png", "b/1.xmp", "c/2.png"):
        assert found[name] == before[name]
    with Index.open(ground.index) as index, pytest.raises(ActRefused, match="moved its files"):
        purge(index, plan.run, permanently=True)
    take_back(ground, plan.run)
    assert tree(ground.photos) == before
    assert not to.exists()


def test_a_name_that_is_taken_is_made_free_for_all_that_belong_together(ground: Ground) -> None:
    before = tree(ground.photos)
    to = ground.work / "to"
    plan = both(ground, action="move", to=str(to))
    (to / "b").mkdir(parents=True)
    (to / "b/1.xmp").write_bytes(b"of another")
    apply(ground, plan)
    assert (to / "b/1.xmp").read_bytes() == b"of another"
    assert (to / "b/1 (2).xmp").read_bytes() == b"<x>rating 5</x>"
    assert (to / "b/1 (2).png").exists()
    take_back(ground, plan.run)
    assert tree(ground.photos) == before
    assert names(tree(to)) == {"b/1.xmp"}


def test_a_move_to_another_disk_copies_compares_and_deletes(
    ground: Ground, tmp_path_factory: pytest.TempPathFactory
) -> None:
    disk = tmp_path_factory.mktemp("disk")
    if disk.stat().st_dev == ground.photos.stat().st_dev:
        pytest.skip("there is no second disk")
    to = disk / "to"
    before = tree(ground.photos)
    plan = both(ground, action="move", to=str(to))
    assert apply(ground, plan).files == 2
    assert [entry[:4] for entry in (tree(to)["b/1.png"], tree(to)["b/1.xmp"])] == [
        before["b/1.png"][:4],
        before["b/1.xmp"][:4],
    ]
    assert not (ground.photos / "b/1.png").exists()
    assert take_back(ground, plan.run).files == 2
    assert not to.exists()
    after = tree(ground.photos)
    assert {name: entry[:4] for name, entry in after.items()} == {n: entry[:4] for n, entry in before.items()}


@pytest.mark.parametrize("to", [None, "a/1.png", "/", ".simsearch-trash/x", "reference/x"])
def test_a_folder_to_move_to_that_will_not_do_is_refused(ground: Ground, to: str | None) -> None:
    place = None if to is None else str(ground.photos / to)
    with pytest.raises(ActRefused):
        both(ground, action="move", to=place, reference=(str(ground.photos / "reference"),))


def test_an_unknown_action_and_a_needless_folder_are_refused(ground: Ground) -> None:
    with pytest.raises(ActRefused, match="Choose one of: set-aside, move, hardlink, symlink"):
        both(ground, action="delete")
    with pytest.raises(ActRefused, match="moves nothing"):
        both(ground, to=str(ground.work))


# Links


@pytest.mark.parametrize("action", ["hardlink", "symlink"])
def test_a_link_takes_the_place_of_the_same_bytes_and_gives_it_back(ground: Ground, action: str) -> None:
    before = tree(ground.photos)
    plan = both(ground, action=action)
    assert left(plan) == {"2.png": "not the same bytes: a link would lose this version"}
    apply(ground, plan)
    after = tree(ground.photos)
    if action == "hardlink":
        assert after["b/1.png"] == after["a/1.png"] == before["a/1.png"]
    else:
        assert (after["b/1.png"][0], after["b/1.png"][2]) == ("l", b"../a/1.png")
    assert after["b/1.xmp"] == before["b/1.xmp"]
    assert after[f".simsearch-trash/{plan.run}/b/1.png"] == before["b/1.png"]
    assert ground.known() == {"a/1.png", "b/1.png", "a/2.png", "c/2.png"}
    take_back(ground, plan.run)
    assert tree(ground.photos) == before


def test_undo_of_a_hard_link_leaves_the_last_name_of_edited_bytes(ground: Ground) -> None:
    plan = both(ground, action="hardlink")
    apply(ground, plan)
    (ground.photos / "a/1.png").unlink()
    with (ground.photos / "b/1.png").open("ab") as file:
        file.write(b"edited")
    edited = (ground.photos / "b/1.png").read_bytes()
    [item] = take_back(ground, plan.run).left
    assert item.reason.startswith("something else is at its old place")
    assert (ground.photos / "b/1.png").read_bytes() == edited
    assert (ground.trash(plan) / "b/1.png").exists()


# Purge


def test_purge_deletes_what_was_set_aside_and_nothing_else(ground: Ground) -> None:
    before = tree(ground.photos)
    plan = both(ground)
    with Index.open(ground.index) as index:
        save_plan(index.path, plan)
        with pytest.raises(ActRefused, match="not applied"):
            purge(index, plan.run, permanently=True)
        apply_plan(index, plan, yes=True)
        report = purge(index, plan.run, permanently=True)
        assert (report.state, report.files, report.companions, report.left) == ("purged", 2, 1, ())
        assert purge(index, plan.run, permanently=True).state == "purged"
        with pytest.raises(ActRefused, match="was purged"):
            undo(index, plan.run)
    assert names(tree(ground.photos)) == names(before) - GONE
    assert not (ground.photos / ".simsearch-trash").exists()


def test_the_last_physical_copy_is_never_purged(ground: Ground) -> None:
    plan = both(ground)
    apply(ground, plan)
    (ground.photos / "a/1.png").unlink()
    with Index.open(ground.index) as index:
        report = purge(index, plan.run, permanently=True)
    assert (report.state, report.files) == ("partly", 1)
    assert {Path(item.path).name for item in report.left} == {"1.png", "1.xmp"}
    assert (ground.trash(plan) / "b/1.png").exists()
    back = take_back(ground, plan.run)
    assert [(Path(item.path).name, item.reason) for item in back.left] == [("2.png", "it was purged")]
    assert (ground.photos / "b/1.png").exists()


def test_what_was_edited_in_the_trash_is_not_purged(ground: Ground) -> None:
    plan = both(ground)
    apply(ground, plan)
    with (ground.trash(plan) / "c/2.png").open("r+b") as file:
        file.write(b"edited")
    with Index.open(ground.index) as index:
        [item] = purge(index, plan.run, permanently=True).left
    assert item.reason == "it is not the file that was set aside"
    assert (ground.trash(plan) / "c/2.png").read_bytes().startswith(b"edited")


def test_what_the_systems_trash_restores_comes_back(ground: Ground) -> None:
    before = tree(ground.photos)
    plan = both(ground)
    apply(ground, plan)
    data, home = ground.work / "data", str(ground.work)
    done = simsearch("purge", plan.run, "--yes", "-i", ground.index, HOME=home, XDG_DATA_HOME=str(data))
    assert done.returncode == 0, done.stderr
    assert state(ground, plan) == "purged"
    assert not (ground.photos / ".simsearch-trash").exists()
    files = data / "Trash" / "files"
    assert contents(files) == {before[name][2] for name in GONE}
    with pytest.raises(ActRefused, match=r"was purged.*restores to the hidden folder") as refused:
        take_back(ground, plan.run)
    assert str(ground.trash(plan)) in str(refused.value)
    assert state(ground, plan) == "purged"
    # What a file manager does: each file goes back to where it was, and so far only one does.
    (ground.trash(plan) / "c").mkdir(parents=True)
    [copy] = [path for path in files.iterdir() if path.read_bytes() == before["c/2.png"][2]]
    told = (data / "Trash" / "info" / f"{copy.name}.trashinfo").read_text()
    assert f"Path={ground.trash(plan) / 'c/2.png'}" in told
    copy.rename(ground.trash(plan) / "c/2.png")
    report = take_back(ground, plan.run)
    assert (report.state, report.files) == ("partly", 1)
    assert {(Path(item.path).name, item.reason) for item in report.left} == {
        ("1.png", "it was purged"),
        ("1.xmp", "it was purged"),
    }
    after = tree(ground.photos)
    assert after["c/2.png"] == before["c/2.png"]
    assert ".simsearch-trash" not in after


def test_a_merge_is_undone_when_all_that_was_purged_is_back(ground: Ground) -> None:
    ground.put("b/1.xmp", XMP % 5)
    before = tree(ground.photos)
    plan = both(ground, merge_metadata=True)
    apply(ground, plan)
    kept = Path(shutil.copytree(ground.trash(plan), ground.work / "kept"))
    with Index.open(ground.index) as index:
        assert purge(index, plan.run, permanently=True).state == "purged"
    assert (ground.photos / "a/1.xmp").exists()
    shutil.copytree(kept, ground.trash(plan))
    report = take_back(ground, plan.run)
    assert (report.state, report.left) == ("undone", ())
    assert {n: e[:4] for n, e in tree(ground.photos).items()} == {n: e[:4] for n, e in before.items()}


def test_purge_without_send2trash_is_one_line(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = both(ground)
    apply(ground, plan)
    monkeypatch.setitem(__import__("sys").modules, "send2trash", None)
    with Index.open(ground.index) as index, pytest.raises(ExtraMissing, match="pip install send2trash"):
        purge(index, plan.run)
    assert state(ground, plan) == "applied"


# Metadata


@pytest.mark.parametrize("there", [False, True])
def test_the_keepers_sidecar_is_written_before_the_copies_go_and_comes_back(
    ground: Ground, there: bool
) -> None:
    ground.put("b/1.xmp", XMP % 5)
    if there:
        ground.put("a/1.xmp", XMP % 2)
    before = tree(ground.photos)
    plan = both(ground, merge_metadata=True)
    merge = plan.groups[0].merge
    assert merge is not None
    assert merge.lines
    assert tree(ground.photos) == before
    apply(ground, plan)
    assert (ground.photos / "a/1.xmp").read_bytes() == merge.xmp
    assert b"5" in merge.xmp
    if there:
        assert tree(ground.trash(plan))["a/1.xmp"] == before["a/1.xmp"]
    take_back(ground, plan.run)
    assert tree(ground.photos) == before


def test_copies_stay_where_the_keepers_sidecar_has_changed_meanwhile(ground: Ground) -> None:
    ground.put("b/1.xmp", XMP % 5)
    plan = both(ground, merge_metadata=True)
    ground.put("a/1.xmp", b"new")
    [item] = apply(ground, plan).left
    assert item.reason.startswith("the keeper's sidecar")
    assert (ground.photos / "a/1.xmp").read_bytes() == b"new"
    assert (ground.photos / "b/1.png").exists()


def test_a_keepers_sidecar_that_cannot_be_read_keeps_its_group_alone(ground: Ground) -> None:
    ground.put("b/1.xmp", XMP % 5)
    ground.put("a/1.xmp", b"<!DOCTYPE x>")
    plan = both(ground, merge_metadata=True)
    reason = left(plan)["1.png"]
    assert reason.startswith("its notes would go to the keeper's sidecar, which cannot be read: ")
    assert f"{ground.photos / 'a/1.xmp'}: " in reason
    assert [Path(file.facts.path).name for group in plan.groups for file in group.files] == ["2.png"]
    assert apply(ground, plan).files == 1
    assert (ground.photos / "a/1.xmp").read_bytes() == b"<!DOCTYPE x>"


def test_a_sidecar_is_as_private_as_it_was(ground: Ground) -> None:
    ground.put("b/1.xmp", XMP % 5)
    ground.put("a/1.xmp", XMP % 2).chmod(0o600)
    apply(ground, both(ground, merge_metadata=True))
    assert (ground.photos / "a/1.xmp").stat().st_mode & 0o777 == 0o600


def test_a_sidecar_of_two_keepers_gets_the_notes_of_one_group_at_a_time(ground: Ground) -> None:
    ground.put("a/1.tif", b"developed")
    ground.put("d/1.tif", b"developed")
    ground.put("b/1.xmp", XMP % 3)
    ground.put("d/1.xmp", XMP % 5)
    ground.put("a/1.xmp", XMP % 1)
    groups = ground.group("a/1.png", "b/1.png"), ground.group("a/1.tif", "d/1.tif")
    plan = ground.plan(*groups, merge_metadata=True)
    assert [group.merge and group.merge.sidecar for group in plan.groups] == [
        str(ground.photos / "a/1.xmp")
    ] * 2
    [item] = apply(ground, plan).left
    assert item.path == str(ground.photos / "d/1.tif")
    assert item.reason.endswith("got the notes of another group; make a new plan")
    assert apply(ground, ground.plan(groups[1], merge_metadata=True)).left == ()
    assert b'"5"' in (ground.photos / "a/1.xmp").read_bytes()


def put_two_shots(ground: Ground) -> None:
    """A RAW file and its JPEG in a, and copies of both in b."""
    for place in ("a", "b"):
        ground.put(f"{place}/IMG.CR2", b"raw")
        ground.put(f"{place}/IMG.JPG", b"jpeg")


def test_each_half_of_a_shot_gets_the_notes_of_its_own_copy(ground: Ground) -> None:
    # darktable and digiKam write a sidecar for each half.
    put_two_shots(ground)
    ground.put("b/IMG.CR2.xmp", XMP % 5)
    ground.put("b/IMG.JPG.xmp", XMP % 4)
    ground.enter("a/IMG.JPG", "b/IMG.JPG", "a/IMG.CR2", "b/IMG.CR2")
    before = tree(ground.photos)
    groups = ground.group("a/IMG.CR2", "b/IMG.CR2"), ground.group("a/IMG.JPG", "b/IMG.JPG")
    plan = ground.plan(*groups, merge_metadata=True)
    assert apply(ground, plan).left == ()
    assert b'"5"' in (ground.photos / "a/IMG.CR2.xmp").read_bytes()
    assert b'"4"' in (ground.photos / "a/IMG.JPG.xmp").read_bytes()
    take_back(ground, plan.run)
    assert tree(ground.photos) == before


def test_notes_of_a_raw_file_that_is_not_indexed_go_to_its_jpegs_sidecar(ground: Ground) -> None:
    put_two_shots(ground)
    ground.put("b/IMG.CR2.xmp", XMP % 5)
    ground.enter("a/IMG.JPG", "b/IMG.JPG")
    apply(ground, ground.plan(ground.group("a/IMG.JPG", "b/IMG.JPG"), merge_metadata=True))
    assert b'"5"' in (ground.photos / "a/IMG.JPG.xmp").read_bytes()


def test_a_shot_stays_whole_where_the_sidecar_of_one_half_cannot_be_read(ground: Ground) -> None:
    put_two_shots(ground)
    ground.put("b/IMG.CR2.xmp", XMP % 5)
    ground.put("a/IMG.CR2.xmp", b"<!DOCTYPE x>")
    ground.enter("a/IMG.JPG", "b/IMG.JPG", "a/IMG.CR2", "b/IMG.CR2")
    groups = ground.group("a/IMG.CR2", "b/IMG.CR2"), ground.group("a/IMG.JPG", "b/IMG.JPG")
    plan = ground.plan(*groups, merge_metadata=True)
    assert plan.files == 0
    assert "which cannot be read" in str(left(plan))


def test_a_sidecar_that_was_edited_after_the_merge_is_not_undone(ground: Ground) -> None:
    ground.put("b/1.xmp", XMP % 5)
    plan = both(ground, merge_metadata=True)
    apply(ground, plan)
    ground.put("a/1.xmp", b"edited")
    [item] = take_back(ground, plan.run).left
    assert item.reason == "the sidecar has been changed since, so it stays"
    assert (ground.photos / "a/1.xmp").read_bytes() == b"edited"
    assert (ground.photos / "b/1.xmp").read_bytes() == XMP % 5


def test_what_a_purged_copy_told_stays_in_the_keepers_sidecar(ground: Ground) -> None:
    ground.put("b/1.xmp", XMP % 5)
    plan = both(ground, merge_metadata=True)
    apply(ground, plan)
    (ground.trash(plan) / "b/1.png").write_bytes(b"edited")
    with Index.open(ground.index) as index:
        report = purge(index, plan.run, permanently=True)
    assert [item.reason for item in report.left] == ["it is not the file that was set aside"]
    take_back(ground, plan.run)
    assert b"5" in (ground.photos / "a/1.xmp").read_bytes()
    assert (ground.photos / "b/1.png").read_bytes() == b"edited"


# Journals


def test_a_cut_last_line_is_normal_and_any_other_damage_is_told(ground: Ground) -> None:
    before, plan = tree(ground.photos), both(ground)
    apply(ground, plan)
    journal = ground.index / "acts" / plan.run / "journal.jsonl"
    whole = journal.read_bytes()
    flipped = bytearray(whole)
    flipped[60] ^= 1
    journal.write_bytes(flipped)
    with pytest.raises(PlanUnreadable, match="line 1"):
        take_back(ground, plan.run)
    assert state(ground, plan) == "damaged"
    journal.write_bytes(whole[:-9])
    take_back(ground, plan.run)
    assert tree(ground.photos) == before


def test_a_journal_behind_a_link_is_not_written(ground: Ground) -> None:
    plan, outside = both(ground), ground.work / "outside"
    outside.mkdir()
    (ground.index / "acts").symlink_to(outside)
    with pytest.raises(Exception, match="is a link"):
        apply(ground, plan)
    assert list(outside.iterdir()) == []


def test_a_trash_that_is_a_link_takes_nothing(ground: Ground) -> None:
    before, outside = contents(ground.photos), ground.work / "outside"
    outside.mkdir()
    (ground.photos / ".simsearch-trash").symlink_to(outside)
    with pytest.raises((ActRefused, ActStopped)):
        apply(ground, both(ground))
    assert contents(ground.photos) == before
    assert list(outside.iterdir()) == []
