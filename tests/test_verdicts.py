"""Verdicts by content: what they silence, that they last, and that a crash or damage costs no other one."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import REPO

from simsearch import Index, SimsearchError, index_folder
from simsearch.dedup.verdicts import Verdicts
from simsearch.engine.indexing import IndexingConfig
from simsearch.engine.maintenance.compact import compact
from simsearch.engine.maintenance.view import rebuild
from simsearch.errors import FormatUnknown, IndexDamaged, IndexMissing, IndexUnwritable
from simsearch.models.choice import ModelChoice
from simsearch.storage.answers import VERDICTS, Mended, mend, problems

A, B, C, D = (bytes([n]) * 32 for n in b"ABCD")


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """A folder that passes for an index: verdicts look at nothing else in it."""
    folder = tmp_path / "index"
    folder.mkdir()
    (folder / "index.db").touch()
    return folder


def sets(folder: Path) -> list[tuple[str, dict[bytes, int]]]:
    with Verdicts.open(folder) as verdicts:
        return [(verdict.kind, dict(verdict.contents)) for verdict in verdicts.all()]


def test_without_a_verdict_nothing_is_silent_and_no_file_is_made(index: Path) -> None:
    with Verdicts.open(index) as verdicts:
        assert verdicts.all() == ()
        assert not verdicts.silences([A, B])
        assert not verdicts.silences([])
        assert not verdicts.parts(A, B)
        assert verdicts.forget([A]) == 0
        assert verdicts.labels() == ()
    assert not (index / VERDICTS).exists()
    assert problems(index) == ()
    with pytest.raises(IndexMissing, match="no index"):
        Verdicts.open(index.parent / "other")


def test_a_group_that_is_all_kept_is_silent_until_a_new_copy_comes(index: Path) -> None:
    with Verdicts.open(index) as verdicts:
        verdicts.keep_all([A, B, C])
    with Verdicts.open(index) as verdicts:
        assert verdicts.silences([A, B, C])
        assert verdicts.silences([C, A])
        assert not verdicts.silences([A, B, C, D])
        assert not verdicts.silences([A, D])
        verdicts.keep_all([A, B, C, D])
        assert verdicts.silences([A, B, C, D])
        assert verdicts.silences([D, B])
        # The later verdict says all that the earlier one said.
        assert [dict(verdict.contents) for verdict in verdicts.all()] == [{A: 1, B: 1, C: 1, D: 1}]


def test_another_file_of_a_kept_content_is_a_new_copy(index: Path) -> None:
    with Verdicts.open(index) as verdicts:
        verdicts.keep_all([A, B])
        assert not verdicts.silences([A, A, B])
        verdicts.keep_all([A, A, B])
        assert verdicts.silences([A, A, B])
        assert not verdicts.silences([A, A, B, B])
        verdicts.keep_all([C, C])
        assert verdicts.silences([C, C])
        assert not verdicts.silences([C, C, C])


def test_two_verdicts_on_parts_of_a_group_are_none_on_the_whole(index: Path) -> None:
    with Verdicts.open(index) as verdicts:
        verdicts.keep_all([A, B])
        verdicts.keep_all([B, C])
        assert verdicts.silences([A, B])
        assert verdicts.silences([B, C])
        assert not verdicts.silences([A, B, C])


def test_of_contents_that_are_different_every_pair_is(index: Path) -> None:
    with Verdicts.open(index) as verdicts:
        verdicts.different([A, B, C])
        verdicts.different([C, D])
        told = {(x, y) for x in (A, B, C, D) for y in (A, B, C, D) if verdicts.parts(x, y)}
        assert told == {(A, B), (B, A), (A, C), (C, A), (B, C), (C, B), (C, D), (D, C)}
        assert not verdicts.silences([A, B])


def test_verdicts_that_say_nothing_are_refused(index: Path) -> None:
    with Verdicts.open(index) as verdicts:
        with pytest.raises(SimsearchError, match="same bytes cannot be called different"):
            verdicts.different([A, A])
        with pytest.raises(SimsearchError, match="two files or more"):
            verdicts.keep_all([A])
        with pytest.raises(SimsearchError, match="need no label"):
            verdicts.put_label(A, A, True)
    assert not (index / VERDICTS).exists()


def test_forgetting_takes_back_what_a_content_is_part_of(index: Path) -> None:
    with Verdicts.open(index) as verdicts:
        verdicts.keep_all([A, B])
        verdicts.different([B, C])
        verdicts.keep_all([C, D])
        assert verdicts.forget([B]) == 2
        assert not verdicts.silences([A, B])
        assert not verdicts.parts(B, C)
        assert verdicts.silences([C, D])
    assert sets(index) == [("keep-all", {C: 1, D: 1})]


def test_the_last_label_of_a_pair_counts(index: Path) -> None:
    with Verdicts.open(index) as verdicts:
        verdicts.put_label(B, A, True)
        verdicts.put_label(C, A, False)
        verdicts.put_label(A, B, False)
    with Verdicts.open(index) as verdicts:
        found = [(label.first, label.second, label.same) for label in verdicts.labels()]
        assert sorted(found) == [(A, B, False), (A, C, False)]


def test_what_another_process_writes_is_seen(index: Path) -> None:
    with Verdicts.open(index) as reader, Verdicts.open(index) as writer:
        writer.keep_all([A, B])
        assert not reader.silences([A, B])
        reader.refresh()
        assert reader.silences([A, B])


def test_verdicts_outlive_moves_new_scans_compaction_and_a_rebuild(
    small_photos: Callable[[int], Path], tmp_path: Path
) -> None:
    folder, index = small_photos(6), tmp_path / "index"
    config = IndexingConfig(choice=ModelChoice(model="efficientnet_lite0"))
    index_folder(folder, index, config)
    with Index.open(index) as opened:
        first, second, third, *_ = [bytes.fromhex(photo.sha256) for photo in opened.photos()]
    with Verdicts.open(index) as verdicts:
        verdicts.keep_all([first, second])
        verdicts.different([second, third])
    before = (index / VERDICTS).read_bytes()

    (folder / "a").rename(folder / "renamed")
    next((folder / "b").iterdir()).unlink()
    index_folder(folder, index, IndexingConfig(prune=True, yes=True))
    compact(index)
    rebuild(index)

    assert (index / VERDICTS).read_bytes() == before
    with Verdicts.open(index) as verdicts:
        assert verdicts.silences([second, first])
        assert verdicts.parts(third, second)


def test_a_damaged_verdict_is_told_of_and_costs_no_other_one(index: Path) -> None:
    with Verdicts.open(index) as verdicts:
        for other in (B, C, D):
            verdicts.different([A, other])
    with sqlite3.connect(index / VERDICTS) as connection:
        connection.execute("UPDATE verdicts SET contents = 7 WHERE id = 2")
    connection.close()
    assert sets(index) == [("different", {A: 1, B: 1}), ("different", {A: 1, D: 1})]
    (problem,) = problems(index)
    assert (problem.file, problem.what) == (VERDICTS, "1 of its verdicts are not what was written")
    assert problem.mend == f"simsearch index --repair -i {index}"
    assert mend(index) == Mended(kept=2, lost=1, aside=None)
    assert problems(index) == ()
    assert sets(index) == [("different", {A: 1, B: 1}), ("different", {A: 1, D: 1})]
    assert mend(index) is None


def test_of_a_damaged_page_only_its_verdicts_are_lost(index: Path) -> None:
    many = [index_of.to_bytes(32, "big") for index_of in range(400)]
    with Verdicts.open(index) as verdicts:
        for place in range(0, 400, 2):
            verdicts.keep_all(many[place : place + 2])
    whole = sets(index)
    data = (index / VERDICTS).read_bytes()
    page = next(at for at in range(4096, len(data), 4096) if many[200] in data[at : at + 4096])
    (index / VERDICTS).write_bytes(data[:page] + bytes(4096) + data[page + 4096 :])
    left = sets(index)
    assert 100 < len(left) < 200
    assert [verdict for verdict in whole if verdict in left] == left
    assert "malformed" in problems(index)[0].what
    aside = index / f"{VERDICTS}.damaged"
    assert mend(index) == Mended(kept=len(left), lost=0, aside=aside)
    assert problems(index) == ()
    assert sets(index) == left
    assert aside.stat().st_size == len(data)


def test_a_file_that_is_no_database_is_an_error_in_words_and_can_be_mended(index: Path) -> None:
    with Verdicts.open(index) as verdicts:
        verdicts.keep_all([A, B])
    data = (index / VERDICTS).read_bytes()
    (index / VERDICTS).write_bytes(b"?" * 100 + data[100:])
    with pytest.raises(IndexDamaged, match=r"verdicts\.db is damaged.*simsearch verify"):
        Verdicts.open(index)
    (problem,) = problems(index)
    assert "is damaged" in problem.what
    mend(index)
    assert sets(index) == []
    with Verdicts.open(index) as verdicts:
        verdicts.keep_all([A, B])
    assert sets(index) == [("keep-all", {A: 1, B: 1})]


def test_mending_writes_through_no_link_and_over_no_earlier_file(index: Path, tmp_path: Path) -> None:
    with Verdicts.open(index) as verdicts:
        verdicts.keep_all([A, B])
    data = b"?" * 100 + (index / VERDICTS).read_bytes()[100:]
    outside, aside = tmp_path / "outside", index / f"{VERDICTS}.damaged"
    outside.write_bytes(b"of the user")
    aside.symlink_to(outside)
    for number in (2, 3):
        (index / VERDICTS).unlink()
        (index / VERDICTS).write_bytes(data)
        assert mend(index) == Mended(0, 0, index / f"{VERDICTS}.damaged-{number}")
    assert outside.read_bytes() == b"of the user"
    assert [(index / f"{VERDICTS}.damaged-{number}").read_bytes() for number in (2, 3)] == [data, data]
    (tmp_path / "elsewhere").write_bytes(data)
    (index / VERDICTS).unlink()
    (index / VERDICTS).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(IndexUnwritable, match="is a link"):
        mend(index)
    assert (tmp_path / "elsewhere").read_bytes() == data


def test_mending_needs_no_second_name_for_a_file(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: object) -> None:
        raise PermissionError("no hard links here")

    (index / VERDICTS).write_bytes(b"?" * 5000)
    monkeypatch.setattr(os, "link", link)
    assert mend(index) == Mended(0, 0, index / f"{VERDICTS}.damaged")
    assert (index / f"{VERDICTS}.damaged").read_bytes() == b"?" * 5000


def test_an_answer_that_comes_while_a_file_is_mended_is_in_the_new_one(
    index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = [number.to_bytes(32, "big") for number in range(400)]
    with Verdicts.open(index) as verdicts:
        for place in range(0, 400, 2):
            verdicts.keep_all(many[place : place + 2])
    data = (index / VERDICTS).read_bytes()
    page = next(at for at in range(4096, len(data), 4096) if many[200] in data[at : at + 4096])
    (index / VERDICTS).write_bytes(data[:page] + bytes(4096) + data[page + 4096 :])
    children, replace = [], os.replace

    def late(source: Path, target: Path) -> None:
        child = writer(index, 5000, 1)
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        children.append(child)
        # It has the damaged file open by now, and waits for its lock.
        time.sleep(0.5)
        replace(source, target)

    monkeypatch.setattr(os, "replace", late)
    left = len(sets(index))
    mended = mend(index)
    assert mended is not None
    assert mended.kept == left
    [child] = children
    assert child.wait(300) == 0
    assert len(sets(index)) == left + 1
    assert 5000 in numbers(index)
    assert problems(index) == ()


def test_every_flipped_byte_is_told_of_or_harmless(index: Path) -> None:
    with Verdicts.open(index) as verdicts:
        verdicts.keep_all([A, B])
        verdicts.different([C, D])
        verdicts.put_label(A, B, True)
    data, whole = (index / VERDICTS).read_bytes(), sets(index)
    rng = random.Random(1)
    used = [at for at, byte in enumerate(data) if byte]
    for at in [*range(0, 100, 7), *rng.sample(used, 60)]:
        (index / VERDICTS).write_bytes(data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :])
        try:
            found = sets(index)
        except (IndexDamaged, FormatUnknown):
            assert problems(index)
            continue
        assert all(verdict in whole for verdict in found)
        assert found == whole or problems(index)


def test_a_newer_format_is_refused(index: Path) -> None:
    with Verdicts.open(index) as verdicts:
        verdicts.keep_all([A, B])
    with sqlite3.connect(index / VERDICTS) as connection:
        connection.execute("PRAGMA user_version=2")
    connection.close()
    with pytest.raises(FormatUnknown, match="format 2"):
        Verdicts.open(index)
    assert [problem.mend for problem in problems(index)] == ["see there"]


def test_nothing_is_written_through_a_link(index: Path, tmp_path: Path) -> None:
    (index / VERDICTS).symlink_to(tmp_path / "elsewhere")
    with Verdicts.open(index) as verdicts, pytest.raises(IndexUnwritable, match="is a link"):
        verdicts.keep_all([A, B])
    assert not (tmp_path / "elsewhere").exists()


WRITER = """
import sys
from pathlib import Path
from simsearch.dedup.verdicts import Verdicts
start = int(sys.argv[2])
with Verdicts.open(Path(sys.argv[1])) as verdicts:
    print("ready", flush=True)
    for number in range(start, start + int(sys.argv[3])):
        verdicts.keep_all([number.to_bytes(32, "big"), (number + 1_000_000).to_bytes(32, "big")])
        print(number, flush=True)
"""


def writer(index: Path, start: int, many: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", WRITER, str(index), str(start), str(many)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, cwd=REPO)


def numbers(index: Path) -> list[int]:
    return [int.from_bytes(min(contents), "big") for _, contents in sets(index)]


def test_a_killed_writer_leaves_every_verdict_it_told_of_and_at_most_one_more(index: Path) -> None:
    rng, wanted = random.Random(7), 0
    for run in range(20):
        child = writer(index, wanted, 100_000)
        assert child.stdout is not None
        # Every fourth is killed at its first verdict, while the file is made or opened for it.
        told = wanted + len([child.stdout.readline() for _ in range(1 + run % 4)]) - 1
        time.sleep(rng.uniform(0, 0.03))
        os.kill(child.pid, signal.SIGKILL)
        told += len(child.stdout.read().splitlines())
        child.wait()
        assert problems(index) == ()
        found = numbers(index)
        assert found == list(range(len(found)))
        assert len(found) in (told, told + 1)
        wanted = len(found)
    assert wanted >= 30


def test_two_processes_write_at_once_and_nothing_is_lost(index: Path) -> None:
    children = [writer(index, start, 40) for start in (0, 1000)]
    for child in children:
        child.communicate()
    assert [child.returncode for child in children] == [0, 0]
    assert sorted(numbers(index)) == [*range(40), *range(1000, 1040)]
    assert problems(index) == ()


def test_a_folder_of_verdicts_is_carried_by_copying_it(index: Path, tmp_path: Path) -> None:
    with Verdicts.open(index) as verdicts:
        verdicts.different([A, B])
    shutil.copytree(index, tmp_path / "copy")
    assert sets(tmp_path / "copy") == [("different", {A: 1, B: 1})]
