"""Random histories of a photo folder and its index, compared step by step with a plain model in dicts."""

from __future__ import annotations

import csv
import io
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from conftest import age, picture
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from numpy.typing import NDArray
from oracle import Truth, read_index
from PIL import Image

from simsearch import Embedder, Index, find_duplicates, find_similar, index_folder
from simsearch.dedup.options import DedupOptions
from simsearch.engine.exchange.export import export
from simsearch.engine.indexing import IndexingConfig
from simsearch.engine.maintenance.compact import compact
from simsearch.engine.maintenance.remove import remove
from simsearch.engine.maintenance.verify import verify
from simsearch.engine.maintenance.view import rebuild
from simsearch.engine.search import QueryOptions
from simsearch.errors import IndexEmpty, NotIndexed, PhotoUnreadable, PruneRefused, RootMissing
from simsearch.models.choice import ModelChoice
from simsearch.records import Hit

LITE0 = ModelChoice(model="efficientnet_lite0")
PICTURES, SIZE, CUT = 12, 16_000, 700
# Names that sort otherwise as names than as whole paths, or that are no UTF-8; no last name comes twice.
PATHS = (
    "a.jpg",
    "a/1.jpg",
    "a/in-between.png",
    "a/in/2.jpg",
    "a0.jpg",
    "b/3.jpg",
    "b/4.png",
    "b/no suffix",
    os.fsdecode(b"b/\xff.jpg"),
    "é.jpg",
)
RENAMES = (("a", "c"), ("c", "a"), ("a/in", "b/in"), ("b", "c/b"), ("c/b", "b"))
COUNTS = ("added", "updated", "moved", "unchanged", "gone", "removed", "ignored", "embedded")

Stat = tuple[int, int, int]
Vector = NDArray[np.float32]


@cache
def contents() -> dict[str, bytes]:
    """Bytes by name: twelve pictures, two cut ones, an empty file and a text."""
    found = {}
    for seed in range(PICTURES):
        kind = "PNG" if seed % 3 == 2 else "JPEG"
        file = io.BytesIO()
        picture(seed, (64 + seed, 48)).save(file, kind)
        # All of one size, so that only its time tells that a file was changed.
        found[f"picture {seed}"] = file.getvalue().ljust(SIZE, b"\0")
    found["cut JPEG"] = found["picture 0"][:CUT]
    found["cut PNG"] = found["picture 2"][:CUT]
    return {**found, "empty": b"", "text": b"no picture at all"}


@cache
def names() -> dict[str, str]:
    """The name of each content by its digest."""
    return {sha256(data).hexdigest(): name for name, data in contents().items()}


@cache
def alone() -> dict[str, Vector]:
    """The vector of each picture, by digest, when it is embedded all by itself."""
    found = {}
    for name, data in contents().items():
        if name.startswith("picture"):
            with Image.open(io.BytesIO(data)) as image:
                found[sha256(data).hexdigest()] = embedder().embed([image.convert("RGB")])[0]
    return found


@cache
def embedder() -> Embedder:
    return Embedder("efficientnet_lite0")


@dataclass(frozen=True)
class File:
    """A file that can be opened: digest of its bytes, and what tells whether it is unchanged."""

    digest: str
    stat: Stat

    def kind(self, name: str) -> str:
        """Whether it is a "picture", "broken" or "other" (neither its bytes nor its name say picture)."""
        content = names()[self.digest]
        if content.startswith("picture"):
            return "picture"
        named = name.endswith((".jpg", ".png"))
        return "broken" if named or content.startswith("cut") else "other"


@dataclass(frozen=True)
class Disk:
    """What a folder holds: every name, dangling links too, and the files behind them."""

    names: frozenset[str]
    files: dict[str, File]

    @classmethod
    def read(cls, folder: Path) -> Disk:
        found, files = set(), {}
        for place, _, inside in os.walk(folder):
            for name in inside:
                path = Path(place, name)
                known = path.relative_to(folder).as_posix()
                found.add(known)
                if path.exists():
                    facts = path.stat()
                    stat = (facts.st_size, facts.st_mtime_ns, facts.st_ino)
                    files[known] = File(sha256(path.read_bytes()).hexdigest(), stat)
        return cls(frozenset(found), files)

    def holds(self, top: str) -> bool:
        return not top or any(within(name, top) for name in self.names)

    def is_root_here(self, root: str) -> bool:
        """Whether a root can be judged: a file that is there, or a folder that is not empty."""
        return root in self.files or any(within(name, root) and name != root for name in self.names)


def within(path: str, top: str) -> bool:
    return not top or path == top or path.startswith(f"{top}/")


@dataclass(frozen=True)
class Row:
    """A file as it was when it was last read; `digest` is None for one that is skipped."""

    digest: str | None
    stat: Stat


@dataclass
class Model:
    """What an index must know, as plain sets and dicts; paths are relative to the photo folder."""

    roots: set[str] = field(default_factory=set)
    rows: dict[str, Row] = field(default_factory=dict)
    embedded: set[str] = field(default_factory=set)

    def paths(self) -> dict[str, list[str]]:
        """The indexed paths of each picture, in byte order, by its digest."""
        found: dict[str, list[str]] = {}
        for path in sorted(self.rows, key=os.fsencode):
            digest = self.rows[path].digest
            if digest is not None:
                found.setdefault(digest, []).append(path)
        return found

    def skipped(self) -> list[str]:
        return sorted((path for path, row in self.rows.items() if row.digest is None), key=os.fsencode)

    def index(self, disk: Disk, target: str | None, *, prune: bool, yes: bool, retry: bool) -> dict[str, int]:
        """Bring the model up to date as a run of `target` (None: its roots again) would; the report's counts.

        Raises the error that the run ends in, after all that the run does before it.
        """
        scopes, missing = self._scopes(disk, target)
        absent = {
            path
            for path in self.rows
            if path not in disk.names and any(within(path, scope) for scope in scopes)
        }
        left = self._left(disk)
        counts = dict.fromkeys((*COUNTS, "skipped"), 0)
        moved: set[str] = set()
        for path in sorted(disk.files, key=os.fsencode):
            if any(within(path, scope) for scope in scopes):
                known = set(self.embedded)
                counts[self._visit(path, disk.files[path], left, moved, retry)] += 1
                counts["embedded"] += len(self.embedded - known)
        missing |= {scope for scope in scopes if absent and not disk.is_root_here(self.root_of(scope))}
        gone = absent - moved
        counts["gone"] = len(gone)
        if prune and not missing:
            if len(gone) > 0.1 * len(self.rows) and not yes:
                raise PruneRefused
            counts["removed"] = len(gone)
            for path in gone:
                del self.rows[path]
        if missing:
            raise RootMissing
        return counts

    def _visit(self, path: str, file: File, left: dict[str, list[str]], moved: set[str], retry: bool) -> str:
        """Look at one file; as what it is counted."""
        row = self.rows.get(path)
        if row is not None and row.stat == file.stat and not (retry and row.digest is None):
            return "skipped" if row.digest is None else "unchanged"
        kind = file.kind(path)
        if kind == "other":
            self.rows.pop(path, None)
            return "ignored"
        self.rows[path] = Row(file.digest if kind == "picture" else None, file.stat)
        if kind == "broken":
            return "skipped"
        self.embedded.add(file.digest)
        if row is not None:
            return "unchanged" if row.digest == file.digest else "updated"
        if left.get(file.digest):
            before = left[file.digest].pop(0)
            moved.add(before)
            del self.rows[before]
            return "moved"
        return "added"

    def _left(self, disk: Disk) -> dict[str, list[str]]:
        """The paths that pictures have left, by digest: those of roots that are there, in byte order."""
        found: dict[str, list[str]] = {}
        for path, row in sorted(self.rows.items(), key=lambda item: self._below_root(item[0])):
            if row.digest is not None and path not in disk.names and disk.is_root_here(self.root_of(path)):
                found.setdefault(row.digest, []).append(path)
        return found

    def _scopes(self, disk: Disk, target: str | None) -> tuple[set[str], set[str]]:
        """What a run visits, and the roots with files that are not there."""
        if target is not None and not disk.holds(target) and target not in self.roots:
            raise RootMissing
        filled = {root for root in self.roots if any(within(path, root) for path in self.rows)}
        targets = set(self.roots) if target is None else {target}
        for top in targets:
            if not any(within(top, root) for root in self.roots):
                self.roots = {root for root in self.roots if not within(root, top)} | {top}
        missing = {top for top in targets if self.root_of(top) in filled}
        missing = {top for top in missing if not disk.is_root_here(self.root_of(top))}
        return targets - missing, missing

    def root_of(self, path: str) -> str:
        return next(root for root in self.roots if within(path, root))

    def _below_root(self, path: str) -> bytes:
        root = self.root_of(path)
        return os.fsencode(path[len(root) :].lstrip("/"))

    def remove(self, path: str, *, yes: bool) -> tuple[int, int, list[str]]:
        """Forget what lies at or below `path`: how many files, how many pictures, which roots."""
        roots = sorted((root for root in self.roots if within(root, path)), key=os.fsencode)
        found = [known for known in self.rows if within(known, path)]
        if not (roots or found):
            raise NotIndexed
        if len(found) > 0.1 * len(self.rows) and not yes:
            raise PruneRefused
        before = set(self.paths())
        for known in found:
            del self.rows[known]
        self.roots -= set(roots)
        return len(found), len(before - set(self.paths())), roots

    def compact(self) -> tuple[int, int]:
        """Forget the pictures without a file: how many went, how many stay."""
        dropped = self.embedded - set(self.paths())
        self.embedded -= dropped
        return len(dropped), len(self.embedded)


def listed(hits: tuple[Hit, ...]) -> list[str]:
    return [hit.path for hit in hits]


SOME_FILE = st.runner().flatmap(lambda history: st.sampled_from(history.files()))
SOME_NAME = st.runner().flatmap(lambda history: st.sampled_from(history.names()))
SOME_TOP = st.runner().flatmap(lambda history: st.sampled_from(history.known_tops()))
HAS_FILES = precondition(lambda history: history.files())
HAS_NAMES = precondition(lambda history: history.names())


class History(RuleBasedStateMachine):
    """One photo folder and its index; files change by rules, and what the index says is checked."""

    def __init__(self, place: Path, tried: list[str]) -> None:
        super().__init__()
        self.place, self.tried = place.resolve(), tried
        self.folder, self.index = self.place / "photos", self.place / "index"
        self.folder.mkdir()
        self.model = Model()
        self.ids: dict[str, int] = {}
        self.past_ids: set[int] = set()
        self.writes = self.checks = 0
        self.reader: Index | None = None

    # What the rules may choose from.

    def names(self) -> list[str]:
        return sorted(Disk.read(self.folder).names, key=os.fsencode)

    def files(self) -> list[str]:
        return sorted(Disk.read(self.folder).files, key=os.fsencode)

    def known_tops(self) -> list[str]:
        tops = [*self.model.roots, *self.model.rows]
        tops += [path.split("/")[0] for path in self.model.rows if "/" in path]
        return sorted({*tops, "b"}, key=os.fsencode)

    def absolute(self, path: str) -> str:
        return str(self.folder / path)

    # Files come, change and go.

    def _write(self, path: str, data: bytes, in_place: bool) -> None:
        place = self.folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if not in_place or place.is_symlink():
            place.unlink(missing_ok=True)
        place.write_bytes(data)
        self._stamp(place)

    def _stamp(self, place: Path) -> None:
        """A time of its own for each write, long ago, so that no file counts as young."""
        self.writes += 1
        when = 1_500_000_000 + self.writes
        os.utime(place, (when, when))

    def _tidy(self) -> None:
        """Take away folders without a file, as if their disk had been unplugged."""
        for place, _, _ in os.walk(self.folder, topdown=False):
            if Path(place) != self.folder and not os.listdir(place):
                os.rmdir(place)

    @initialize(
        seeds=st.lists(st.integers(0, PICTURES - 1), min_size=len(PATHS), max_size=len(PATHS)),
        top=st.sampled_from(["", "", "a", "b", "a/1.jpg"]),
    )
    def begin(self, seeds: list[int], top: str) -> None:
        alone()
        for path, seed in zip(PATHS, seeds, strict=True):
            self._write(path, contents()[f"picture {seed}"], False)
        self._index(top, IndexingConfig(choice=LITE0, batch_size=4))

    @rule(path=st.sampled_from(PATHS), seed=st.integers(0, PICTURES - 1), in_place=st.booleans())
    def add_or_change(self, path: str, seed: int, in_place: bool) -> None:
        self._write(path, contents()[f"picture {seed}"], in_place)

    @rule(path=st.sampled_from(PATHS), what=st.sampled_from(["cut JPEG", "cut PNG", "empty", "text"]))
    def spoil(self, path: str, what: str) -> None:
        self._write(path, contents()[what], True)

    @HAS_FILES
    @rule(path=SOME_FILE)
    def touch(self, path: str) -> None:
        self._stamp(self.folder / path)

    @HAS_NAMES
    @rule(path=SOME_NAME, to=st.sampled_from(PATHS))
    def move(self, path: str, to: str) -> None:
        (self.folder / to).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).replace(self.folder / to)
        self._tidy()

    @HAS_FILES
    @rule(path=SOME_FILE, to=st.sampled_from(PATHS), how=st.sampled_from(["copy", "hard link", "link"]))
    def copy(self, path: str, to: str, how: str) -> None:
        source, place = self.folder / path, self.folder / to
        if path == to:
            return
        data = source.read_bytes()
        self._write(to, data, False)
        if how != "copy" and source.exists():
            place.unlink()
            place.hardlink_to(source.resolve()) if how == "hard link" else place.symlink_to(source)

    @rule(names=st.sampled_from(RENAMES))
    def rename_folder(self, names: tuple[str, str]) -> None:
        source, target = (self.folder / name for name in names)
        if source.is_dir() and not target.exists():
            target.parent.mkdir(exist_ok=True)
            source.rename(target)
            self._tidy()

    @HAS_NAMES
    @rule(path=SOME_NAME)
    def delete(self, path: str) -> None:
        (self.folder / path).unlink()
        self._tidy()

    # The index follows.

    @rule(
        top=st.sampled_from([None, "", ""]),
        prune=st.sampled_from(["", "", "prune", "prune yes"]),
        commit_photos=st.sampled_from([1, 3, 256]),
        workers=st.sampled_from([1, 2]),
        retry=st.booleans(),
    )
    def index_all(self, top: str | None, prune: str, commit_photos: int, workers: int, retry: bool) -> None:
        config = IndexingConfig(
            choice=LITE0,
            batch_size=4,
            workers=workers,
            prune="prune" in prune,
            yes="yes" in prune,
            retry_skipped=retry,
            commit_photos=commit_photos,
        )
        self._index(top, config)

    @HAS_NAMES
    @rule(top=st.sampled_from(["a", "b", "a/in"]) | SOME_NAME, prune=st.booleans())
    def index_part(self, top: str, prune: bool) -> None:
        self._index(top, IndexingConfig(choice=LITE0, batch_size=4, prune=prune, yes=True))

    @rule()
    def prune_all(self) -> None:
        self._index("", IndexingConfig(choice=LITE0, batch_size=4, prune=True, yes=True))

    def _index(self, target: str | None, config: IndexingConfig) -> None:
        disk = Disk.read(self.folder)
        options = {"prune": config.prune, "yes": config.yes, "retry": config.retry_skipped}
        wanted = () if target is None else (self.folder / target,)
        try:
            expected = self.model.index(disk, target, **options)
        except (RootMissing, PruneRefused) as error:
            with pytest.raises(type(error)):
                index_folder(wanted, self.index, config)
            self._check()
            return
        report = index_folder(wanted, self.index, config)
        counts = {name: getattr(report, name) for name in COUNTS}
        assert counts | {"skipped": len(report.skipped)} == expected
        assert report.scanned == sum(expected.values()) - sum(
            expected[n] for n in ("gone", "removed", "embedded")
        )
        assert (report.device == "none") == (expected["embedded"] == 0)
        self._check()

    @rule(path=SOME_TOP, yes=st.sampled_from([True, True, False]))
    def forget(self, path: str, yes: bool) -> None:
        try:
            files, photos, roots = self.model.remove(path, yes=yes)
        except (NotIndexed, PruneRefused) as error:
            with pytest.raises(type(error)):
                remove([self.absolute(path)], self.index, yes=yes)
        else:
            report = remove([self.absolute(path)], self.index, yes=yes)
            assert (report.files, report.photos) == (files, photos)
            assert list(report.roots) == [self.absolute(root) for root in roots]
        self._check()

    @rule()
    def compact_it(self) -> None:
        report = compact(self.index)
        assert (report.dropped, report.kept) == self.model.compact()
        self._check()

    @rule()
    def rebuild_it(self) -> None:
        view = rebuild(self.index, view="exact")
        assert (view.kind, view.recall, view.tail) == ("exact", 1.0, 0)
        self._check()

    @rule()
    def reopen(self) -> None:
        if self.reader is not None:
            self.reader.close()
        self.reader = Index.open(self.index)
        self._check()

    # What it says.

    @HAS_FILES
    @rule(path=SOME_FILE, include_self=st.booleans(), k=st.sampled_from([1, 3, 100]))
    def query_a_file(self, path: str, include_self: bool, k: int) -> None:
        file, live = Disk.read(self.folder).files[path], self.model.paths()
        row = self.model.rows.get(path)
        stored = row is not None and row.digest is not None and row.stat == file.stat
        options, where = QueryOptions(k, include_self=include_self), self.absolute(path)
        error: type[Exception] | None = None
        if not stored and not live:
            error = IndexEmpty
        elif not stored and file.kind(path) != "picture":
            error = PhotoUnreadable
        if error is not None:
            with pytest.raises(error):
                find_similar(where, self.reader, options=options, embedder=embedder())
            return
        truth = read_index(self.index)
        own = [self.absolute(known) for known in live.get(file.digest, [])]
        at = [i for i, paths in enumerate(truth.paths) if paths == own]
        vector = truth.vectors[at[0]] if at else alone()[file.digest]
        [result] = find_similar(where, self.reader, options=options, embedder=embedder())
        expected = truth.rank(vector, k, None if include_self else where)
        assert listed(result.hits) == [known for known, _ in expected]
        scores = [score for _, score in expected]
        assert [hit.score for hit in result.hits] == pytest.approx(scores, abs=1e-6 if at else 1e-4)

    @rule(k=st.sampled_from([1, 3, 100]), which=st.integers(0, PICTURES - 1))
    def query_an_id(self, k: int, which: int) -> None:
        live = self.model.paths()
        for unknown in sorted({*self.ids.values(), *self.past_ids} - {self.ids[known] for known in live}):
            with pytest.raises(NotIndexed):
                find_similar(unknown, self.reader)
        if not live:
            return
        digest = sorted(live)[which % len(live)]
        truth = read_index(self.index)
        own = {self.absolute(path) for path in live[digest]}
        ranked = truth.rank(truth.vectors[truth.ids.index(self.ids[digest])], PICTURES)
        expected = [known for known, _ in ranked if known not in own][:k]
        [result] = find_similar(self.ids[digest], self.reader, options=QueryOptions(k))
        assert listed(result.hits) == expected

    @rule()
    def export_it(self) -> None:
        out = self.place / f"export {self.writes}"
        live = self.model.paths()
        if not live:
            with pytest.raises(IndexEmpty):
                export(out, self.index)
            return
        export(out, self.index)
        truth = read_index(self.index)
        assert np.array_equal(np.load(out / "vectors.npy"), truth.vectors)
        with (out / "photos.csv").open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            rows = list(csv.DictReader(file))
        assert [row["sha256"] for row in rows] == sorted(live, key=self.ids.__getitem__)
        shutil.rmtree(out)

    @rule()
    def verify_deeply(self) -> None:
        """Only the files that were changed or went since are told; a root that went is told once."""
        disk, expected = Disk.read(self.folder), set()
        absent = {root for root in self.model.roots if root and not disk.is_root_here(root)}
        for path, row in self.model.rows.items():
            changed = path not in disk.files or disk.files[path].digest != row.digest
            if row.digest is not None and changed and self.model.root_of(path) not in absent:
                expected.add(path)
        found = {problem.file for problem in verify(self.index, deep=True).problems}
        assert found == {self.absolute(path) for path in expected | absent}

    @invariant()
    def open_reader_is_current(self) -> None:
        self.tried.append("step")
        if self.reader is not None:
            assert len(self.reader) == len(self.model.paths())

    def _check(self) -> None:
        """Everything that the index says, to a reader that was open all the time and to a new one."""
        if not (self.index / "index.db").exists():
            return
        assert verify(self.index).problems == ()
        live = self.model.paths()
        expected = {digest: [self.absolute(path) for path in paths] for digest, paths in live.items()}
        truth = read_index(self.index)
        self.reader = self.reader or Index.open(self.index)
        with Index.open(self.index) as fresh:
            for opened, k in ((self.reader, 3), (fresh, 100)):
                self._check_photos(opened, expected)
                self._check_hits(opened, truth, k)
        assert {tuple(paths) for paths in truth.paths} == {tuple(paths) for paths in expected.values()}
        by_paths = {tuple(paths): digest for digest, paths in expected.items()}
        for paths, vector in zip(truth.paths, truth.vectors, strict=True):
            assert float(vector @ alone()[by_paths[tuple(paths)]]) > 0.9999

    def _check_photos(self, opened: Index, expected: dict[str, list[str]]) -> None:
        photos = list(opened.photos())
        assert {photo.sha256: list(photo.paths) for photo in photos} == expected
        for photo in photos:
            seed = int(names()[photo.sha256].split()[1])
            assert (photo.width, photo.height) == (64 + seed, 48)
        self._check_ids({photo.sha256: photo.id for photo in photos})
        skipped = [self.absolute(path) for path in self.model.skipped()]
        assert [entry.path for entry in opened.skipped()] == skipped
        info = opened.info()
        assert (info.photos, info.vectors) == (len(expected), len(self.model.embedded))
        assert (info.files, info.skipped) == (sum(map(len, expected.values())), len(skipped))
        assert set(info.roots) == {self.absolute(root) for root in self.model.roots}
        groups = find_duplicates(opened, DedupOptions(reach="exact")).groups
        found = {inodes(photo.path for photo in group.photos) for group in groups}
        assert found == {files for files in map(inodes, expected.values()) if len(files) > 1}
        assert all(len(inodes(p.path for p in group.photos)) == len(group.photos) for group in groups)

    def _check_ids(self, ids: dict[str, int]) -> None:
        """A picture keeps its id as long as it is stored, and no id is ever given to another one."""
        for digest in set(self.ids) - self.model.embedded:
            self.past_ids.add(self.ids.pop(digest))
        highest = max([*self.ids.values(), *self.past_ids], default=0)
        for digest, number in ids.items():
            assert number == self.ids[digest] if digest in self.ids else number > highest
        self.ids |= ids

    def _check_hits(self, opened: Index, truth: Truth, k: int) -> None:
        """A third of all pictures, indexed or not, are looked for; each check takes the next third."""
        assert len(opened) == len(truth.ids)
        self.checks += 1
        queries = np.stack([alone()[digest] for digest in sorted(alone())][self.checks % 3 :: 3])
        if not truth.ids:
            with pytest.raises(IndexEmpty):
                opened.search(queries, k)
            return
        by_id = dict(zip(truth.ids, truth.paths, strict=True))
        for query, hits in zip(queries, opened.search(queries, k), strict=True):
            expected = truth.rank(query, k)
            assert listed(hits) == [path for path, _ in expected]
            assert [h.score for h in hits] == pytest.approx([score for _, score in expected], abs=1e-6)
            assert all([hit.path, *hit.copies] == by_id[hit.id] for hit in hits)

    def teardown(self) -> None:
        if self.reader is not None:
            self.reader.close()
        shutil.rmtree(self.place)


def inodes(paths: Iterable[str]) -> frozenset[int]:
    """The files that are there, one for all the paths that lead to it."""
    return frozenset(os.stat(path).st_ino for path in paths if os.path.exists(path))


def run_histories(factory: pytest.TempPathFactory, *, examples: int, steps: int) -> int:
    """Run so many histories, the same ones in each run; how many steps they were together."""
    tried: list[str] = []
    run_state_machine_as_test(
        lambda: History(factory.mktemp("history"), tried),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            derandomize=True,
            deadline=None,
            print_blob=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    return len(tried)


def test_a_few_histories_against_a_plain_model(tmp_path_factory: pytest.TempPathFactory) -> None:
    assert run_histories(tmp_path_factory, examples=6, steps=24) > 100


@pytest.mark.parametrize("how", ["link", "hard link"])
def test_a_link_to_an_indexed_file_is_indexed_itself_when_it_is_named(tmp_path: Path, how: str) -> None:
    first, second, index = tmp_path / "first.jpg", tmp_path / "second.jpg", tmp_path / "index"
    picture(1).save(first)
    second.hardlink_to(first) if how == "hard link" else second.symlink_to(first)
    age(tmp_path)
    config = IndexingConfig(choice=LITE0)
    assert index_folder(first, index, config).added == 1
    report = index_folder(second, index, config)
    assert (report.added, report.unchanged, report.embedded) == (1, 0, 0)
    with Index.open(index) as opened:
        assert [photo.paths for photo in opened.photos()] == [(str(first), str(second))]


@pytest.mark.proof
def test_many_histories_against_a_plain_model(
    tmp_path_factory: pytest.TempPathFactory, faults: Callable[..., None]
) -> None:
    steps = run_histories(tmp_path_factory, examples=60, steps=30)
    faults("random histories against a plain model", tried=steps)
