"""Very many files, very many in one folder, very long paths: counted right, in flat memory."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import picture, simsearch
from crash.format0 import seal

from simsearch import Index, find_similar, index_folder
from simsearch.engine.indexing import IndexingConfig
from simsearch.engine.maintenance.verify import verify
from simsearch.models.choice import ModelChoice

LITE0 = ("--model", "efficientnet_lite0")
PICTURES = 200
"""Different pictures; all other files are copies of them."""


def fill(folder: Path, folders: int, each: int) -> int:
    """`folders` folders of `each` files with the bytes of 200 tiny pictures; how many files."""
    then = time.time() - 1000
    data = []
    for n in range(PICTURES):
        picture(n, (8, 8)).save(folder.parent / "one.png", compress_level=9)
        # Each has a size of its own, by which it is told; what follows the end of a PNG is not read.
        data.append((folder.parent / "one.png").read_bytes().ljust(300 + n, b"\0"))
    for place in range(folders):
        here = folder / f"{place:04d}"
        if here.exists():
            continue
        here.mkdir(parents=True)
        fd = os.open(here, os.O_RDONLY)
        for n in range(each):
            name = f"{n:06d}.png"
            file = os.open(name, os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=fd)
            os.write(file, data[(place + n) % PICTURES])
            os.close(file)
            os.utime(name, (then, then), dir_fd=fd)
        os.close(fd)
    return folders * each


def measured(*args: str | Path) -> tuple[dict[str, Any], float]:
    """The report of the command line and the peak memory of its own process, in MiB."""
    code = (
        "import re, sys; from simsearch.cli import run; code = run(sys.argv[1:]); "
        # Not ru_maxrss, which begins with what the parent had at the fork.
        "print(re.search(r'VmHWM:\\s*(\\d+)', open('/proc/self/status').read())[1], file=sys.stderr); "
        "sys.exit(code)"
    )
    command = [sys.executable, "-c", code, *map(str, args), "--json", "-q"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=3600)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), int(done.stderr.split()[-1]) / 1024


def assert_runs(folder: Path, index: Path, files: int) -> tuple[float, float]:
    """A first run, one with nothing to do, and one with a new file; peaks of the first two in MiB."""
    fill(index.parent / "warm", 1, 10)
    measured("index", index.parent / "warm", "-i", index.parent / "warm-index", *LITE0)
    report, first = measured("index", folder, "-i", index, *LITE0)
    assert (report["scanned"], report["added"], report["embedded"]) == (files, files, PICTURES)
    again, second = measured("index", "-i", index)
    assert (again["unchanged"], again["embedded"]) == (files, 0)
    seconds = f"{report['seconds']:.0f} s, {again['seconds']:.0f} s"
    print(f"{files} files: {seconds}; peaks {first:.0f} and {second:.0f} MiB")
    with Index.open(index) as opened:
        assert (len(opened), opened.info().files) == (PICTURES, files)
        [hits] = opened.search(opened.vectors([1]), 1)
        assert len(hits[0].copies) == files // PICTURES - 1
    return first, second


def test_thousands_of_copies_in_one_folder(tmp_path: Path) -> None:
    files = fill(tmp_path / "photos", 1, 4000)
    assert_runs(tmp_path / "photos", tmp_path / "index", files)


@pytest.mark.proof
def test_a_hundred_thousand_files_in_one_folder(tmp_path: Path) -> None:
    files = fill(tmp_path / "photos", 1, 100_000)
    assert_runs(tmp_path / "photos", tmp_path / "index", files)
    shutil.rmtree(tmp_path / "photos")


def enter(folder: Path, index: Path) -> None:
    """Enter all files into the index as a first run does, by docs/format.md; all are copies."""
    connection = sqlite3.connect(index / "index.db")
    known = dict(connection.execute("SELECT sha256, id FROM contents"))
    [root] = connection.execute("SELECT id FROM roots").fetchone()
    entered = {relpath for (relpath,) in connection.execute("SELECT relpath FROM files")}
    ids = {}
    rows = []
    for place in os.scandir(folder):
        for file in os.scandir(place):
            relpath = os.fsencode(os.path.relpath(file.path, folder))
            stat = file.stat()
            if stat.st_size not in ids:
                ids[stat.st_size] = known[hashlib.sha256(Path(file.path).read_bytes()).digest()]
            if relpath in entered:
                continue
            times = (stat.st_size, stat.st_mtime_ns, stat.st_ino, stat.st_dev, time.time_ns())
            values = (root, relpath, *times, ids[stat.st_size], None, 0)
            rows.append((*values, seal(values)))
    names = "root_id, relpath, size, mtime_ns, inode, device, read_ns, content_id, reason, transient, seal"
    marks = ", ".join("?" * 11)
    connection.executemany(f"INSERT INTO files ({names}) VALUES ({marks})", rows)
    connection.commit()
    connection.close()


@pytest.mark.proof
def test_a_million_files(tmp_path: Path) -> None:
    folder, index = tmp_path / "many", tmp_path / "index"
    fill(folder, 1, 1000)
    measured("index", folder, "-i", index, *LITE0)
    small, peak = measured("index", "-i", index)
    assert small["unchanged"] == 1000
    files = fill(folder, 1000, 1000)
    enter(folder, index)
    (folder / "0999" / "000999.png").unlink()
    picture(5000, (8, 8)).save(folder / "0500" / "new.png")
    report, most = measured("index", "-i", index)
    print(f"{files} files: {report['seconds']:.0f} s; peaks {peak:.0f} and {most:.0f} MiB")
    counts = {key: report[key] for key in ("scanned", "unchanged", "added", "embedded", "gone")}
    assert counts == {"scanned": files, "unchanged": files - 1, "added": 1, "embedded": 1, "gone": 1}
    # Flat in the number of files: the second run embeds a photo, for which it loads the network.
    assert most < peak + 150
    with Index.open(index) as opened:
        assert opened.info().files == files + 1
        [hits] = opened.search(opened.vectors([1]), 3)
        assert len(hits) == 3
    # Whoever runs the tests next would wait for a million deletions.
    shutil.rmtree(folder)


def long_folder(root: Path, size: int) -> bytes:
    """A folder whose path has `size` bytes, made step by step."""
    path = os.fsencode(root)
    os.makedirs(path, exist_ok=True)
    while len(path) < size:
        left = size - len(path) - 1
        # No name may have more than 255 bytes, and the last one at least one.
        step = left if left <= 255 else min(255, left - 2)
        path += b"/" + b"d" * step
        os.mkdir(path)
    return path


def test_a_path_of_four_thousand_bytes(tmp_path: Path) -> None:
    folder = long_folder(tmp_path / "deep", 3991)
    deep = folder + b"/eight.png"
    assert len(deep) == 4001
    picture(1).save(os.fsdecode(deep))
    picture(2).save(tmp_path / "deep" / "shallow.png")
    index, config = tmp_path / "index", IndexingConfig(choice=ModelChoice(model="efficientnet_lite0"))
    report = index_folder(tmp_path / "deep", index, config)
    assert (report.added, report.skipped) == (2, ())
    [result] = find_similar(os.fsdecode(deep), index, k=1)
    assert result.hits[0].path == str(tmp_path / "deep" / "shallow.png")
    [result] = find_similar(tmp_path / "deep" / "shallow.png", index, k=1)
    assert result.hits[0].path == os.fsdecode(deep)
    assert verify(index, deep=True).ok
    shown = simsearch("query", tmp_path / "deep" / "shallow.png", "-i", index, "--format", "paths")
    assert os.fsencode(result.hits[0].path) == shown.stdout.rstrip(b"\n")
    assert index_folder(folder, index).unchanged + index_folder((), index).scanned >= 2


def test_what_lies_deeper_than_any_path_may_be_is_listed_and_stops_nothing(tmp_path: Path) -> None:
    folder = long_folder(tmp_path / "deep", 4000)
    picture(1).save(tmp_path / "deep" / "shallow.png")
    before = os.open(".", os.O_RDONLY)
    os.chdir(folder)
    try:
        os.mkdir("e" * 200)
        os.chdir("e" * 200)
        picture(2).save("too-deep.png")
    finally:
        os.fchdir(before)
        os.close(before)
    config = IndexingConfig(choice=ModelChoice(model="efficientnet_lite0"))
    report = index_folder(tmp_path / "deep", tmp_path / "index", config)
    assert report.added == 1
    [skipped] = report.skipped
    assert skipped.transient
    assert "name too long" in skipped.reason.lower()
