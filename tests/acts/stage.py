"""A place to strike in: photos with a plan, an act that is struck, what is left of them, and going on."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any, NamedTuple

from crash.harness import Crash, Runner, power_cut, remember

from acts.ground import Ground, Tree, contents, make_ground, tree
from simsearch import Index
from simsearch.dedup.acts.apply import apply_plan
from simsearch.dedup.acts.journal import as_line
from simsearch.dedup.acts.purging.purge import purge
from simsearch.dedup.acts.reading import read_plan, write_plan
from simsearch.dedup.acts.records import Plan
from simsearch.dedup.acts.runs import list_runs
from simsearch.dedup.acts.undo import undo
from simsearch.errors import ActRefused, NotIndexed

FULL, BROKEN, REFUSED = f"error:{errno.ENOSPC}:all", f"error:{errno.EIO}", f"error:{errno.EACCES}"
UNKNOWN = f"error:{errno.ENOTSUP}"
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="%d"/>'
    b"</rdf:RDF></x:xmpmeta>"
)
CONTENTS = {b"one", b"two", XMP % 2, XMP % 5}


class Act(NamedTuple):
    """What is struck: the plan's action ("carry" is "move" to another disk), the command, in which way."""

    action: str
    command: str
    kind: str


@dataclass(frozen=True)
class Scene:
    """Photos with a plan, and the photos as they were before anything was done."""

    ground: Ground
    plan: Plan
    before: Tree

    @property
    def root(self) -> Path:
        return self.ground.work

    @property
    def file(self) -> Path:
        """The plan as a file."""
        return self.root / "plan.json"

    def act(self, what: str) -> None:
        if what == "trash":
            # The index is lost.
            shutil.rmtree(self.ground.index)
            if self.ground.trash(self.plan).exists():
                undo(None, self.ground.trash(self.plan))
            return
        with Index.open(self.ground.index) as index:
            if what == "apply":
                apply_plan(index, self.plan, yes=True)
            elif what == "undo":
                # There is nothing to undo before the first line of the journal and when all is purged.
                words = {"planned": (NotIndexed, ActRefused), "purged": (ActRefused,)}
                with suppress(*words.get(self.state(), ())):
                    undo(index, self.plan.run)
            elif what == "folder":
                if self.ground.trash(self.plan).exists():
                    undo(None, self.ground.trash(self.plan))
            else:
                purge(index, self.plan.run, permanently=True)

    def state(self) -> str:
        with Index.open(self.ground.index) as index:
            runs = list_runs(index)
        return runs[0].state if runs else "planned"

    def files(self) -> Counter[bytes]:
        """How many files of each content there are, several names of one file counting once."""
        found = {}
        for path in self.root.rglob("*"):
            if path.is_file() and not path.is_symlink() and self.ground.index not in path.parents:
                facts = path.stat()
                found[facts.st_dev, facts.st_ino] = path.read_bytes()
        return Counter(found.values())


def build(root: Path, action: str) -> Scene:
    """Two groups, of which the first has sidecars on both sides, in an empty folder."""
    ground = make_ground(root)
    for name, data in (("a/1.png", b"one"), ("b/1.png", b"one"), ("a/2.png", b"two"), ("c/d/2.png", b"two")):
        ground.put(name, data)
    ground.put("a/1.xmp", XMP % 2)
    ground.put("b/1.xmp", XMP % 5)
    ground.enter("a/1.png", "b/1.png", "a/2.png", "c/d/2.png")
    groups = ground.group("a/1.png", "b/1.png"), ground.group("a/2.png", "c/d/2.png")
    to = str(root / ("other" if action == "carry" else "to")) if action in ("move", "carry") else None
    kind = "move" if action == "carry" else action
    plan = ground.plan(*groups, action=kind, to=to, merge_metadata=True)
    scene = Scene(ground, plan, tree(ground.photos))
    write_plan(plan, scene.file)
    return scene


class Place:
    """What one process has: a folder of its own, a warm child, and what each act starts from."""

    here: Place

    def __init__(self, work: Path, shim: Path) -> None:
        self.work = work
        self.striker = Runner(shim, work / "notes", "acts.child")
        self.starts: dict[tuple[str, bool], Scene] = {}

    def scene(self, act: Act) -> Scene:
        """A fresh copy of what the command starts from; for all but `apply` the plan is applied."""
        key = act.action, act.command != "apply"
        root, kept = self.work / root_of(act.action), self.work / f"{act.action}-{key[1]}"
        empty(root)
        if key not in self.starts:
            self.starts[key] = build(root, act.action)
            if key[1]:
                self.starts[key].act("apply")
            kept.mkdir()
            empty(root, kept)
        start = self.starts[key]
        numbers = copy(kept, root)
        for path in root.rglob("*.json*"):
            renumber(path, numbers)
        before = {name: (*entry[:4], numbers.get(entry[4], entry[4])) for name, entry in start.before.items()}
        return Scene(start.ground, read_plan(root / "plan.json"), before)

    def strike(self, scene: Scene, act: Act, at: int) -> Crash:
        what = str(scene.file) if act.command == "apply" else scene.plan.run
        crash = self.striker.run([act.command, str(scene.ground.index), what], scene.root, act.kind, at)
        if at and crash.struck:
            expected = (-9,) if act.kind == "kill" else (0, 3)
            assert crash.status in expected, (act, at, crash.said)
            if crash.status == 3:
                assert crash.said.startswith("Error: "), crash.said
                assert crash.said.count("\n") == 1, crash.said
        return crash


def root_of(action: str) -> str:
    """The folder of a place in which an action has another disk at hand, or none."""
    return "carry" if action == "carry" else "root"


def empty(root: Path, to: Path | None = None) -> None:
    """Delete all below, or move it to another folder; what is mounted there stays."""
    for path in root.glob("*"):
        if os.path.ismount(path):
            if to is not None:
                (to / path.name).mkdir()
            empty(path, to and to / path.name)
        elif to is not None:
            shutil.move(path, to / path.name)
        else:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def copy(source: Path, target: Path) -> dict[int, int]:
    """Copy a tree with its times, links and second names; the inode of each copy by its original's."""
    numbers: dict[int, int] = {}
    made: dict[int, Path] = {}
    for path in sorted(source.rglob("*")):
        to, facts = target / path.relative_to(source), path.lstat()
        if path.is_dir():
            to.mkdir(exist_ok=True)
        elif facts.st_ino in made:
            os.link(made[facts.st_ino], to)
        else:
            shutil.copy2(path, to, follow_symlinks=False)
            made[facts.st_ino] = to
        numbers[facts.st_ino] = to.lstat().st_ino
    return numbers


def renumber(path: Path, numbers: dict[int, int]) -> None:
    """Let a plan or journal tell of the copies."""

    def changed(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: numbers.get(v, v) if k == "inode" else changed(v) for k, v in value.items()}
        return [changed(item) for item in value] if isinstance(value, list) else value

    if path.suffix == ".jsonl":
        lines = (json.loads(line)["line"] for line in path.read_bytes().splitlines())
        path.write_bytes(b"".join(as_line(changed(line)) for line in lines))
    else:
        path.write_text(json.dumps(changed(json.loads(path.read_text()))))


def enter(work: Path, shim: Path, turn: Synchronized[int]) -> None:
    """Begin a process that strikes; each has a folder below `work` by its turn."""
    with turn.get_lock():
        Place.here = Place(work / str(turn.value), shim)
        turn.value += 1


def points(act: Act) -> list[int]:
    """The numbers of the events at which there is something to strike at.

    Nothing reaches the disk between what follows a call and the next one, but for the end of a line. A sync
    changes only what a power cut leaves, which is looked at where files are set aside.
    """
    scene = Place.here.scene(act)
    calm = Place.here.strike(scene, act, 0)
    assert calm.status == 0, calm.said
    whats = [line.split()[1] for line in calm.events]
    kill = act.kind == "kill"
    without = ("before-sync",) if kill and act.action != "set-aside" else ()
    middle = ("before-", "after-line") if kill else ("before-",)
    return [at for at, what in enumerate(whats, 1) if what.startswith(middle) and what not in without]


def strike(task: tuple[Act, int, Sequence[str]]) -> str:
    """Strike once, look, go on: "told" where the command said so, "" where nothing came about."""
    act, at, then = task
    place = Place.here
    scene = place.scene(act)
    before = remember(scene.root) if act.kind == "kill" and act.action == "set-aside" else None
    had = scene.files()
    crash = place.strike(scene, act, at)
    if not crash.struck:
        return ""
    where = f"{act} at {crash.events[at - 1]}, then {then}: {crash.said}"
    if act.command != "purge":
        # All but what an act itself writes, which undo may remove: a merged sidecar and notes.
        assert scene.files() >= Counter({data: n for data, n in had.items() if data in CONTENTS}), where
    if before is not None:
        left = place.work / "cut"
        shutil.rmtree(left, ignore_errors=True)
        power_cut(scene.root, crash, before, left)
        purged = {XMP % 5, XMP % 2} if act.command == "purge" else set()
        assert contents(left / "photos") >= CONTENTS - purged, where
    for what in then:
        scene.act(what)
    check(scene, act, then, where)
    return "told" if crash.status == 3 else "survived"


def same(scene: Scene, action: str) -> bool:
    """Whether all is as before; a file that was on another disk meanwhile has another inode."""
    after = tree(scene.ground.photos)
    if action != "carry":
        return after == scene.before
    return {n: e[:4] for n, e in after.items()} == {n: e[:4] for n, e in scene.before.items()}


def check(scene: Scene, act: Act, then: Sequence[str], where: str) -> None:
    if then[-1] in ("trash", "folder"):
        # An empty folder of the trash may be left, which the index would know.
        after = tree(scene.ground.photos)
        assert {name: entry for name, entry in after.items() if name != ".simsearch-trash"} == scene.before
    elif then[-1] == "undo" and act.command != "purge":
        # Before the first line of the journal there is nothing to undo.
        assert scene.state() in ("undone", "planned"), where
        assert same(scene, act.action), where
        assert not (scene.root / "to").exists()
    elif then[-1] == "apply":
        assert scene.state() == "applied", where
    elif then[-1] == "purge":
        assert scene.state() == "purged", where
        assert {b"one", b"two"} <= contents(scene.ground.photos), where
        assert not (scene.ground.photos / ".simsearch-trash").exists(), where
    else:
        assert {b"one", b"two"} <= contents(scene.ground.photos), where
        for name, (kind, _, data, *_) in tree(scene.ground.photos).items():
            # A link stays where the original was purged, and what a purged copy told stays in the sidecar.
            known = scene.before.get(name)
            assert known is None or known[2] == data or kind == "l" or name == "a/1.xmp", where
