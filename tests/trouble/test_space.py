"""Disks that fill up, rights that are lost, folders that go, files that do not answer, in mid-run."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import REPO, age, picture, simsearch
from test_places import without_privileges
from test_processes import count, wait_for

from simsearch.engine.maintenance.verify import verify

Faults = Callable[..., None]
LITE0 = ("--model", "efficientnet_lite0")
MANY = 900
"""Photos enough for some seconds of work and several commits."""


def made(folder: Path, n: int) -> Path:
    """`n` small photos in three folders."""
    for i in range(n):
        place = folder / f"part-{3 * i // n}"
        place.mkdir(parents=True, exist_ok=True)
        picture(i, (48, 40)).save(place / f"{i:05d}.png", compress_level=1)
    age(folder)
    return folder


@pytest.fixture
def many(tmp_path: Path) -> Path:
    return made(tmp_path / "many", MANY)


def assert_clear(code: int, said: str) -> None:
    """Done, or an error of one line that says what to do."""
    assert code in (0, 1), said
    assert "Traceback" not in said
    assert "bug in simsearch" not in said
    if code == 1:
        assert said.strip().splitlines()[-1].startswith("Error: "), said


@contextmanager
def running(*args: str | Path, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """The command line in the background, until something has been committed."""
    command = [sys.executable, "-m", "simsearch", *map(str, args)]
    index = Path(args[args.index("-i") + 1])
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=REPO, **options
    ) as child:
        wait_for(lambda: count(index) > 0 or child.poll() is not None)
        yield child


def finished(child: subprocess.Popen[bytes]) -> tuple[int, str]:
    _, stderr = child.communicate(timeout=600)
    return child.returncode, stderr.decode()


# Space


@pytest.mark.proof
def test_a_disk_that_fills_up_at_every_stage(tmp_path: Path, faults: Faults) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for i in range(40):
        picture(i, (64, 48)).save(photos / f"{i:03d}.png")
    age(photos)
    probe = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", "/mnt"], capture_output=True, check=False
    )
    if probe.returncode == 0:
        subprocess.run(["umount", "/mnt"], check=True)
    prefix = [] if probe.returncode == 0 else ["unshare", "-Urm"]
    command = [*prefix, sys.executable, "-m", "trouble.disk", str(photos), str(tmp_path / "disk")]
    paths = os.pathsep.join([str(REPO / "tests"), str(REPO)])
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
        check=False,
        timeout=3600,
    )
    assert done.returncode == 0, done.stderr
    outcomes = json.loads(done.stdout)
    for outcome in outcomes:
        assert_clear(*outcome["first"])
        if outcome["verify"] is not None:
            code, answer, said = outcome["verify"]
            # On the full disk an index may not have been finished, or not even be looked at.
            unseen = answer == "" and said.startswith("Error: ")
            assert code == 0 or "never finished" in answer or unseen, outcome
        assert outcome["again"][0] == 0, outcome
        assert (outcome["info"]["photos"], outcome["whole"]) == (40, 0), outcome
    told = sum(outcome["first"][0] == 1 for outcome in outcomes)
    assert told >= 8
    faults("a full disk, 40 photos", tried=len(outcomes), told=told)


@pytest.mark.parametrize("size", [5_000, 60_000, 200_000])
def test_files_may_not_grow_past_a_quota(size: int, tmp_path: Path) -> None:
    photos, index = made(tmp_path / "photos", 30), tmp_path / "index"
    assert simsearch("index", photos, "-i", tmp_path / "warm", *LITE0).returncode == 0
    command = [sys.executable, "-m", "simsearch", "index", str(photos), "-i", str(index), *LITE0]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
    )
    assert_clear(done.returncode, done.stderr)
    assert done.returncode == 1 or size == 200_000
    again = simsearch("index", photos, "-i", index, *LITE0, "--json")
    assert again.returncode == 0, again.stderr
    assert verify(index).ok
    assert count(index) == 30


# Rights


def test_photos_that_may_not_be_read_any_more_midway(many: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    command = ("index", many, "-i", index, *LITE0, "--json")
    with running(*command, preexec_fn=without_privileges) as child:
        for part in ("part-1", "part-2"):
            (many / part).chmod(0)
        code, said = finished(child)
    for part in ("part-1", "part-2"):
        (many / part).chmod(0o755)
    assert_clear(code, said)
    assert code == 0
    assert verify(index).ok
    before = count(index)
    again = json.loads(simsearch("index", "-i", index, "--json").stdout)
    assert (again["gone"], again["embedded"], again["skipped"]) == (0, MANY - before, [])
    assert count(index) == MANY


def test_an_index_that_may_not_be_written_any_more_midway(many: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    with running("index", many, "-i", index, *LITE0, preexec_fn=without_privileges) as child:
        for folder in (index, index / "segments", index / "views"):
            folder.chmod(0o555)
        code, said = finished(child)
    for folder in (index, index / "segments", index / "views"):
        folder.chmod(0o755)
    assert_clear(code, said)
    assert verify(index).ok
    assert simsearch("index", "-i", index).returncode == 0
    assert (count(index), verify(index).ok) == (MANY, True)


# Folders that go


@pytest.mark.parametrize("flags", [(), ("--prune", "--yes")])
def test_a_root_that_goes_in_the_middle_forgets_nothing(
    flags: tuple[str, ...], many: Path, tmp_path: Path
) -> None:
    index = tmp_path / "index"
    half = sorted(path for path in many.rglob("*.png"))[: MANY // 2]
    for path in half:
        path.rename(tmp_path / path.name)
    assert simsearch("index", many, "-i", index, *LITE0).returncode == 0
    known = count(index)
    for path in half:
        (tmp_path / path.name).rename(path)
    command = [sys.executable, "-m", "simsearch", "index", "-i", str(index), *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        wait_for(lambda: count(index) > known or child.poll() is not None)
        many.rename(tmp_path / "unplugged")
        code, said = finished(child)
    assert_clear(code, said)
    assert code == 1
    assert "missing or empty" in said
    assert count(index) >= known
    assert verify(index).ok
    (tmp_path / "unplugged").rename(many)
    assert simsearch("index", "-i", index, *flags).returncode == 0
    assert count(index) == MANY


# Files that do not answer


@pytest.mark.proof
def test_a_file_that_does_not_answer_costs_only_itself(tmp_path: Path, faults: Faults) -> None:
    library = tmp_path / "slow.so"
    source = Path(__file__).with_name("slow.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)
    photos, index = made(tmp_path / "photos", 12), tmp_path / "index"
    (photos / "part-1" / "00005.png").rename(photos / "part-1" / "slow-photo.png")
    assert simsearch("index", photos, "-i", tmp_path / "warm", *LITE0).returncode == 0
    began = time.monotonic()
    done = simsearch("index", photos, "-i", index, *LITE0, "--json", LD_PRELOAD=str(library))
    assert done.returncode == 0, done.stderr
    [skipped] = json.loads(done.stdout)["skipped"]
    assert (Path(skipped["path"]).name, skipped["transient"]) == ("slow-photo.png", True)
    assert "30 s" in skipped["reason"]
    # Were it each file that took thirty seconds, two at a time, it would be three minutes.
    assert 29 < time.monotonic() - began < 170
    assert count(index) == 11
    again = json.loads(simsearch("index", "-i", index, "--json").stdout)
    assert (again["added"] + again["updated"], again["skipped"]) == (1, [])
    faults("a file that does not answer", tried=1)
