"""Very many files, very many in one folder, very long paths: counted right, in flat memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import picture, simsearch

from simsearch import Index, find_similar, index_folder
from simsearch.engine.indexing import IndexingConfig
from simsearch.engine.maintenance.verify import verify
from simsearch.models.choice import ModelChoice

Faults = Callable[..., None]
LITE0 = ("--model", "efficientnet_lite0")
PICTURES = 200
"""Different pictures; all other files are copies of them."""


def fill(folder: Path, folders: int, each: int) -> int:
    """`folders` folders of `each` files with the bytes of 200 tiny pictures; how many files."""
    then = time.time() - 1000
    data = []
    for n in range(PICTURES):
        picture(n, (8, 8)).save(folder.parent / "one.png", compress_level=9)
        data.append((folder.parent / "one.png").read_bytes())
    for place in range(folders):
        here = folder / f"{place:04d}"
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
        "import resource, sys; from simsearch.cli import run; code = run(sys.argv[1:]); "
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr); sys.exit(code)"
    )
    command = [sys.executable, "-c", code, *map(str, args), "--json", "-q"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1800)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), int(done.stderr.split()[-1]) / 1024


def assert_runs(folder: Path, index: Path, files: int) -> tuple[float, float]:
    """A first run, one with nothing to do, and one with a new file; peaks of the first two in MiB."""
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
def test_a_hundred_thousand_files_in_one_folder(tmp_path: Path, faults: Faults) -> None:
    files = fill(tmp_path / "photos", 1, 100_000)
    assert_runs(tmp_path / "photos", tmp_path / "index", files)
    faults("files in one folder", tried=files)


@pytest.mark.proof
def test_a_million_files(tmp_path: Path, faults: Faults) -> None:
    few = fill(tmp_path / "few", 40, 1000)
    first, second = assert_runs(tmp_path / "few", tmp_path / "few-index", few)
    files = fill(tmp_path / "many", 1000, 1000)
    most, again = assert_runs(tmp_path / "many", tmp_path / "many-index", files)
    # Flat: 25 times as many files may not cost more than the hits' own copies do.
    assert most < 1.15 * first + 100
    assert again < 1.15 * second + 100
    faults("files below one folder", tried=files)


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
