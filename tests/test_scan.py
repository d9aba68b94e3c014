"""Walking a folder: order, what is passed over, links, and what cannot be looked into."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from simsearch.media.scan import ScannedFile, ScanRules, Unlistable, root_state, scan


def plant(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return root


def names(root: Path, below: str = "", rules: ScanRules | None = None) -> list[str]:
    found = list(scan(os.fsencode(root), os.fsencode(below), rules))
    assert all(isinstance(f, ScannedFile) for f in found)
    return [os.fsdecode(f.relpath) for f in found]


def test_order_is_bytewise_of_the_whole_path(tmp_path: Path) -> None:
    plant(tmp_path, "a0", "a/z", "a/b/c", "a.jpg", "a-b", "B", "ä", "z", "a/b.jpg")
    # "-" < "." < "/" < "0", capitals before small letters, UTF-8's bytes last.
    assert names(tmp_path) == ["B", "a-b", "a.jpg", "a/b.jpg", "a/b/c", "a/z", "a0", "z", "ä"]


def test_names_that_are_no_utf8_keep_their_bytes(tmp_path: Path) -> None:
    for name in (b"\xff.jpg", b"new\nline.jpg", b"\xe4"):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(b"x")
    found = [f.relpath for f in scan(os.fsencode(tmp_path))]
    assert found == [b"new\nline.jpg", b"\xe4", b"\xff.jpg"]


def test_stat_is_the_files(tmp_path: Path) -> None:
    path = plant(tmp_path, "a") / "a"
    os.utime(path, ns=(5, 1_234_567_890_123_456_789))
    (found,) = scan(os.fsencode(tmp_path))
    assert isinstance(found, ScannedFile)
    real = path.stat()
    assert (found.stat.size, found.stat.mtime_ns) == (1, 1_234_567_890_123_456_789)
    assert (found.stat.inode, found.stat.device) == (real.st_ino, real.st_dev)


def test_one_folder_or_one_file_below_the_root(tmp_path: Path) -> None:
    plant(tmp_path, "a/1", "a/b/2", "c/3", "node_modules/4")
    assert names(tmp_path, "a") == ["a/1", "a/b/2"]
    assert names(tmp_path, "c/3") == ["c/3"]
    assert names(tmp_path, "missing") == []
    # What was named by its own name is taken, whatever the rules say of it.
    assert names(tmp_path, "node_modules") == ["node_modules/4"]
    assert names(tmp_path / "c" / "3") == [""]


def test_usual_junk_is_passed_over(tmp_path: Path) -> None:
    plant(tmp_path, "ok.jpg", "._ok.jpg", ".hidden.jpg", ".dir/a.jpg", "@eaDir/a.jpg", ".git/a.jpg")
    plant(tmp_path, "node_modules/a.jpg", "x/Thumbs.db", "x/.thumbnails/a.jpg", "$RECYCLE.BIN/a.jpg")
    plant(tmp_path, "#recycle/a.jpg", ".Trash-1000/a.jpg", "x/ok.jpg")
    assert names(tmp_path) == ["ok.jpg", "x/ok.jpg"]
    assert names(tmp_path, rules=ScanRules(hidden=True)) == [
        ".dir/a.jpg",
        ".hidden.jpg",
        "ok.jpg",
        "x/ok.jpg",
    ]


@pytest.mark.parametrize(
    ("glob", "left"),
    [
        ("*.png", ["a/1.jpg", "a/b/1.jpg", "b/1.jpg", "b/PNG.PNG"]),
        ("a", ["2.png", "b/1.jpg", "b/PNG.PNG"]),
        ("a/", ["2.png", "b/1.jpg", "b/PNG.PNG"]),
        ("a/b", ["2.png", "a/1.jpg", "b/1.jpg", "b/PNG.PNG"]),
        ("./a/*.jpg", ["2.png", "b/1.jpg", "b/PNG.PNG"]),
        ("[ab]/1.jpg", ["2.png", "a/b/1.jpg", "b/PNG.PNG"]),
        ("b", ["2.png", "a/1.jpg"]),
    ],
)
def test_exclude_globs(tmp_path: Path, glob: str, left: list[str]) -> None:
    plant(tmp_path, "a/1.jpg", "a/b/1.jpg", "b/1.jpg", "2.png", "b/PNG.PNG")
    assert names(tmp_path, rules=ScanRules(exclude=(glob,))) == left


def test_links_to_files_are_followed_and_others_not(tmp_path: Path) -> None:
    outside = plant(tmp_path / "outside", "far.jpg", "more/deep.jpg")
    root = plant(tmp_path / "root", "sub/near.jpg")
    (root / "file").symlink_to(outside / "far.jpg")
    (root / "folder").symlink_to(outside / "more")
    (root / "dangling").symlink_to(root / "nowhere")
    (root / "itself").symlink_to("itself")
    (root / "sub" / "up").symlink_to("..")
    assert names(root) == ["file", "sub/near.jpg"]
    (found, _) = scan(os.fsencode(root))
    assert isinstance(found, ScannedFile)
    assert found.stat.inode == (outside / "far.jpg").stat().st_ino
    # A root that is a link is followed: it was named.
    assert names(root / "folder") == ["deep.jpg"]


def test_pipes_and_sockets_are_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(tmp_path, "b.jpg")
    os.mkfifo(tmp_path / "a.jpg")
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind("c.jpg")
        assert names(tmp_path) == ["b.jpg"]


def test_an_index_is_not_walked_into(tmp_path: Path) -> None:
    plant(tmp_path, "a.jpg", "idx/index.db", "idx/segments/0.jpg", "idx/b.jpg", "other/index.db")
    assert names(tmp_path) == ["a.jpg", "other/index.db"]


def test_depth_is_no_limit(tmp_path: Path) -> None:
    # Past the interpreter's limit of 1,000 calls, within the system's of 4,096 bytes a path.
    depth = 1200
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=here)
        deeper = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(os.open("leaf", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)
    try:
        assert names(tmp_path) == ["d/" * depth + "leaf"]
    finally:
        # shutil.rmtree, by which pytest clears old folders, recurses and would fail on this tree.
        subprocess.run(["rm", "-rf", str(tmp_path / "d")], check=True)


def test_what_vanishes_meanwhile_is_passed_over(tmp_path: Path) -> None:
    plant(tmp_path, "a", "b", "c/d", "e")
    walk = scan(os.fsencode(tmp_path))
    first = next(walk)
    (tmp_path / "b").unlink()
    (tmp_path / "c" / "d").unlink()
    (tmp_path / "c").rmdir()
    assert [f.relpath for f in (first, *walk)] == [b"a", b"e"]


def test_a_folder_that_may_not_be_listed_is_told(tmp_path: Path) -> None:
    plant(tmp_path, "a", "locked/b", "z")
    (tmp_path / "locked").chmod(0)
    tmp_path.chmod(0o755)
    # Root may list everything, so the child becomes nobody; from inside, it needs no right to the way there.
    code = (
        "import json, os\n"
        "from simsearch.media.scan import root_state, scan\n"
        "if os.getuid() == 0: os.setgid(65534), os.setuid(65534)\n"
        "found = [(os.fsdecode(f.relpath), getattr(f, 'reason', '')) for f in scan(b'.')]\n"
        "print(json.dumps([found, root_state(b'./locked')]))\n"
    )
    try:
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, check=True)
    finally:
        (tmp_path / "locked").chmod(0o700)
    found, state = json.loads(done.stdout)
    assert found == [["a", ""], ["locked", "cannot be looked into: Permission denied"], ["z", ""]]
    assert state == "ok"


def test_a_name_that_is_too_long_is_told(tmp_path: Path) -> None:
    (found,) = scan(os.fsencode(tmp_path), b"n" * 300)
    assert isinstance(found, Unlistable)
    assert found.reason == "cannot be looked into: File name too long"


def test_state_of_a_root(tmp_path: Path) -> None:
    plant(tmp_path / "full", "a")
    (tmp_path / "void").mkdir()
    states = [root_state(os.fsencode(tmp_path / name)) for name in ("full", "full/a", "void", "gone")]
    assert states == ["ok", "ok", "empty", "missing"]
