"""Several processes and one index: a writer and readers, two writers, Ctrl-C and kill -9, many photos."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from children import is_running, start, wait_for, workers_of
from conftest import REPO, age, picture, simsearch, small_pngs
from oracle import read_index

from simsearch import Index
from simsearch.engine.ranking import Wanted

Maker = Callable[[int], Path]
LITE0 = ("--model", "efficientnet_lite0")


def count(index: Path) -> int:
    try:
        with Index.open(index) as opened:
            return len(opened)
    except Exception:
        return 0


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """1,500 small photos: some ten seconds of work, with several commits."""
    return small_pngs(tmp_path / "many", range(1500))


def test_queries_are_right_throughout_while_another_process_indexes(many: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    writer = start("index", many, "-i", index, *LITE0, "-q")
    wait_for(lambda: count(index) >= 10)
    sizes = set()
    with Index.open(index) as reader:
        query = reader.vectors([1])
        while writer.poll() is None:
            # Not centred: the mean moves with every commit.
            [hits] = reader.rank(query, Wanted(10, center=False))
            truth = dict(zip(*read_ids(index), strict=True))
            sizes.add(len(reader))
            assert len(hits) == 10
            assert len({hit.id for hit in hits}) == 10
            assert [h.score for h in hits] == sorted((h.score for h in hits), reverse=True)
            for hit in hits:
                assert hit.score == pytest.approx(float(truth[hit.id] @ query[0]), abs=1e-5)
        assert len(reader) == 1500
    assert writer.wait() == 0
    assert len(sizes) >= 3
    truth_now = read_index(index)
    with Index.open(index) as opened:
        [hits] = opened.search(query, 10)
    assert [h.path for h in hits] == [path for path, _ in truth_now.rank(query[0], 10)]


def read_ids(index: Path) -> tuple[list[int], np.ndarray]:  # type: ignore[type-arg]
    truth = read_index(index)
    return truth.ids, truth.vectors


def test_a_second_writer_is_told_who_holds_the_lock_and_kill_9_frees_it(many: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    writer = start("index", many, "-i", index, *LITE0, "-q")
    wait_for(lambda: count(index) > 0)
    second = simsearch("index", many, "-i", index, *LITE0)
    assert second.returncode == 1
    assert re.search(rf"process {writer.pid} on \S+ since".encode(), second.stderr)
    workers = workers_of(writer.pid)
    assert workers
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    wait_for(lambda: not any(is_running(pid) for pid in workers))
    committed = count(index)
    again = simsearch("index", many, "-i", index, "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["embedded"] == 1500 - committed
    assert simsearch("verify", "-i", index).returncode == 0


def test_ctrl_c_keeps_what_was_embedded_and_the_next_run_goes_on(many: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    writer = start("index", many, "-i", index, *LITE0, "-q")
    wait_for(lambda: count(index) > 0)
    writer.send_signal(signal.SIGINT)
    _, stderr = writer.communicate(timeout=300)
    assert writer.returncode == 130
    assert b"Traceback" not in stderr
    committed = count(index)
    assert 0 < committed < 1500
    again = simsearch("index", many, "-i", index, "--json")
    assert json.loads(again.stdout)["embedded"] == 1500 - committed


def test_odd_names_travel_through_the_command_line(tmp_path: Path) -> None:
    folder, index = os.fsencode(tmp_path / "odd"), tmp_path / "index"
    os.mkdir(folder)
    names = sorted([b"\xff.jpg", b"a\nb.jpg", "é.jpg".encode(), "e\u0301.jpg".encode()])
    for seed, name in enumerate(names):
        with open(os.path.join(folder, name), "wb") as file:
            picture(seed).save(file, "JPEG")
    assert simsearch("index", os.fsdecode(folder), "-i", index, *LITE0).returncode == 0
    first = os.path.join(folder, names[0])
    query = ("query", os.fsdecode(first), "-i", index, "--include-self")
    nul = simsearch(*query, "--format", "paths", "-0")
    found = nul.stdout.rstrip(b"\0").split(b"\0")
    assert sorted(found) == [os.path.join(folder, name) for name in names]
    listed = json.loads(simsearch(*query, "--json").stdout)
    assert sorted(os.fsencode(hit["path"]) for hit in listed[0]["hits"]) == sorted(found)


@pytest.mark.proof
def test_ten_thousand_photos_in_flat_memory_and_a_second_run_under_two_seconds(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    made = [sys.executable, "-m", "benchmarks.samples", str(folder), "--small"]
    subprocess.run([*made, "40"], cwd=REPO, check=True, capture_output=True)
    # The first run prepares the network by torch, which is no part of what is measured.
    assert simsearch("index", folder, "-i", tmp_path / "warm", *LITE0).returncode == 0
    peaks = {}
    for n in (2500, 10_000):
        subprocess.run([*made, str(n)], cwd=REPO, check=True, capture_output=True)
        age(folder)
        peaks[n] = peak_of("index", folder, "-i", tmp_path / f"index-{n}", *LITE0, "-q")
    began = time.perf_counter()
    again = simsearch("index", folder, "-i", tmp_path / "index-10000", "--json")
    seconds = time.perf_counter() - began
    report = json.loads(again.stdout)
    print(f"peak memory {peaks} MiB; second run over {report['unchanged']} files {seconds:.2f} s")
    assert report["embedded"] == 0
    assert report["unchanged"] >= 9_900
    assert peaks[10_000] < 1.15 * peaks[2500] + 20
    assert seconds < 2.0


def peak_of(*args: str | os.PathLike[str]) -> float:
    """Peak memory in MiB of a child that runs the command line."""
    code = (
        "import resource, subprocess, sys; "
        "subprocess.run([sys.executable, '-m', 'simsearch', *sys.argv[1:]], check=True); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *map(os.fspath, args)], capture_output=True, check=True, timeout=3600
    )
    unit = 1024 if sys.platform != "darwin" else 1024 * 1024
    return float(done.stdout.split()[-1]) / unit
