"""Where an index may lie: read-only, moved, on a network disk, on a file system that folds case."""

from __future__ import annotations

import ctypes
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import REPO, age, picture
from oracle import read_index

from simsearch import Index, find_similar, index_folder
from simsearch.engine.indexing import IndexingConfig
from simsearch.engine.maintenance.compact import compact
from simsearch.engine.maintenance.verify import verify
from simsearch.models.choice import ModelChoice
from simsearch.paths import canonical, folds_case
from simsearch.records import IndexReport
from simsearch.storage.database import network_filesystem

Maker = Callable[[int], Path]
LITE0 = ModelChoice(model="efficientnet_lite0")


def run(folder: Path | tuple[()], index: Path, notes: list[str] | None = None) -> IndexReport:
    note = (notes if notes is not None else []).append
    return index_folder(folder, index, IndexingConfig(choice=LITE0), note=note)


def assert_answers(index: Path) -> None:
    truth = read_index(index)
    with Index.open(index) as opened:
        for query, hits in zip(truth.vectors, opened.search(truth.vectors, 5), strict=True):
            assert [hit.path for hit in hits] == [path for path, _ in truth.rank(query, 5)]


# Read-only


def without_privileges() -> None:
    """Let permissions count for this process and what it becomes, even for root (see capabilities(7))."""
    drop, override, read_search, owner = 24, 1, 2, 3
    for capability in (override, read_search, owner):
        ctypes.CDLL(None).prctl(drop, capability, 0, 0, 0)


def restricted(
    *args: Any, home: Path, more: dict[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """The command line for somebody who may not write what is marked read-only."""
    return subprocess.run(
        [sys.executable, "-m", "simsearch", *map(str, args)],
        cwd=REPO,
        env={**os.environ, "XDG_CACHE_HOME": str(home), "XDG_DATA_HOME": str(home), **(more or {})},
        capture_output=True,
        timeout=900,
        check=False,
        preexec_fn=without_privileges,
    )


def test_a_read_only_index_answers_and_says_why_it_cannot_be_written(
    small_photos: Maker, tmp_path: Path
) -> None:
    folder, index, home = small_photos(10), tmp_path / "index", tmp_path / "home"
    run(folder, index)
    picture(3).resize((200, 150)).save(tmp_path / "new.png")
    before = {path: path.read_bytes() for path in index.rglob("*") if path.is_file()}
    for path in (*index.rglob("*"), index):
        path.chmod(0o555 if path.is_dir() else 0o444)

    own = sorted((folder / "a").iterdir())[1]
    for query in (own, tmp_path / "new.png"):
        done = restricted("query", query, "-k", 3, "-i", index, "--format", "paths", home=home)
        assert done.returncode == 0, done.stderr
        expected = find_similar(query, index, k=3)[0].hits
        assert done.stdout.decode().splitlines() == [hit.path for hit in expected]
    for command in ("info", "verify"):
        done = restricted(command, "-i", index, home=home)
        assert (done.returncode, done.stderr) == (0, b""), done.stderr
    for command in (("index", folder), ("compact",), ("remove", folder, "--yes"), ("rebuild",)):
        done = restricted(*command, "-i", index, home=home)
        assert done.returncode == 1
        assert b"Check the folder's permissions" in done.stderr, done.stderr
        assert b"Traceback" not in done.stderr
    assert {path: path.read_bytes() for path in index.rglob("*") if path.is_file()} == before
    for path in (index, *index.rglob("*")):
        path.chmod(0o755)


# Moved


def test_an_index_that_was_moved_is_the_same(small_photos: Maker, tmp_path: Path) -> None:
    folder = small_photos(10)
    run(folder, tmp_path / "one")
    before = find_similar(folder / "a" / "0001.jpg", tmp_path / "one", k=5)
    (tmp_path / "elsewhere").mkdir()
    moved = tmp_path / "elsewhere" / "two"
    shutil.move(tmp_path / "one", moved)
    assert find_similar(folder / "a" / "0001.jpg", moved, k=5) == before
    picture(60).save(folder / "new.png")
    report = run((), moved)
    assert (report.added, report.unchanged) == (1, 10)
    assert verify(moved).ok


def test_a_whole_index_may_lie_behind_a_link(small_photos: Maker, tmp_path: Path) -> None:
    folder = small_photos(10)
    (tmp_path / "large disk").mkdir()
    (tmp_path / "index").symlink_to(tmp_path / "large disk")
    assert run(folder, tmp_path / "index").added == 10
    shutil.rmtree(folder / "a")
    report = index_folder((), tmp_path / "index", IndexingConfig(prune=True, yes=True))
    assert (report.removed, compact(tmp_path / "index").dropped) == (5, 5)
    assert verify(tmp_path / "index").ok
    assert_answers(tmp_path / "large disk")
    assert (tmp_path / "index").is_symlink()


def test_an_open_index_is_read_on_while_its_folder_is_moved(small_photos: Maker, tmp_path: Path) -> None:
    folder = small_photos(10)
    run(folder, tmp_path / "one")
    with Index.open(tmp_path / "one") as opened:
        query = opened.vectors([1])
        hits = opened.search(query, 3)
        (tmp_path / "one").rename(tmp_path / "two")
        assert opened.search(query, 3) == hits


# Network disks


def test_file_systems_that_share_no_memory_are_known(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    mounts = tmp_path / "mountinfo"
    line = "36 35 98:0 / {place} rw,noatime master:1 - {kind} /dev/source rw\n"
    for kind, network in {
        "ext4": False, "fuseblk": False, "tmpfs": False, "btrfs": False,
        "nfs4": True, "cifs": True, "9p": True, "fuse.sshfs": True, "fuse": True, "virtiofs": True,
    }.items():  # fmt: skip
        root = line.format(place="/", kind="ext4" if network else "nfs")
        mounts.write_text(root + line.format(place=tmp_path / "deep", kind=kind))
        assert network_filesystem(tmp_path / "deep" / "er", mounts) is network, kind
    # A blank in a mount point is written as an octal escape.
    (tmp_path / "a b").mkdir()
    mounts.write_text(line.format(place=f"{tmp_path}/a\\040b", kind="nfs"))
    assert network_filesystem(tmp_path / "a b", mounts)
    assert not network_filesystem(tmp_path, mounts)
    assert not network_filesystem(tmp_path, tmp_path / "no such file")


def test_an_index_on_a_network_disk_works_without_the_write_ahead_log(
    small_photos: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simsearch.storage.database.network_filesystem", lambda _: True)
    folder, index, notes = small_photos(12), tmp_path / "index", list[str]()
    run(folder, index, notes)
    assert [note for note in notes if "a network disk?" in note]
    with sqlite3.connect(index / "index.db") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    with Index.open(index) as opened:
        assert len(opened) == 12
        picture(80).save(folder / "new.png")
        # The index is written while a reader has it open.
        assert run((), index).added == 1
        assert len(opened) == 13
    assert not [name for name in os.listdir(index) if name.endswith(("-wal", "-shm"))]
    assert_answers(index)
    assert verify(index).ok
    # Brought back to a local disk it gets its log again.
    monkeypatch.undo()
    run((), index)
    with sqlite3.connect(index / "index.db") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


# Case


@pytest.fixture
def folding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which names are found whatever their case, as Windows and most Macs do it.

    Looking up is imitated; listing, reading and renaming are those of this machine's file system.
    """
    root = os.fsencode(tmp_path / "disk")
    os.mkdir(root)

    def as_stored(path: Any) -> Any:
        if not isinstance(path, (str, bytes, os.PathLike)):
            return path
        raw = os.path.normpath(os.fsencode(path))
        if not raw.startswith(root + b"/"):
            return path
        place = root
        for part in raw[len(root) + 1 :].split(b"/"):
            names = listdir(place) if isdir(place) else []
            same = [name for name in names if name.lower() == part.lower()]
            place = os.path.join(place, part if part in names or not same else same[0])
        return place if isinstance(path, bytes) else os.fsdecode(place)

    listdir, real_stat = os.listdir, os.stat

    def isdir(path: bytes) -> bool:
        try:
            return bool(real_stat(path).st_mode & 0o040000)
        except OSError:
            return False

    for name in ("stat", "lstat", "open", "scandir"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda path, *a, real=real, **k: real(as_stored(path), *a, **k))
    monkeypatch.setattr(os, "listdir", lambda path=".": listdir(as_stored(path)))
    return tmp_path / "disk"


def test_two_spellings_of_a_folder_are_one_root(folding: Path, tmp_path: Path) -> None:
    (folding / "Photos" / "Sub").mkdir(parents=True)
    for n in range(4):
        picture(n).save(folding / "Photos" / "Sub" / f"IMG_{n}.PNG")
    age(folding)
    assert folds_case(os.fsencode(folding / "photos"))
    assert canonical(folding / "pHOTOS" / "sub") == os.fsencode(folding / "Photos" / "Sub")
    assert canonical(folding / "photos" / "SUB" / "img_1.png") == os.fsencode(
        folding / "Photos" / "Sub" / "IMG_1.PNG"
    )
    assert run(folding / "photos", tmp_path / "index").added == 4
    assert run(folding / "PHOTOS", tmp_path / "index").unchanged == 4
    assert run(folding / "PHOTOS" / "sub", tmp_path / "index").unchanged == 4
    with Index.open(tmp_path / "index") as opened:
        assert opened.info().roots == (str(folding / "Photos"),)


def test_a_name_that_only_changed_its_case_has_moved(folding: Path, tmp_path: Path) -> None:
    (folding / "Photos").mkdir()
    for n in range(4):
        picture(n).save(folding / "Photos" / f"IMG_{n}.PNG")
    age(folding)
    run(folding / "Photos", tmp_path / "index")
    os.rename(folding / "Photos" / "IMG_1.PNG", folding / "Photos" / "img_1.png")
    report = run((), tmp_path / "index")
    assert (report.moved, report.unchanged, report.added, report.embedded) == (1, 3, 0, 0)
    with Index.open(tmp_path / "index") as opened:
        assert sorted(Path(path).name for photo in opened.photos() for path in photo.paths) == [
            "IMG_0.PNG", "IMG_2.PNG", "IMG_3.PNG", "img_1.png",
        ]  # fmt: skip
    # The folder itself too: it is still the same root, under the name that it was indexed by.
    os.rename(folding / "Photos", folding / "PHOTOS")
    assert run(folding / "photos", tmp_path / "index").unchanged == 4


def test_this_machines_own_file_system_is_asked(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    assert not folds_case(os.fsencode(tmp_path / "photos"))
    assert not folds_case(b"/")
    (tmp_path / "PHOTOS").mkdir()
    assert canonical(tmp_path / "PHOTOS") == os.fsencode(tmp_path / "PHOTOS")
