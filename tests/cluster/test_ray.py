"""A real Ray on this machine with two actors: the same index, whoever is killed and whenever."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from children import is_running, start, wait_for
from conftest import age, simsearch, small_pngs

from cluster.ground import (
    EMBEDDED,
    LITE0,
    PICTURES,
    SKIPPED,
    assert_same,
    collection,
    pictures_in,
    rows_of,
    shards_in,
    vectors_of,
)

pytest.importorskip("ray", reason="ray is not installed")
pytestmark = pytest.mark.proof

RAY = ("--engine", "ray", "--workers", "1")
MODEL = ("--model", LITE0)
# A busy machine took a minute to start the actors.
PATIENCE = 300.0


def descendants(pid: int) -> dict[int, bytes]:
    """The processes below one, with their command lines."""
    parents, commands = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                commands[int(entry.name)] = (entry / "cmdline").read_bytes()
            except OSError:
                continue

    def is_below(child: int) -> bool:
        while child in parents:
            child = parents[child]
            if child == pid:
                return True
        return False

    return {child: commands[child] for child in list(parents) if child in commands and is_below(child)}


def actors_of(pid: int) -> list[int]:
    return [child for child, command in descendants(pid).items() if b"MapWorker" in command]


def committed(index: Path) -> int:
    try:
        return rows_of(index)[0]
    except Exception:
        return 0


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """600 small photos and copies of three of them, far apart."""
    folder = small_pngs(tmp_path / "many", range(600))
    for number in (1, 300, 599):
        (folder / f"z{number}.png").write_bytes((folder / f"{number:05d}.png").read_bytes())
    age(folder)
    return folder


@pytest.fixture
def running() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts the command line; what is left of it at the end is killed."""
    begun: list[subprocess.Popen[bytes]] = []

    def begin(*args: str | os.PathLike[str]) -> subprocess.Popen[bytes]:
        begun.append(start(*args))
        return begun[-1]

    yield begin
    for process in begun:
        below = descendants(process.pid)
        process.kill()
        process.communicate()
        wait_for(lambda below=below: not any(map(is_running, below)))


def index_locally(folder: Path, index: Path) -> Path:
    assert simsearch("index", folder, "-i", index, *MODEL).returncode == 0
    return index


def test_it_is_the_same_index_and_says_nothing_else(tmp_path: Path) -> None:
    folder, index = collection(tmp_path / "photos"), tmp_path / "ray"
    # What lies in the folder where the user happens to be must not pass for a library.
    (tmp_path / "here").mkdir()
    for name in ("PIL.py", "onnxruntime.py", "numpy.py", "simsearch.py"):
        (tmp_path / "here" / name).write_text("open('taken', 'w'); raise SystemExit")
    arguments = ("index", folder, "-i", index, *MODEL, *RAY, "--shard-size", "8", "--json")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "simsearch", *map(os.fspath, arguments)],
        cwd=tmp_path / "here",
        capture_output=True,
        timeout=2 * PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "here" / "taken").exists()
    report = json.loads(done.stdout)
    counted = (report["added"], report["embedded"], len(report["skipped"]), report["ignored"])
    assert counted == (PICTURES, EMBEDDED, SKIPPED, 1)
    lines = done.stderr.decode().splitlines()
    assert "49 files in 7 shards for up to 2 Ray actors with 1 CPU each, on 1 node." in lines
    assert {line.split()[0] for line in lines} <= {"Preparing", "49", "Skipped"}, lines
    local = tmp_path / "local"
    index_locally(folder, local)
    assert_same(index, local)
    assert simsearch("verify", "-i", index).returncode == 0
    assert not (index / "shards").exists()


def test_an_actor_that_is_killed_costs_nothing(
    many: Path, tmp_path: Path, running: Callable[..., subprocess.Popen[bytes]], faults: Callable[..., None]
) -> None:
    index = tmp_path / "ray"
    writer = running("index", many, "-i", index, *MODEL, *RAY, "--shard-size", "16", "--json")
    wait_for(lambda: committed(index) > 0, PATIENCE)
    victims = actors_of(writer.pid)
    assert len(victims) == 2
    os.kill(victims[0], signal.SIGKILL)
    assert committed(index) < 600, "it was killed in the middle"
    stdout, stderr = writer.communicate(timeout=PATIENCE)
    assert writer.returncode == 0, stderr
    assert not is_running(victims[0])
    report = json.loads(stdout)
    assert (report["added"], report["embedded"], report["skipped"]) == (603, 600, [])
    assert rows_of(index) == (600, 600)
    assert_same(index, index_locally(many, tmp_path / "local"))
    assert simsearch("verify", "-i", index).returncode == 0
    faults("Ray: an actor killed while it embedded", tried=1)


def test_a_driver_that_is_killed_is_gone_on_from_its_shards(
    many: Path, tmp_path: Path, running: Callable[..., subprocess.Popen[bytes]], faults: Callable[..., None]
) -> None:
    index = tmp_path / "ray"
    command = ("index", many, "-i", index, *MODEL, *RAY, "--shard-size", "16")
    writer = running(*command, "-q")
    wait_for(lambda: committed(index) > 0, PATIENCE)
    # The actors finish what they have while nobody commits it.
    writer.send_signal(signal.SIGSTOP)
    wait_for(lambda: len(shards_in(index)) >= 1, PATIENCE)
    below = descendants(writer.pid)
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    wait_for(lambda: not any(map(is_running, below)), PATIENCE)
    before = set(vectors_of(index))
    kept = {path for shard in shards_in(index) for path in pictures_in(shard)} - before
    assert before
    assert kept
    assert len(before) < 603 - len(kept)
    assert simsearch("verify", "-i", index).returncode == 0
    # A shard that was cut by the crash of its node is of no use, and does no harm.
    (index / "shards" / "torn.shard").write_bytes(shards_in(index)[0].read_bytes()[:-1])

    done = simsearch(*command, "--json")
    assert done.returncode == 0, done.stderr
    embedded_before = len({path for path in before if "/z" not in path})
    assert f"{len(kept)} photos were embedded by a run that was stopped." in done.stderr.decode()
    assert json.loads(done.stdout)["embedded"] == 600 - embedded_before - len(kept)
    assert rows_of(index) == (600, 600)
    assert_same(index, index_locally(many, tmp_path / "local"))
    assert not (index / "shards").exists()
    assert simsearch("verify", "-i", index).returncode == 0
    faults("Ray: the driver killed while actors embedded", tried=1)


def test_ctrl_c_keeps_what_was_done(
    many: Path, tmp_path: Path, running: Callable[..., subprocess.Popen[bytes]], faults: Callable[..., None]
) -> None:
    index = tmp_path / "ray"
    writer = running("index", many, "-i", index, *MODEL, *RAY, "--shard-size", "16", "-q")
    wait_for(lambda: committed(index) > 0, PATIENCE)
    below = descendants(writer.pid)
    writer.send_signal(signal.SIGINT)
    _, stderr = writer.communicate(timeout=PATIENCE)
    assert writer.returncode == 130
    assert stderr.decode().splitlines()[-1] == "Interrupted."
    assert b"Traceback" not in stderr
    wait_for(lambda: not any(map(is_running, below)), PATIENCE)
    assert 0 < committed(index) < 600
    assert simsearch("verify", "-i", index).returncode == 0
    # This machine alone can go on with it.
    assert simsearch("index", many, "-i", index).returncode == 0
    assert rows_of(index) == (600, 600)
    assert not (index / "shards").exists()
    assert_same(index, index_locally(many, tmp_path / "local"))
    faults("Ray: interrupted while actors embedded", tried=1)


def test_actors_that_die_again_and_again_end_the_run_in_words(
    many: Path, tmp_path: Path, running: Callable[..., subprocess.Popen[bytes]], faults: Callable[..., None]
) -> None:
    index = tmp_path / "ray"
    writer = running("index", many, "-i", index, *MODEL, *RAY, "--shard-size", "16", "-q")
    wait_for(lambda: committed(index) > 0, PATIENCE)

    def kill_all() -> bool:
        for pid in actors_of(writer.pid):
            if is_embedding(pid):
                os.kill(pid, signal.SIGKILL)
        return writer.poll() is not None

    wait_for(kill_all, 2 * PATIENCE)
    _, stderr = writer.communicate()
    assert writer.returncode == 1
    [line] = [line for line in stderr.decode().splitlines() if line.startswith("Error:")]
    assert "died 4 times" in line
    assert "Traceback" not in stderr.decode()
    assert simsearch("verify", "-i", index).returncode == 0
    assert simsearch("index", many, "-i", index).returncode == 0
    assert_same(index, index_locally(many, tmp_path / "local"))
    faults("Ray: every actor killed whenever it read", tried=1, told=1)


def is_embedding(pid: int) -> bool:
    """Whether an actor has begun to read: it has decoding processes."""
    return any(b"simsearch.media.worker" in command for command in descendants(pid).values())


def test_nothing_at_an_address_is_an_error_at_once(tmp_path: Path) -> None:
    folder = collection(tmp_path / "photos", 9)
    for address, said in (
        ("127.0.0.1:9", b"No Ray cluster answers at 127.0.0.1:9"),
        ("auto", b"The Ray cluster at auto cannot be used"),
    ):
        done = simsearch(
            "index", folder, "-i", tmp_path / "index", *MODEL, "--engine", "ray", "--ray-address", address
        )
        assert done.returncode == 1
        assert said in done.stderr
        assert b"Traceback" not in done.stderr
    assert simsearch("index", folder, "-i", tmp_path / "index").returncode == 0
