"""A small collection with an index, groups of copies made by hand, and a tree that can be compared."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from conftest import picture

from simsearch import Index
from simsearch.dedup.acts.plan import make_plan
from simsearch.dedup.acts.records import Plan, PlanOptions
from simsearch.dedup.records import DuplicateGroup, DuplicatePhoto
from simsearch.engine.append import NewContent
from simsearch.engine.create import create_index, prepare_folder
from simsearch.engine.disk import file_stat
from simsearch.records import Facts
from simsearch.spec import EmbeddingSpec
from simsearch.storage.writer import FileChange, put_root

DIM = 8
Tree = dict[str, tuple[str, int, bytes, int, int]]


@dataclass(frozen=True)
class Ground:
    """Photos below `photos`, which is the one root of the index at `index`."""

    work: Path
    photos: Path
    index: Path

    def put(self, name: str, data: bytes | int, *, when: int = 1_600_000_000) -> Path:
        """A file of these bytes, or a PNG of that seed, with a time of its own."""
        path = self.photos / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(data, int):
            picture(data, (16, 12)).save(path, format="PNG")
        else:
            path.write_bytes(data)
        os.utime(path, ns=(when * 10**9 + len(name), when * 10**9 + 7 * len(name)))
        return path

    def enter(self, *names: str, roots: tuple[Path, ...] = ()) -> None:
        """Make the index, with `photos` (or these) as roots and these pictures under made vectors."""
        spec = EmbeddingSpec.named("made", DIM)
        rng, made, changes = np.random.default_rng(0), {}, []
        prepare_folder(self.index)
        with create_index(self.index, spec, weights_path="", fallback=None, note=print) as index:
            with index.database.write() as connection:
                for place in roots or (self.photos,):
                    root = put_root(connection, os.fsencode(place))
            for name in names:
                digest = hashlib.sha256((self.photos / name).read_bytes()).digest()
                vector = rng.standard_normal(DIM).astype(np.float32)
                facts = Facts(16, 12, "PNG", None)
                made[digest] = NewContent(digest, facts, vector / np.linalg.norm(vector))
                stat = file_stat(os.fsencode(self.photos / name))
                assert stat is not None
                changes.append(FileChange(root.id, os.fsencode(name), stat, time.time_ns(), digest=digest))
            index.commit(list(made.values()), changes)

    def group(self, keep: str, *members: str, level: str = "bytes") -> DuplicateGroup:
        """A group of copies of `keep`, all of one level."""
        photos = [photo(self.photos / name, level) for name in (keep, *members)]
        return DuplicateGroup(level, 1.0, str(self.photos / keep), "kept: a test", tuple(photos))

    def plan(self, *groups: DuplicateGroup, action: str = "set-aside", **options: object) -> Plan:
        with Index.open(self.index) as index:
            return make_plan(index, groups, PlanOptions(action, **options))  # type: ignore[arg-type]

    def trash(self, plan: Plan) -> Path:
        return self.photos / ".simsearch-trash" / plan.run

    def known(self) -> set[str]:
        """The paths below `photos` that the index knows."""
        with Index.open(self.index) as index:
            paths = [Path(path) for found in index.photos() for path in found.paths]
        return {str(path.relative_to(self.photos)) for path in paths}


def make_ground(work: Path) -> Ground:
    (work / "photos").mkdir()
    return Ground(work, work / "photos", work / "index")


def photo(path: Path, level: str) -> DuplicatePhoto:
    data = path.read_bytes()
    return DuplicatePhoto(str(path), 1.0, 16, 12, len(data), level, hashlib.sha256(data).hexdigest())


def tree(folder: Path) -> Tree:
    """Of every name below: kind, mode, bytes or what a link says, time in ns, inode."""
    found: Tree = {}
    for place, folders, names in os.walk(folder):
        for name in (*folders, *names):
            path = Path(place, name)
            facts = path.lstat()
            kind = stat.filemode(facts.st_mode)[0]
            data = (
                os.fsencode(os.readlink(path)) if kind == "l" else path.read_bytes() if kind == "-" else b""
            )
            when = facts.st_mtime_ns if kind == "-" else 0
            found[str(path.relative_to(folder))] = (kind, facts.st_mode, data, when, facts.st_ino)
    return found


def contents(*folders: Path) -> set[bytes]:
    """The bytes of all files below, whatever they are called."""
    files = (path for folder in folders for path in folder.rglob("*") if path.is_file())
    return {path.read_bytes() for path in files}


def left(plan: Plan) -> dict[str, str]:
    """What a plan leaves, by name."""
    return {Path(item.path).name: item.reason for group in plan.groups for item in group.left}
