"""Plans that lie, disks that are full and rights that are lost: words, no file touched or lost."""

from __future__ import annotations

import copy
import json
import os
import random
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import REPO
from test_places import without_privileges
from trouble.disk import fill

from acts.ground import Ground, contents, make_ground, tree
from acts.stage import XMP
from simsearch import Index, SimsearchError
from simsearch.dedup.acts.apply import apply_plan
from simsearch.dedup.acts.journal import as_line, read_history
from simsearch.dedup.acts.purging.purge import purge
from simsearch.dedup.acts.reading import encode, parse_plan, read_plan, write_plan
from simsearch.dedup.acts.records import Plan
from simsearch.dedup.acts.runs import list_runs, stopped
from simsearch.dedup.acts.undo import undo
from simsearch.errors import ActRefused, ActStopped, PlanUnreadable

Faults = Callable[..., None]


def filled(work: Path) -> Ground:
    """Two groups; the copy of the first has a sidecar."""
    ground = make_ground(work)
    for name, data in (("a/1.jpg", b"one"), ("b/1.jpg", b"one"), ("a/2.jpg", b"two"), ("c/2.jpg", b"2")):
        ground.put(name, data)
    ground.put("b/1.xmp", XMP % 5)
    ground.enter("a/1.jpg", "b/1.jpg", "a/2.jpg", "c/2.jpg")
    return ground


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return filled(tmp_path)


def planned(ground: Ground, **options: Any) -> Plan:
    near = ground.group("a/2.jpg", "c/2.jpg", level="near")
    return ground.plan(ground.group("a/1.jpg", "b/1.jpg"), near, merge_metadata=True, **options)


def apply(ground: Ground, plan: Plan) -> None:
    with Index.open(ground.index) as index:
        apply_plan(index, plan, yes=True)


# Plans that lie


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) in a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(items):
        yield value, key
        yield from places(inner)


def mutated(rng: random.Random, plan: Any, bad: list[Any]) -> Any:
    """The plan with one to three values that are others, gone, doubled, or of another place in it."""
    changed = copy.deepcopy(plan)
    for _ in range(rng.randint(1, 3)):
        container, key = rng.choice(list(places(changed)))
        other, there = rng.choice(list(places(changed)))
        how = rng.randrange(4)
        if how == 0:
            container[key] = copy.deepcopy(rng.choice(bad))
        elif how == 1 and isinstance(container, dict):
            container.pop(key)
        elif how == 1:
            container.append(copy.deepcopy(container[key]))
        else:
            # Of the same kind more often than not, so that it gets past the first look.
            if type(other[there]) is type(container[key]) or how == 2:
                container[key] = copy.deepcopy(other[there])
    return changed


def bad_values(ground: Ground) -> list[Any]:
    paths = [str(path) for path in (ground.photos / "a/1.jpg", ground.work / "outside.jpg", ground.photos)]
    odd = ["", "..", "/", "/etc/passwd", f"{paths[0]}/../../../outside.jpg", "a\0b", "\ud800", "x" * 5000]
    return [*paths, *odd, None, True, -1, 0, 1 << 70, 1.5, [], {}, [[]], "near", "bytes", "move", "hardlink"]


def try_plans(ground: Ground, texts: Iterator[bytes]) -> tuple[int, int]:
    """Read and apply each; how many there were and how many were refused. Nothing outside may change."""
    outside = ground.work / "outside.jpg"
    outside.write_bytes(b"outside")
    before, had = tree(ground.photos), contents(ground.photos)
    tried = refused = 0
    for text in texts:
        tried += 1
        (ground.work / "plan.json").write_bytes(text)
        try:
            apply(ground, read_plan(ground.work / "plan.json"))
        except SimsearchError:
            refused += 1
        assert outside.read_bytes() == b"outside"
        # What an accepted plan did is undone, and everything is there again.
        assert contents(ground.photos, ground.work / "to") >= had, text
        with Index.open(ground.index) as index:
            for run in list_runs(index):
                if run.state not in ("planned", "damaged"):
                    undo(index, run.run)
        shutil.rmtree(ground.index / "acts", ignore_errors=True)
        assert tree(ground.photos) == before, text
    return tried, refused


def lies(ground: Ground, n: int, seed: int) -> Iterator[bytes]:
    rng = random.Random(seed)
    plans = [encode(planned(ground)), encode(planned(ground, action="move", to=str(ground.work / "to")))]
    for i in range(n):
        text = json.dumps(mutated(rng, plans[i % 2], bad_values(ground))).encode()
        if i % 5 == 0:
            text = text[: rng.randrange(len(text))]
        elif i % 5 == 1:
            at = rng.randrange(len(text))
            text = text[:at] + bytes([rng.randrange(256)]) + text[at + 1 :]
        yield text


def test_a_plan_that_lies_ends_in_words_and_harms_nothing(ground: Ground) -> None:
    tried, refused = try_plans(ground, lies(ground, 60, 1))
    assert tried == 60
    assert 40 < refused < tried


@pytest.mark.proof
def test_many_plans_that_lie(ground: Ground, faults: Faults) -> None:
    tried, refused = try_plans(ground, lies(ground, 1500, 2))
    assert 1000 < refused < tried
    faults("a plan that was edited, cut or damaged", tried=tried, told=refused)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"version": 1, "version": 1}',
        b"1" * 5000,
        b"\xff\xfe",
        b"NaN",
    ],
)
def test_what_is_no_plan_is_told(ground: Ground, text: bytes) -> None:
    (ground.work / "plan.json").write_bytes(text)
    with pytest.raises(PlanUnreadable, match="Nothing was touched"):
        read_plan(ground.work / "plan.json")
    with pytest.raises(PlanUnreadable, match="Cannot read"):
        read_plan(ground.work)


def test_a_plan_in_which_two_files_keep_each_other_is_refused(ground: Ground) -> None:
    plan = planned(ground)
    [file] = plan.groups[0].files
    target = str(ground.trash(plan) / "a/1.jpg")
    other = replace(file, facts=file.keeper, keeper=file.facts, target=target, companions=())
    group = replace(plan.groups[0], files=(file, other))
    with pytest.raises(ActRefused, match="goes as another"):
        apply(ground, replace(plan, groups=(group,)))
    assert (ground.photos / "a/1.jpg").exists()
    assert (ground.photos / "b/1.jpg").exists()


def test_a_plan_does_not_take_strangers_along(ground: Ground) -> None:
    plan = planned(ground)
    [file] = plan.groups[0].files
    [sidecar] = file.companions
    stranger = replace(sidecar.facts, path=str(ground.photos / "b/other.xmp"))
    ground.put("b/other.xmp", XMP % 5)
    target = str(ground.trash(plan) / "b/other.xmp")
    taken = replace(file, companions=(replace(sidecar, facts=stranger, target=target),))
    with pytest.raises(ActRefused, match="does not belong"):
        apply(ground, replace(plan, groups=(replace(plan.groups[0], files=(taken,)),)))


def test_a_plan_of_other_roots_is_refused(ground: Ground, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = filled(tmp_path_factory.mktemp("other"))
    with pytest.raises(ActRefused, match="not below a folder of the index"):
        apply(ground, planned(other))


def test_another_plan_under_the_name_of_a_run_is_refused(ground: Ground) -> None:
    plan = planned(ground)
    apply(ground, plan)
    with pytest.raises(ActRefused, match="has another plan"):
        apply(ground, replace(plan, groups=plan.groups[:1]))


def lead(trash: Path, to: Path) -> None:
    """Make the notes of a trash say that all came from this folder."""
    notes = trash / "simsearch-undo.jsonl"
    lines = [json.loads(line)["line"] for line in notes.read_bytes().splitlines()]
    for line in lines:
        if "step" in line:
            line["step"]["source"] = str(to / Path(line["step"]["source"]).name)
    notes.write_bytes(b"".join(map(as_line, lines)))


def test_a_plan_names_no_other_places_than_those_its_paths_give(ground: Ground) -> None:
    plan = planned(ground)
    [file] = plan.groups[0].files
    for name in ("b/other.jpg", "c/1.jpg", "1.jpg", "b/1 (0).jpg", "b/1 (2).jpg"):
        # The last one is a free name, but its sidecar goes by another.
        other = replace(file, target=str(ground.trash(plan) / name))
        with pytest.raises(ActRefused, match="another place than the one that its path gives it"):
            apply(ground, replace(plan, groups=(replace(plan.groups[0], files=(other,)),)))
    merge = plan.groups[0].merge
    assert merge is not None
    elsewhere = replace(merge, target=str(ground.trash(plan) / "b/1.xmp"))
    with pytest.raises(ActRefused, match=r"another place|to one place"):
        apply(ground, replace(plan, groups=(replace(plan.groups[0], merge=elsewhere),)))
    assert apply_numbered(ground, plan) == 1


def apply_numbered(ground: Ground, plan: Plan) -> int:
    """Apply the first group under the names that are given where others are taken."""
    [file] = plan.groups[0].files
    [sidecar] = file.companions
    sidecar = replace(sidecar, target=str(ground.trash(plan) / "b/1 (3).xmp"))
    file = replace(file, target=str(ground.trash(plan) / "b/1 (3).jpg"), companions=(sidecar,))
    apply(ground, replace(plan, groups=(replace(plan.groups[0], files=(file,)),)))
    return len(list(ground.trash(plan).glob("b/1 (3).jpg")))


def test_a_plan_moves_nothing_into_the_index_or_a_trash(ground: Ground) -> None:
    plan = planned(ground, action="move", to=str(ground.work / "to"))
    for to in (ground.index / "to", ground.photos / ".simsearch-trash" / "to"):
        text = json.dumps(encode(plan)).replace(str(ground.work / "to"), str(to))
        with pytest.raises(ActRefused, match="Nothing is moved to"):
            apply(ground, parse_plan(text))
        assert not to.exists()


def test_a_folder_of_moved_files_puts_them_back_below_folders_of_an_index_only(ground: Ground) -> None:
    before, to = tree(ground.photos), ground.work / "to"
    plan = planned(ground, action="move", to=str(to))
    apply(ground, plan)
    trash = to / ".simsearch-trash" / plan.run
    shutil.rmtree(ground.index / "acts")
    notes = (trash / "simsearch-undo.jsonl").read_bytes()
    with pytest.raises(ActRefused, match=r"lies outside.*simsearch undo FOLDER -i INDEX"):
        undo(None, trash)
    for place in (ground.work / "elsewhere", ground.index / "acts" / plan.run):
        lead(trash, place)
        with Index.open(ground.index) as index, pytest.raises(ActRefused, match="lies outside"):
            undo(index, trash)
        assert not place.exists()
    (trash / "simsearch-undo.jsonl").write_bytes(notes)
    with Index.open(ground.index) as index:
        assert undo(index, trash).state == "undone"
    assert {n: e for n, e in tree(ground.photos).items() if n in before and n != "a/1.xmp"} == before


def test_a_run_of_moved_files_is_undone_from_its_index_and_the_refusal_says_how(ground: Ground) -> None:
    before, to = tree(ground.photos), ground.work / "to"
    plan = planned(ground, action="move", to=str(to))
    apply(ground, plan)
    with pytest.raises(ActRefused, match="lies outside") as refused:
        undo(None, to / ".simsearch-trash" / plan.run)
    assert str(refused.value).endswith(f"simsearch undo {plan.run} -i {ground.index}")
    with Index.open(ground.index) as index:
        assert undo(index, to / ".simsearch-trash" / plan.run).state == "undone"
    assert tree(ground.photos) == before


@pytest.mark.parametrize(
    "line",
    [
        {"kind": "done", "number": [1]},
        {"kind": "done", "number": True},
        {"kind": "done", "number": 1.0},
        {"kind": "trash", "path": "\ud800"},
        {"kind": "folder", "path": "../x"},
        {"kind": ["done"], "number": 1},
        {"kind": "phase", "phase": []},
        {"kind": "begin", "run": "20200101-000000-abcdef", "action": "move", "home": 7},
        {"kind": "begin", "run": "20200101-000000-abcdef", "action": "move", "home": "/a/../b"},
        {"kind": "begin", "run": "20200101-000000-abcdef", "action": "move", "index": "index"},
    ],
)
def test_a_line_with_a_right_checksum_may_still_lie(ground: Ground, line: dict[str, Any]) -> None:
    plan = planned(ground)
    apply(ground, plan)
    path = ground.index / "acts" / plan.run / "journal.jsonl"
    path.write_bytes(path.read_bytes() + as_line(line) + as_line({"kind": "phase", "phase": "applied"}))
    with pytest.raises(PlanUnreadable, match="cannot be read: line"):
        read_history(os.fsencode(path))


def try_notes(ground: Ground, n: int, seed: int) -> tuple[int, int]:
    """Undo by notes that lie, with right checksums; how many there were and how many were refused."""
    rng, plan = random.Random(seed), planned(ground)
    apply(ground, plan)
    shutil.rmtree(ground.index)
    (ground.work / "outside.jpg").write_bytes(b"outside")
    kept = Path(shutil.copytree(ground.photos, ground.work / "kept"))
    around = tree(kept), {path.name for path in ground.work.iterdir()}
    notes = ground.trash(plan) / "simsearch-undo.jsonl"
    lines = [json.loads(line)["line"] for line in notes.read_bytes().splitlines()]
    refused = 0
    for _ in range(n):
        changed = mutated(rng, lines, bad_values(ground))
        dicts = [line for line in changed if isinstance(line, dict)]
        notes.write_bytes(b"".join(map(as_line, dicts)))
        try:
            undo(None, ground.trash(plan))
        except SimsearchError:
            refused += 1
        assert (tree(kept), {path.name for path in ground.work.iterdir()}) == around, changed
        assert contents(ground.photos) >= {b"one", b"two", b"2", XMP % 5}, changed
        assert (ground.work / "outside.jpg").read_bytes() == b"outside"
        shutil.rmtree(ground.photos)
        shutil.copytree(kept, ground.photos)
    return n, refused


def test_notes_that_lie_end_in_words_and_harm_nothing(ground: Ground) -> None:
    tried, refused = try_notes(ground, 60, 3)
    assert 20 < refused < tried


@pytest.mark.proof
def test_many_notes_that_lie(ground: Ground, faults: Faults) -> None:
    tried, refused = try_notes(ground, 1500, 4)
    assert 500 < refused < tried
    faults("the notes of a trash that were edited", tried=tried, told=refused)


def test_a_trash_that_lies_moves_nothing_outside_of_its_folder(ground: Ground) -> None:
    plan = planned(ground)
    apply(ground, plan)
    shutil.rmtree(ground.index)
    lead(ground.trash(plan), ground.work / "elsewhere")
    before = tree(ground.photos)
    with pytest.raises(ActRefused, match="lies outside"):
        undo(None, ground.trash(plan))
    assert tree(ground.photos) == before
    assert not (ground.work / "elsewhere").exists()


def test_every_cut_of_a_journal_is_read_as_its_whole_lines(ground: Ground) -> None:
    plan = planned(ground)
    apply(ground, plan)
    path = ground.index / "acts" / plan.run / "journal.jsonl"
    data = path.read_bytes()
    for end in range(0, len(data), 37):
        path.write_bytes(data[:end])
        assert read_history(os.fsencode(path)).end == data[:end].rfind(b"\n") + 1


def test_a_plan_survives_every_byte_in_a_name() -> None:
    odd = os.fsdecode(bytes(byte for byte in range(1, 256) if byte != ord("/")))
    plan = Plan(1, "20200101-000000-abcdef", "/index/" + odd, "set-aside", None, ())
    assert parse_plan(json.dumps(encode(plan))) == plan


# Rights and space


class Child:
    """A process for which permissions count."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "acts.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(REPO / "tests"), str(REPO)])},
            preexec_fn=without_privileges,
        )

    def __call__(self, command: str, ground: Ground, what: str) -> tuple[int, str]:
        """The exit status of a command and what it said."""
        errors = ground.work / "errors"
        task = {"environment": {}, "action": [command, str(ground.index), what], "errors": str(errors)}
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(task) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline()), errors.read_text()


@pytest.fixture(scope="module")
def child() -> Iterator[Child]:
    child = Child()
    yield child
    child.process.communicate()


@pytest.mark.parametrize("locked", ["b", ".", "a"])
def test_a_folder_that_may_not_be_written_is_told_in_the_plan(tmp_path: Path, locked: str) -> None:
    (tmp_path / "own").mkdir()
    ground = make_ground(tmp_path / "own")
    for name in ("a/1.png", "b/1.png"):
        ground.put(name, 1)
    ground.put("b/1.xmp", XMP % 4)
    ground.enter("a/1.png", "b/1.png")
    (ground.photos / locked).chmod(0o500)
    prefer = ("--prefer", str(ground.photos / "a"))
    options = ("--exact", "--action", "set-aside", "--merge-metadata", "--json", *prefer)
    told = subprocess.run(
        [sys.executable, "-m", "simsearch", "dedup", *options, "-i", str(ground.index)],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(REPO)},
        preexec_fn=without_privileges,
        check=True,
    )
    (ground.photos / locked).chmod(0o755)
    [group] = json.loads(told.stdout)["groups"]
    assert group["files"] == []
    [item] = group["left"]
    assert item["path"] == str(ground.photos / "b/1.png")
    assert item["reason"].endswith(f"{ground.photos / locked} may not be written")


def test_rights_that_are_lost_stop_the_run_and_it_goes_on_later(ground: Ground, child: Child) -> None:
    before = tree(ground.photos)
    plan = planned(ground)
    write_plan(plan, ground.work / "plan.json")
    (ground.photos / "c").chmod(0o500)
    status, said = child("apply", ground, str(ground.work / "plan.json"))
    assert status == 3
    assert said.startswith("Error: Stopped: Permission denied")
    assert "1 of 2 files are done, and nothing is lost" in said
    again = f"{plan.run} -i {shlex.quote(str(ground.index))}"
    assert f"Mend that and go on with: simsearch dedup --apply {again}; or" in said
    assert said.endswith(f"take back what was done with: simsearch undo {again}\n")
    assert not (ground.photos / "b/1.jpg").exists()
    (ground.photos / "b").chmod(0o500)
    status, said = child("undo", ground, plan.run)
    assert (status, said.startswith("Error: Stopped: Permission denied")) == (3, True)
    assert said.endswith(f"nothing is lost. Mend that and go on with: simsearch undo {again}\n")
    for name in ("b", "c"):
        (ground.photos / name).chmod(0o755)
    assert child("undo", ground, plan.run) == (0, "")
    assert tree(ground.photos) == before


def test_a_purge_that_is_stopped_says_how_it_goes_on(ground: Ground, child: Child) -> None:
    ground = replace(ground, index=ground.index.rename(ground.work / "it's an index"))
    plan = planned(ground)
    apply(ground, plan)
    (ground.trash(plan) / "c").chmod(0o500)
    status, said = child("purge", ground, plan.run)
    assert (status, said) == (
        3,
        f"Error: Stopped: Permission denied ({ground.trash(plan) / 'c/2.jpg'}). What is not purged is still "
        f"set aside. Mend that and go on with: simsearch purge --permanently {plan.run} "
        f"-i '{ground.work}/it'\"'\"'s an index'\n",
    )
    (ground.trash(plan) / "c").chmod(0o700)
    assert child("purge", ground, plan.run) == (0, "")


def test_a_systems_trash_that_refuses_is_told_with_both_ways_on(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: bytes) -> None:
        raise OSError("no trash on this disk")

    plan = planned(ground)
    apply(ground, plan)
    monkeypatch.setattr("send2trash.send2trash", refuse)
    with Index.open(ground.index) as index, pytest.raises(ActStopped) as told:
        purge(index, plan.run)
    assert str(told.value) == (
        "Stopped: the system's trash does not take a file: no trash on this disk "
        f"({ground.trash(plan) / 'b/1.xmp'}). What is not purged is still set aside. "
        f"Mend that and go on with: simsearch purge {plan.run} -i {ground.index}; or "
        f"delete for good with: simsearch purge --permanently {plan.run} -i {ground.index}"
    )
    assert (ground.trash(plan) / "b/1.xmp").exists()


def test_an_error_that_names_no_file_is_told_without_one() -> None:
    said = str(stopped(OSError(28, "No space left on device"), "All is there", "go on"))
    assert said == "Stopped: No space left on device. All is there. Mend that and go on"


def test_a_keeper_that_cannot_be_read_keeps_its_copies(ground: Ground, child: Child) -> None:
    plan = planned(ground)
    write_plan(plan, ground.work / "plan.json")
    (ground.photos / "a/1.jpg").chmod(0)
    assert child("apply", ground, str(ground.work / "plan.json")) == (0, "")
    assert (ground.photos / "b/1.jpg").exists()
    assert not (ground.photos / "c/2.jpg").exists()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own, where one may be mounted."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    mounting = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounting.returncode:
        pytest.skip(f"mounts are not permitted here: {mounting.stderr.strip()}")
    yield place
    # What a failed transaction still has open goes with the last who looks at it.
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def full_then_free(disk: Path, room: int, action: str, to: Path | None) -> str:
    """Act on a disk with so many kB left, make room, go on, undo; what was said while it was full."""
    for place in disk.iterdir():
        shutil.rmtree(place) if place.is_dir() else place.unlink()
    root = disk if to is None else disk.parent / f"work-{room}"
    root.mkdir(exist_ok=True)
    ground = filled(root)
    ground.put("b/1.jpg", b"one" * 20_000)
    ground.put("a/1.jpg", b"one" * 20_000)
    before, had = tree(ground.photos), contents(ground.photos)
    plan = planned(ground, action=action, to=None if to is None else str(to))
    fill(disk, room)
    said = ""
    try:
        apply(ground, plan)
    except SimsearchError as exc:
        said = str(exc)
    assert contents(ground.photos, *([] if to is None else [to])) >= had
    (disk / "filler").unlink()
    apply(ground, plan)
    with Index.open(ground.index) as index:
        assert undo(index, plan.run).state == "undone"
    after = tree(ground.photos)
    same = 5 if to is None else 4
    assert {n: e[:same] for n, e in after.items()} == {n: e[:same] for n, e in before.items()}
    return said


def said_on_full_disks(disk: Path, action: str, rooms: Sequence[int]) -> list[str]:
    to = disk / "to" if action == "move" else None
    said = [full_then_free(disk, room, action, to) for room in rooms]
    told = [line for line in said if line]
    harmless = ("Nothing was touched", "nothing is lost", "What was committed before is safe")
    assert all(any(words in line for words in harmless) for line in told), told
    return told


def test_a_real_full_disk_stops_the_run_and_it_goes_on_later(disk: Path) -> None:
    assert len(said_on_full_disks(disk, "set-aside", (0, 16, 200))) == 2


@pytest.mark.proof
@pytest.mark.parametrize("action", ["set-aside", "hardlink", "symlink", "move"])
def test_real_full_disks(disk: Path, action: str, faults: Faults) -> None:
    rooms = (0, 4, 8, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64, 200)
    told = said_on_full_disks(disk, action, rooms)
    assert len(told) >= 3
    faults(f"{action}: a full disk under apply", tried=len(rooms), told=len(told))
