"""The walk: bytewise order, what is passed over, what cannot be looked into."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from simsearch.media.formats import recognise
from simsearch.media.scan import ScannedFile, ScanRules, root_state, scan


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def names(folder: Path, below: str = "", rules: ScanRules | None = None) -> list[str]:
    found = list(scan(os.fsencode(folder), below.encode(), rules))
    assert all(isinstance(item, ScannedFile) for item in found)
    return [os.fsdecode(item.relpath) for item in found]


def test_files_come_in_bytewise_order_of_their_whole_paths(tmp_path: Path) -> None:
    touch(tmp_path, "a/z.jpg", "a/b/c.jpg", "a-b", "a.jpg", "a0", "a!/x", "B")
    expected = sorted(["a/z.jpg", "a/b/c.jpg", "a-b", "a.jpg", "a0", "a!/x", "B"], key=str.encode)
    assert names(tmp_path) == expected
    assert expected.index("a.jpg") < expected.index("a/b/c.jpg") < expected.index("a0")


def test_hidden_and_system_folders_are_passed_over(tmp_path: Path) -> None:
    touch(tmp_path, "1.jpg", ".hidden.jpg", ".git/x.jpg", "@eaDir/t.jpg", "node_modules/i.png", "._1.jpg")
    assert names(tmp_path) == ["1.jpg"]
    assert names(tmp_path, rules=ScanRules(hidden=True)) == [".hidden.jpg", "1.jpg"]


def test_excludes_are_held_against_names_and_against_paths(tmp_path: Path) -> None:
    touch(tmp_path, "a/x.jpg", "a/y.png", "b/x.jpg", "c/raw/x.jpg")
    assert names(tmp_path, rules=ScanRules(exclude=("*.png", "b"))) == ["a/x.jpg", "c/raw/x.jpg"]
    assert names(tmp_path, rules=ScanRules(exclude=("c/raw/*",))) == ["a/x.jpg", "a/y.png", "b/x.jpg"]


def test_links_to_files_are_followed_links_to_folders_are_not(tmp_path: Path) -> None:
    touch(tmp_path, "d/x.jpg")
    (tmp_path / "link.jpg").symlink_to("d/x.jpg")
    (tmp_path / "loop").symlink_to(".")
    (tmp_path / "dead.jpg").symlink_to("nowhere")
    assert names(tmp_path) == ["d/x.jpg", "link.jpg"]


def test_pipes_and_sockets_are_passed_over(tmp_path: Path) -> None:
    touch(tmp_path, "x.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s.jpg"))
        assert names(tmp_path) == ["x.jpg"]


def test_a_part_of_a_root_and_a_root_that_is_a_file(tmp_path: Path) -> None:
    touch(tmp_path, "a/x.jpg", "b/y.jpg")
    assert names(tmp_path, "b") == ["b/y.jpg"]
    assert names(tmp_path, "b/y.jpg") == ["b/y.jpg"]
    assert names(tmp_path / "a" / "x.jpg") == [""]


def test_the_folder_of_an_index_is_not_walked_into(tmp_path: Path) -> None:
    touch(tmp_path, "x.jpg", "idx/index.db", "idx/segments/000001.seg", "idx/thumb.jpg")
    assert names(tmp_path) == ["x.jpg"]


def test_the_state_of_a_root(tmp_path: Path) -> None:
    assert root_state(os.fsencode(tmp_path / "none")) == "missing"
    assert root_state(os.fsencode(tmp_path)) == "empty"
    touch(tmp_path, "x")
    assert root_state(os.fsencode(tmp_path)) == "ok"


def test_content_decides_what_is_a_picture_then_the_suffix() -> None:
    jpeg = b"\xff\xd8\xff\xe0\0\x10JFIF"
    assert recognise(jpeg, b"letter.txt")
    assert recognise(b"hello", b"photo.jpg")
    assert recognise(b"", b"photo.heic")
    for head, name in (
        (b"hello", b"a.txt"),
        (b"%PDF-1.7", b"a.pdf"),
        (b"PK\3\4", b"a.zip"),
        (b"import os", b"a.py"),
    ):
        assert not recognise(head, name)
