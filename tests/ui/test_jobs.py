"""Jobs beside the server: real children that are cancelled, killed, orphaned and shared."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import children
import pytest
from children import is_running, workers_of
from conftest import REPO, age, picture, small_pngs

from simsearch import Index
from simsearch.dedup.find import find_duplicates
from simsearch.dedup.options import DedupOptions
from simsearch.engine.maintenance.verify import verify
from simsearch.errors import IndexLocked, SimsearchError
from simsearch.storage.lock import WriterLock
from simsearch.ui.jobs import job as job_module
from simsearch.ui.jobs import running
from simsearch.ui.jobs.job import Job, JobState
from simsearch.ui.jobs.looking import Look
from simsearch.ui.jobs.packing import packed, unpacked
from simsearch.ui.jobs.showing import duration, progress_words

LITE0 = "efficientnet_lite0"
MANY = 600
LONG = 300.0
"""Seconds that a test waits for what takes a few on a machine that has nothing else to do."""


wait_for = partial(children.wait_for, seconds=LONG)


def count(index: Path) -> int:
    try:
        with Index.open(index) as opened:
            return len(opened)
    except SimsearchError:
        return 0


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """600 small photos, of which 256 are one commit."""
    return small_pngs(tmp_path_factory.mktemp("many"), range(MANY))


@pytest.fixture(scope="module")
def half(many: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index in the making, whose child was cancelled after its first commit."""
    index = tmp_path_factory.mktemp("half") / "index"
    job = running.start_index([str(many)], index, model=LITE0)
    wait_for(lambda: count(index) > 0)
    workers = workers_of(job.pid)
    assert workers
    assert job.state().phase == "running"
    job.cancel()
    state = job.wait(LONG)
    assert state.phase == "cancelled"
    assert state.error is None
    assert not any(is_running(pid) for pid in (job.pid, *workers))
    return index


@pytest.fixture
def begun(half: Path, tmp_path: Path) -> Path:
    """A copy of that index for one test."""
    return Path(shutil.copytree(half, tmp_path / "index"))


def test_a_cancelled_run_leaves_a_good_index_and_the_next_one_goes_on(begun: Path, many: Path) -> None:
    before = count(begun)
    assert 0 < before < MANY
    assert verify(begun).ok
    job = running.start_index([], begun)
    assert job.wait(LONG).phase == "done"
    report = running.index_report(job)
    assert (report.embedded, report.unchanged) == (MANY - before, before)
    assert count(begun) == MANY


def test_a_child_ends_when_its_server_is_killed(begun: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from simsearch.ui.jobs import running; "
        "print(running.start_index([], Path(sys.argv[1])).pid, flush=True); time.sleep(600)"
    )
    server = subprocess.Popen([sys.executable, "-c", code, begun], stdout=subprocess.PIPE, cwd=REPO)
    assert server.stdout is not None
    child = int(server.stdout.readline())
    wait_for(lambda: bool(workers_of(child)))
    workers = workers_of(child)
    server.kill()
    server.wait()
    server.stdout.close()
    wait_for(lambda: not any(is_running(pid) for pid in (child, *workers)))
    assert verify(begun).ok
    with WriterLock(begun):
        pass


def test_a_child_that_is_killed_is_a_job_that_failed_and_says_so(begun: Path) -> None:
    job = running.start_index([], begun)
    wait_for(lambda: bool(workers_of(job.pid)))
    workers = workers_of(job.pid)
    os.kill(job.pid, signal.SIGKILL)
    state = job.wait(LONG)
    assert state.phase == "failed"
    assert state.error == (
        "The work was ended from outside (SIGKILL). A system that runs out of memory does so. "
        "What it had committed is kept: start it again, and it goes on from there."
    )
    with pytest.raises(SimsearchError, match="SIGKILL"):
        running.index_report(job)
    wait_for(lambda: not any(is_running(pid) for pid in workers))
    assert verify(begun).ok


def test_a_child_that_hears_nothing_is_killed(begun: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_module, "GRACE", 0.5)
    job = running.start_index([], begun)
    wait_for(lambda: bool(workers_of(job.pid)))
    os.kill(job.pid, signal.SIGSTOP)
    job.cancel()
    assert job.state().stopping
    assert job.wait(LONG).phase == "cancelled"
    assert not is_running(job.pid)
    assert verify(begun).ok


def test_two_sessions_have_one_job_and_other_work_of_the_kind_waits(begun: Path, tmp_path: Path) -> None:
    first = running.start_index([], begun)
    assert running.start_index([], begun) is first
    assert running.current("index", begun) is first
    assert running.running("index", begun) is first
    with pytest.raises(IndexLocked, match="Other work of this kind is going on"):
        running.start_index([str(tmp_path)], begun)
    running.forget(first)
    assert running.current("index", begun) is first, "what runs is not forgotten"
    first.cancel()
    first.wait(LONG)
    assert running.running("index", begun) is None
    running.forget(first)
    assert running.current("index", begun) is None


def test_an_index_that_another_process_writes_is_an_error_in_words(begun: Path) -> None:
    with WriterLock(begun):
        state = running.start_index([], begun).wait(LONG)
    assert state.phase == "failed"
    assert state.error is not None
    assert f"is being written by process {os.getpid()}" in state.error


def test_a_folder_that_is_not_there_is_an_error_in_words(tmp_path: Path) -> None:
    state = running.start_index([str(tmp_path / "no")], tmp_path / "index").wait(LONG)
    assert (state.phase, state.error) == ("failed", f"{tmp_path / 'no'} does not exist.")
    assert not (tmp_path / "index").exists()


def test_copies_are_found_as_by_the_function_itself_whatever_the_names_are(tmp_path: Path) -> None:
    folder, index = tmp_path / "photos", tmp_path / "index"
    folder.mkdir()
    for seed, name in enumerate((b"a\nb.png", b"\xff.png", b"c.png")):
        with open(os.path.join(os.fsencode(folder), name), "wb") as file:
            picture(seed).save(file, "PNG")
    shutil.copy(os.path.join(os.fsencode(folder), b"\xff.png"), folder / "same.png")
    age(folder)
    assert running.start_index([str(folder)], index, model=LITE0).wait(LONG).phase == "done"
    options = DedupOptions(reach="exact")
    job = running.start_dedup(index, dataclasses.asdict(options))
    assert job.wait(LONG).phase == "done", job.state().error
    report = running.dedup_report(job)
    [group] = report.groups
    assert {os.path.basename(photo.path) for photo in group.photos} == {"\udcff.png", "same.png"}
    assert report == find_duplicates(index, options)
    assert running.dedup_report(job) is report, "it is not made again at every run of a page"
    pairs = running.start_pairs(index, {"scope": {"within": [str(folder)]}}, wanted=2)
    assert pairs.wait(LONG).phase == "done", pairs.state().error
    for doubt in running.doubts(pairs):
        assert len(doubt.first.sha256) == 32
    wrong = running.start_dedup(index, {"reach": "far"}).wait(LONG)
    assert wrong.error == "Nothing is called 'far' here. Choose from: exact, near, similar."


def test_check_and_rebuild_are_jobs(begun: Path) -> None:
    checked = running.start_verify(begun)
    assert checked.wait(LONG).phase == "done"
    assert running.verify_report(checked) == verify(begun)
    built = running.start_rebuild(begun, view="exact")
    assert built.wait(LONG).phase == "done", built.state().error
    assert running.view_info(built).kind == "exact"


def test_a_look_counts_and_makes_nothing(many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMSEARCH_MODEL", LITE0)
    job = running.start_look(many)
    assert job.wait(LONG).phase == "done", job.state().error
    seen = running.looked(job)
    assert (seen.photos, seen.files, seen.whole, seen.model, seen.at_hand) == (MANY, MANY, True, LITE0, True)
    assert 0 < seen.seconds < 300
    assert len(list(many.iterdir())) == MANY


def test_a_child_talks_in_lines_of_json_and_prints_nothing_between_them(tmp_path: Path) -> None:
    task = {"kind": "look", "folder": str(tmp_path)}
    child = subprocess.run(
        [sys.executable, "-m", "simsearch.ui.jobs.child"],
        input=json.dumps(task).encode() + b"\n",
        capture_output=True,
        cwd=REPO,
        timeout=LONG,
    )
    # Its standard input closed at once, so that it was either cancelled or done before it noticed.
    events = [json.loads(line) for line in child.stdout.splitlines()]
    assert events[-1]["event"] in ("cancelled", "done")
    assert child.stderr == b""


def test_the_server_of_jobs_loads_nothing_heavy() -> None:
    code = (
        "import sys; import simsearch.ui.jobs.running, simsearch.ui.jobs.job; "
        "print([name for name in ('torch', 'faiss', 'cv2', 'onnxruntime') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPO, capture_output=True, check=True)
    assert done.stdout == b"[]\n"


def test_records_come_back_as_they_were() -> None:
    look = Look("/a\udcff", 3, 4, True, 1.5, "resnet50", False)
    through = json.loads(json.dumps(packed((look,))))
    assert unpacked(tuple[Look, ...], through) == (look,)


def state(**changed: object) -> JobState:
    usual = JobState("running", "reading", 120, 400, 0, (), None, 15.0, 8.0, False)
    return dataclasses.replace(usual, **changed)  # type: ignore[arg-type]


def test_how_far_a_job_is_in_words() -> None:
    assert progress_words(state()) == "reading, 120 of 400, 8.0 a second, about 35 seconds left"
    assert progress_words(state(skipped=2, per_second=None)) == "reading, 120 of 400, 2 skipped"
    assert progress_words(state(stage="indexing", per_second=None), "Indexing") == "120 of 400"
    assert progress_words(state(total=None, per_second=None)) == "reading, 120 so far"
    assert progress_words(state(stage="", per_second=None)) == "starting"
    assert [duration(s) for s in (0.2, 35, 720, 5400)] == [
        "about 1 second", "about 35 seconds", "about 12 minutes", "about 1.5 hours",
    ]  # fmt: skip


def test_a_job_that_no_process_can_be_started_for_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refused)
    with pytest.raises(SimsearchError, match="No process can be started for this work"):
        Job({"kind": "verify"})
