"""Many at once and wrong clocks: rival writers, readers through every change, stopped writers, odd locks."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from conftest import REPO, age, picture, simsearch
from numpy.typing import NDArray
from oracle import Truth, read_index
from PIL import Image
from test_processes import wait_for

from simsearch import Index, SimsearchError, index_folder
from simsearch.engine.exchange.importing import import_embeddings
from simsearch.engine.exchange.origin import Origin
from simsearch.engine.indexing import IndexingConfig
from simsearch.engine.maintenance.verify import verify
from simsearch.errors import IndexMissing
from simsearch.models.choice import ModelChoice
from simsearch.storage.segments import SegmentHeader, SegmentStore

Maker = Callable[[int], Path]
Vectors = NDArray[np.float32]
Child = subprocess.Popen[bytes]
LITE0 = ModelChoice(model="efficientnet_lite0")
CLI0 = ("--model", "efficientnet_lite0")
DAY, YEAR = 86_400, 31_536_000
DIM = 32
# Between two questions, so that ten readers leave the writer some of a small machine.
PAUSE = 0.1
TOLD = b"is being written by"


def start(code: str, *args: str | os.PathLike[str], **env: str) -> Child:
    """Python code in a process of its own, which can import what the tests can."""
    env = {**os.environ, "PYTHONPATH": str(REPO / "tests"), **env}
    command = [sys.executable, "-c", code, *map(os.fspath, args)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=env, cwd=REPO)


def committed(index: Path) -> int:
    """How many photos an index holds; none before it is there."""
    try:
        with Index.open(index) as opened:
            return len(opened)
    except IndexMissing:
        return 0


def is_stopped(child: Child) -> bool:
    state = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0]
    return state == "T"


def assert_right(index: Path, photos: Path) -> None:
    """Every photo of the folder once, nothing else, sound, and answered as by brute force."""
    truth = read_index(index)
    assert sorted(path for paths in truth.paths for path in paths) == sorted(
        str(path) for path in photos.rglob("*") if path.is_file()
    )
    assert verify(index).ok
    with Index.open(index) as opened:
        for query, hits in zip(truth.vectors[:10], opened.search(truth.vectors[:10], 5), strict=True):
            assert [hit.path for hit in hits] == [path for path, _ in truth.rank(query, 5)]


def assert_told(code: int, stderr: bytes, *names: str) -> None:
    """Refused because somebody else writes, in one line that says who."""
    assert code == 1, stderr
    assert stderr.startswith(b"Error: ")
    assert stderr.count(b"\n") == 1, stderr
    assert TOLD in stderr
    for name in names:
        assert name.encode() in stderr


@pytest.fixture(scope="session")
def trouble(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The preloaded library that is described in clock.c."""
    library = tmp_path_factory.mktemp("trouble") / "clock.so"
    source = Path(__file__).with_name("clock.c")
    command = ["cc", "-O1", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"]
    subprocess.run(command, check=True)
    return str(library)


# Writers at the same moment

# Everything is imported before the start, so that both come to the lock within a few milliseconds.
RIVAL = """
import sys
from simsearch.cli import run
import faiss, onnxruntime, simsearch.cli.index, simsearch.cli.maintenance.compact
import simsearch.engine.exchange.importing, simsearch.engine.indexing.run
import simsearch.engine.maintenance.compact, simsearch.engine.maintenance.remove
print("ready", flush=True)
sys.stdin.readline()
sys.exit(run(sys.argv[1:]))
"""


def race(*commands: Sequence[str | os.PathLike[str]]) -> list[tuple[int, bytes]]:
    """Exit code and stderr of commands that begin at the same moment."""
    children = [start(RIVAL, *command) for command in commands]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
    for child in children:
        assert child.stdin is not None
        child.stdin.write(b"\n")
        child.stdin.flush()
    ended = [child.communicate(timeout=600) for child in children]
    return [(child.returncode, stderr) for child, (_, stderr) in zip(children, ended, strict=True)]


def race_for_a_new_index(photos: Path, index: Path) -> None:
    command = ("index", photos, "-i", index, *CLI0, "-q")
    ended = race(command, command)
    assert sorted(code for code, _ in ended) == [0, 1], ended
    [stderr] = [stderr for code, stderr in ended if code]
    assert_told(1, stderr)
    assert_right(index, photos)
    assert len(read_index(index).ids) == 60


def rivals(photos: Path, index: Path, tmp_path: Path) -> list[tuple[str | os.PathLike[str], ...]]:
    """Each other command that writes to an index of the photos; `out` is an export."""
    return [
        ("compact", "-i", index),
        ("remove", photos / "b", "--yes", "-i", index),
        ("rebuild", "-i", index),
        ("index", photos, "--prune", "--yes", "-i", index, "-q"),
        ("import", tmp_path / "out", "-i", index, "-q"),
    ]


def test_two_that_make_the_same_new_index_are_one_that_does_and_one_that_is_told(
    small_photos: Maker, tmp_path: Path
) -> None:
    race_for_a_new_index(small_photos(60), tmp_path / "index")


@pytest.mark.proof
def test_the_race_for_a_new_index_has_one_winner_ten_times(
    small_photos: Maker, tmp_path: Path, faults: Callable[..., None]
) -> None:
    photos = small_photos(60)
    for number in range(10):
        race_for_a_new_index(photos, tmp_path / f"index-{number}")
    faults("two writers at the same moment: both make the index", tried=10, told=10)


@pytest.mark.proof
def test_every_other_writer_that_begins_with_index_waits_its_turn(
    small_photos: Maker, tmp_path: Path, faults: Callable[..., None]
) -> None:
    photos, index = small_photos(30), tmp_path / "index"
    index_folder(photos, index, IndexingConfig(choice=LITE0))
    assert simsearch("export", tmp_path / "out", "-i", index).returncode == 0
    tried = told = 0
    for rival in rivals(photos, index, tmp_path):
        for i in range(20):
            picture(1000 + 20 * tried + i).save(photos / "a" / f"new-{tried}-{i}.png")
        ended = race(("index", photos, "-i", index, "-q"), rival)
        assert any(code == 0 for code, _ in ended), ended
        for code, stderr in ended:
            if code:
                assert_told(code, stderr)
                told += 1
        tried += 1
        assert simsearch("index", photos, "-i", index).returncode == 0
        assert_right(index, photos)
    faults("two writers at the same moment: index and another", tried=tried, told=told)


# A writer that stands still

# Stops itself inside the n-th write transaction, when its rows are entered and not yet committed.
STOPS = """
import os, signal, sys
from simsearch.engine.indexing import IndexingConfig, index_folder
from simsearch.models.choice import ModelChoice
from simsearch.storage import database
inside, at, seen = database.next_generation, int(sys.argv[3]), 0
def stop(connection):
    global seen
    seen += 1
    inside(connection)
    if seen == at:
        os.kill(os.getpid(), signal.SIGSTOP)
database.next_generation = stop
config = IndexingConfig(
    choice=ModelChoice(model="efficientnet_lite0"), batch_size=8, commit_photos=16, commit_seconds=1e6
)
print(index_folder(sys.argv[1], sys.argv[2], config).embedded, flush=True)
"""
# The first writes make the index, name its weights and its root, and say that labels are kept; the fifth
# commits the first 16 photos.
SECOND_COMMIT = 6


@contextmanager
def stopped_writer(photos: Path, index: Path, at: int = SECOND_COMMIT, **env: str) -> Iterator[Child]:
    """An indexer that stands in the middle of a write; of a new index it has committed 16 photos then."""
    child = start(STOPS, photos, index, str(at), **env)
    try:
        wait_for(lambda: child.poll() is not None or is_stopped(child))
        yield child
    finally:
        child.kill()
        child.communicate()


def go_on(child: Child) -> bytes:
    """What a stopped child still has to say."""
    child.send_signal(signal.SIGCONT)
    out, stderr = child.communicate(timeout=300)
    assert child.returncode == 0, stderr
    return out


def test_nobody_waits_for_a_writer_that_is_stopped_in_a_commit(small_photos: Maker, tmp_path: Path) -> None:
    photos, index = small_photos(60), tmp_path / "index"
    with stopped_writer(photos, index) as child:
        truth = read_index(index)
        assert len(truth.ids) == 16
        reads: tuple[tuple[str | os.PathLike[str], ...], ...] = (
            ("query", truth.paths[0][0], "-k", "3", "--include-self", "-i", index, "--json"),
            ("info", "-i", index, "--json"),
            ("verify", "-i", index, "--json"),
        )
        answers = []
        for read in reads:
            began = time.monotonic()
            done = simsearch(*read)
            # Waiting for the lock of the database would take 30 s.
            assert time.monotonic() - began < 29
            assert done.returncode == 0, done.stderr
            answers.append(json.loads(done.stdout))
        [[query], info, checked] = answers
        expected = [path for path, _ in truth.rank(truth.vectors[0], 3)]
        assert [hit["path"] for hit in query["hits"]] == expected
        assert (info["photos"], checked["ok"]) == (16, True)
        assert simsearch("export", tmp_path / "out", "-i", index).returncode == 0
        for rival in rivals(photos, index, tmp_path):
            done = simsearch(*rival)
            assert_told(done.returncode, done.stderr, f"process {child.pid} on {socket.gethostname()}")
        assert is_stopped(child)
        assert go_on(child) == b"60\n"
    assert_right(index, photos)


def test_a_writer_that_is_killed_while_it_stands_still_frees_the_index(
    small_photos: Maker, tmp_path: Path
) -> None:
    photos, index = small_photos(40), tmp_path / "index"
    with stopped_writer(photos, index) as child:
        child.kill()
        child.communicate()
    again = simsearch("index", "-i", index, "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["embedded"] == 40 - 16
    assert_right(index, photos)


def closest_of_all(index: Path) -> list[str]:
    """The photos of a sound index by their closeness to the first one."""
    with Index.open(index) as opened:
        [hits] = opened.search(opened.vectors([1]), 100)
    assert verify(index).ok
    return [hit.path for hit in hits]


def is_closing(index: Path) -> bool:
    """Whether SQLite keeps readers out: the last one to leave merges the log, which takes it a moment."""
    connection = sqlite3.connect(index / "index.db", timeout=0.1)
    try:
        connection.execute("SELECT count(*) FROM roots").fetchone()
    except sqlite3.OperationalError:
        return True
    finally:
        connection.close()
    return False


def read_beside(child: Child, index: Path) -> bool:
    """Read beside a stopped writer, which goes on then; whether the reader had to wait for that."""
    with ThreadPoolExecutor(1) as pool:
        waits = is_closing(index)
        reading = pool.submit(closest_of_all, index)
        if not waits:
            found, truth = reading.result(29), read_index(index)
            assert found == [path for path, _ in truth.rank(truth.vectors[0], 100)]
            assert is_stopped(child)
        go_on(child)
        assert not waits or len(reading.result(300)) == 40
    return waits


@pytest.mark.proof
def test_readers_never_wait_for_a_writer_that_is_stopped_at_a_sync_before_it_closes(
    trouble: str, small_photos: Maker, tmp_path: Path, faults: Callable[..., None]
) -> None:
    photos, made = small_photos(40), tmp_path / "made"
    index_folder(photos / "a" / "0001.jpg", made, IndexingConfig(choice=LITE0))
    waited: list[bool] = []
    for at in count(1):
        index = tmp_path / f"index-{at}"
        shutil.copytree(made, index)
        told = {"LD_PRELOAD": trouble, "STOP_BELOW": str(index), "STOP_AT": str(at)}
        with stopped_writer(photos, index, at=0, **told) as child:
            if child.poll() is not None:
                break
            waited.append(read_beside(child, index))
        assert_right(index, photos)
    # Three commits, each of a segment and a log, and what comes before; the last two syncs are the closing.
    assert len(waited) >= 10
    assert not any(waited[:-2])
    faults("a writer stopped at a sync, beside readers", tried=len(waited))


# Readers through every change


@dataclass
class Made:
    """An index of random unit vectors under a name of their own, and every state that was committed to it."""

    folder: Path
    index: Path
    states: list[Truth] = field(default_factory=list)
    photos: int = 0

    def table(self, n: int) -> tuple[Path, Path]:
        """Vectors and table of `n` more photos, as `import` takes them."""
        places = []
        for i in range(self.photos, self.photos + n):
            places.append(self.folder / f"{i:05d}.png")
            Image.fromarray(np.random.default_rng(i).integers(0, 256, (8, 8, 3), np.uint8)).save(places[-1])
        vectors, table = self.folder.with_name("v.npy"), self.folder.with_name("p.csv")
        np.save(vectors, np.random.default_rng(self.photos).normal(size=(n, DIM)).astype(np.float32))
        with table.open("w", newline="") as file:
            csv.writer(file).writerows([["path"], *([place] for place in places)])
        self.photos += n
        return vectors, table

    def write(self, *command: str | os.PathLike[str]) -> None:
        """Change the index by a command in another process; the state that it commits is kept."""
        done = simsearch(*command, "-i", self.index, "-q")
        assert done.returncode == 0, done.stderr
        self.states.append(read_index(self.index))

    def add(self, n: int) -> None:
        """Import `n` more photos, few enough for one commit."""
        assert n <= 256
        self.write("import", *self.table(n), "--spec", "made")

    def remove(self, start: int, stop: int) -> None:
        self.write("remove", *(self.folder / f"{i:05d}.png" for i in range(start, stop)), "--yes")


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """1,200 photos of 8 x 8 pixels, enough for an approximate view."""
    (tmp_path / "photos").mkdir()
    made = Made(tmp_path / "photos", tmp_path / "index")
    import_embeddings(Origin(*made.table(1200), name="made"), made.index)
    made.states.append(read_index(made.index))
    return made


@dataclass(frozen=True)
class Answer:
    """What a reader was told: (id, path, score) by rank; `exact` when every row was surely compared."""

    query: int
    k: int
    exact: bool
    hits: list[tuple[int, str, float]]


def ask(index: Index, queries: Vectors, turn: int) -> Answer:
    """One search; now and then for everything, which no half-read state could give."""
    place, k = turn % len(queries), 5000 if turn % 16 == 15 else 10
    before = index.snapshot()
    [hits] = index.search(queries[place], k)
    after = index.snapshot()
    exact = before.generation == after.generation and before.view is None and after.view is None
    return Answer(place, k, exact, [(hit.id, hit.path, hit.score) for hit in hits])


def read_on(folder: str, queries: str, out: str, stop: str) -> None:
    """The reader processes: ask until the file `stop` is there, and write every answer down."""
    asked = np.load(queries)
    with Index.open(Path(folder)) as index, open(out, "w", encoding="utf-8") as file:
        for turn in count():
            answer = ask(index, asked, turn)
            print(json.dumps([answer.query, answer.k, answer.exact, answer.hits]), file=file, flush=True)
            if Path(stop).exists():
                return
            time.sleep(PAUSE)


def assert_answers_of(states: Sequence[Truth], queries: Vectors, answers: Sequence[Answer]) -> None:
    """Each answer is one committed state's: its size, its ids, its scores; its whole order when exact."""
    ranked = [[dict(truth.rank(query, len(truth.ids))) for query in queries] for truth in states]
    known = [dict(zip(truth.ids, (paths[0] for paths in truth.paths), strict=True)) for truth in states]

    def fits(state: int, answer: Answer) -> bool:
        scores, own = ranked[state][answer.query], known[state]
        if len(answer.hits) != min(answer.k, len(own)):
            return False
        if any(own.get(hit) != path for hit, path, _ in answer.hits):
            return False
        if answer.exact or answer.k >= len(own):
            return [path for _, path, _ in answer.hits] == list(scores)[: answer.k]
        return all(score == pytest.approx(scores[path], abs=1e-6) for _, path, score in answer.hits)

    for answer in answers:
        ids = [hit for hit, _, _ in answer.hits]
        assert len(set(ids)) == len(ids)
        # Newest first, since an answer fits many states only where they are the same.
        assert any(fits(state, answer) for state in reversed(range(len(states)))), answer


@contextmanager
def reading_processes(made: Made, queries: Path, work: Path) -> Iterator[list[Answer]]:
    """Two processes that ask until the block ends; what they were told is in the list afterwards."""
    stop, outs = work / "stop", [work / f"reader-{i}.jsonl" for i in range(2)]
    code = "import sys; from trouble.test_concurrency import read_on; read_on(*sys.argv[1:])"
    readers = [start(code, made.index, queries, out, stop) for out in outs]
    answers: list[Answer] = []
    try:
        wait_for(lambda: all(out.exists() and out.stat().st_size for out in outs))
        yield answers
        stop.touch()
        for reader in readers:
            _, stderr = reader.communicate(timeout=300)
            assert reader.returncode == 0, stderr
    finally:
        for reader in readers:
            reader.kill()
            reader.communicate()
    for out in outs:
        lines = [json.loads(line) for line in out.read_text().splitlines()]
        assert len(lines) > 20
        answers += [Answer(q, k, exact, [(i, p, s) for i, p, s in hits]) for q, k, exact, hits in lines]


def read_through(made: Made, tmp_path: Path, changes: int) -> list[Answer]:
    """The answers of 2 processes and 8 threads while the index goes through every change."""
    rng = np.random.default_rng(7)
    queries = rng.normal(size=(6, DIM)).astype(np.float32)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    np.save(tmp_path / "queries.npy", queries)
    answers: list[Answer] = []
    with Index.open(made.index) as index, reading_processes(made, tmp_path / "queries.npy", tmp_path) as more:
        turns = count()

        def step() -> None:
            answers.append(ask(index, queries, next(turns)))
            time.sleep(PAUSE)

        with threads_of([step] * 8):
            for gone in range(0, 30 * changes, 30):
                made.add(100)
                made.write("rebuild", "--view", "ivf" if gone % 60 == 0 else "exact", "--recall", "0.9")
                made.remove(gone, gone + 30)
                made.write("compact")
            made.write("rebuild", "--view", "exact")
    answers += more
    assert_answers_of(made.states, queries, answers)
    return answers


@contextmanager
def threads_of(steps: Sequence[Callable[[], None]]) -> Iterator[list[BaseException]]:
    """A thread for each step, which is done again and again until the block ends, and never fails."""
    failures: list[BaseException] = []
    stop = threading.Event()

    def run(step: Callable[[], None]) -> None:
        try:
            while not stop.is_set():
                step()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(step,), daemon=True) for step in steps]
    for thread in threads:
        thread.start()
    try:
        yield failures
    finally:
        stop.set()
        for thread in threads:
            thread.join(300)
    assert not any(thread.is_alive() for thread in threads)
    if failures:
        raise failures[0]


def test_every_answer_is_one_commits_answer_through_every_change(made: Made, tmp_path: Path) -> None:
    answers = read_through(made, tmp_path, 1)
    # All sizes were met, both ways of searching, and both depths.
    sizes = {len(answer.hits) for answer in answers}
    assert 10 in sizes
    assert len(sizes) >= 3
    assert len({a.exact for a in answers}) == 2


@pytest.mark.proof
def test_every_answer_is_one_commits_answer_time_and_again(
    made: Made, tmp_path: Path, faults: Callable[..., None]
) -> None:
    answers = read_through(made, tmp_path, 5)
    print(f"{len(answers)} answers")
    faults("an index changed under 2 reading processes and 8 threads", tried=len(made.states) - 1)


# An approximate search that looks into few lists has to look into more when those hold too little.
MANY = """
import sys, time
from pathlib import Path
import numpy as np
from simsearch import Index
with Index.open(Path(sys.argv[1])) as index:
    query = index.vectors([1])
    for k in (10, 700, 1199, 1200, 5000):
        print(len({hit.id for hit in index.search(query, k)[0]}))
    print(len(index.search(query, 10, max_score=-0.4)[0]))
"""


def test_an_approximate_search_for_very_many_ends(made: Made) -> None:
    made.write("rebuild", "--view", "ivf", "--recall", "0.5")
    child = start(MANY, made.index)
    try:
        out, stderr = child.communicate(timeout=300)
    finally:
        child.kill()
        child.communicate()
    assert child.returncode == 0, stderr
    truth = made.states[-1]
    far = int((truth.vectors @ truth.vectors[truth.ids.index(1)] <= -0.4).sum())
    assert far > 0
    assert [int(n) for n in out.split()] == [10, 700, 1199, 1200, 1200, min(10, far)]


@contextmanager
def hasty_threads() -> Iterator[None]:
    """Threads that take turns a thousand times as often, so that they meet where they seldom do."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def calls_of(index: Index, truth: Truth, kept: Sequence[int]) -> list[Callable[[], None]]:
    """Eight ways to read, each of which checks its answer; `kept` are places in `truth` that always stay."""
    ids = [truth.ids[i] for i in kept]
    vectors, paths = truth.vectors[kept], [truth.paths[i][0] for i in kept]

    def search() -> None:
        found = index.search(vectors[:3], 10)
        assert [hits[0].id for hits in found] == ids[:3]
        assert [len({hit.id for hit in hits}) for hits in found] == [10] * 3

    def stored() -> None:
        assert np.array_equal(index.vectors(ids), vectors)

    def photos() -> None:
        seen = {photo.id: photo.paths for photo in index.photos()}
        assert [seen[vector_id] for vector_id in ids] == [(path,) for path in paths]

    def info() -> None:
        told = index.info()
        assert told.dim == DIM
        assert len(ids) <= told.photos <= told.vectors

    def places() -> None:
        assert [index.paths_of(vector_id) for vector_id in ids[:20]] == [(path,) for path in paths[:20]]

    def patiently(call: Callable[[], None]) -> Callable[[], None]:
        def step() -> None:
            call()
            time.sleep(0.03)

        return step

    return [patiently(call) for call in (search, search, search, stored, stored, photos, info, places)]


# Segments of 100 rows, so that readers open and let go of many.
SMALL_SEGMENTS = """
import sys
from simsearch.cli import run
from simsearch.storage import segments
segments.SEGMENT_BYTES = segments.HEADER + 100 * 32 * 4
sys.exit(run(sys.argv[1:]))
"""


def write_small(*command: str | os.PathLike[str]) -> None:
    child = start(SMALL_SEGMENTS, *command, "-q")
    _, stderr = child.communicate(timeout=600)
    assert child.returncode == 0, stderr


@pytest.fixture
def many_segments(tmp_path: Path) -> Made:
    """600 photos in six segments."""
    (tmp_path / "photos").mkdir()
    made = Made(tmp_path / "photos", tmp_path / "index")
    write_small("import", *made.table(600), "--spec", "made", "-i", made.index)
    made.states.append(read_index(made.index))
    return made


def test_all_ways_to_read_go_on_in_threads_while_another_process_writes(many_segments: Made) -> None:
    made, index = many_segments, many_segments.index
    [truth] = made.states
    by_name = sorted(range(600), key=lambda place: truth.paths[place][0])
    assert len(list((index / "segments").iterdir())) == 6
    with Index.open(index) as opened, hasty_threads():
        with threads_of(calls_of(opened, truth, by_name[300:])) as failures:
            gone = [made.folder / f"{i:05d}.png" for i in range(0, 200, 2)]
            write_small("remove", *gone, "--yes", "-i", index)
            write_small("compact", "-i", index)
            write_small("import", *made.table(40), "--spec", "made", "-i", index)
            assert failures == []
        assert len(opened) == 600 - 100 + 40
    assert verify(index).ok


def test_threads_let_go_of_segments_while_others_open_them(tmp_path: Path) -> None:
    store = SegmentStore(tmp_path, SegmentHeader("of a test", "any", 4))
    numbers = range(1, 13)
    for number in numbers:
        store.append(number, 0, np.full((2, 4), number, np.float32))

    def open_all() -> None:
        store.open(numbers)
        assert store.read([(number, 1) for number in numbers])[:, 0].tolist() == list(numbers)

    with hasty_threads(), threads_of([open_all, open_all, lambda: store.keep_only({1, 2, 3})]):
        time.sleep(1.5)


def close_under_threads(made: Made) -> tuple[int, list[str]]:
    """How many calls were answered after an index was closed under its threads, and what others were told."""
    truth, told, answered = made.states[-1], list[str](), list[bool]()
    closed = threading.Event()
    opened = Index.open(made.index)

    def guarded(call: Callable[[], None]) -> Callable[[], None]:
        def step() -> None:
            late = closed.is_set()
            try:
                call()
            except SimsearchError as error:
                told.append(str(error))
            else:
                answered.append(late)

        return step

    with hasty_threads(), threads_of([guarded(call) for call in calls_of(opened, truth, range(300))]):
        time.sleep(0.3)
        for _ in range(5):
            opened.close()
            closed.set()
            time.sleep(0.05)
        wait_for(lambda: bool(told) or any(answered))
    opened.close()
    return sum(answered), told


def test_an_index_closed_under_its_threads_answers_rightly_or_says_so(many_segments: Made) -> None:
    answered, told = close_under_threads(many_segments)
    assert answered + len(told) > 0
    assert verify(many_segments.index).ok


@pytest.mark.proof
def test_an_index_is_closed_under_its_threads_fifty_times(
    many_segments: Made, faults: Callable[..., None]
) -> None:
    ended = [close_under_threads(many_segments) for _ in range(10)]
    print(f"{sum(n for n, _ in ended)} answers after the end, {sum(len(told) for _, told in ended)} told")
    faults("an index closed under 8 threads that read it", tried=50)


# A clock that is wrong

CLOCKED = """
import sys
from simsearch.engine.indexing import IndexingConfig, index_folder
from simsearch.models.choice import ModelChoice
config = IndexingConfig(
    choice=ModelChoice(model="efficientnet_lite0"),
    batch_size=8, commit_photos=100000, commit_seconds=float(sys.argv[3]), prune=True
)
report = index_folder(sys.argv[1], sys.argv[2], config)
print(report.embedded, report.unchanged, report.updated, report.gone)
"""


@dataclass
class Machine:
    """A machine whose clock the test sets, by the seconds that it is wrong."""

    library: str
    file: Path

    def set(self, seconds: int) -> None:
        # Renamed into place, since a process that finds an empty file would read the right time.
        fresh = self.file.with_suffix(".new")
        fresh.write_text(str(seconds))
        fresh.replace(self.file)

    def begin(self, photos: Path, index: Path, commit_seconds: float = 5.0) -> Child:
        env = {"LD_PRELOAD": self.library, "CLOCK_FILE": str(self.file)}
        return start(CLOCKED, photos, index, str(commit_seconds), **env)

    def index(self, photos: Path, index: Path) -> tuple[int, ...]:
        """Run to the end: how many were embedded, unchanged, updated, gone."""
        return numbers_of(self.begin(photos, index))


def numbers_of(child: Child) -> tuple[int, ...]:
    out, stderr = child.communicate(timeout=600)
    assert child.returncode == 0, stderr
    return tuple(map(int, out.split()))


@pytest.fixture
def machine(trouble: str, tmp_path: Path) -> Machine:
    machine = Machine(trouble, tmp_path / "offset")
    machine.set(0)
    return machine


def change_in_place(path: Path, mtime: float) -> None:
    """Other bytes of the same number and inode: a comment behind the picture, which no decoder reads."""
    data = bytearray(path.read_bytes())
    data[-1] ^= 0xFF
    with path.open("r+b") as file:
        file.write(data)
    os.utime(path, (mtime, mtime))


@pytest.fixture
def commented(tmp_path: Path) -> Callable[[int], Path]:
    """Makes a folder of n PNGs with a byte behind each that can be changed without harm."""

    def make(n: int) -> Path:
        folder = tmp_path / "photos"
        folder.mkdir()
        for i in range(n):
            path = folder / f"{i:04d}.png"
            picture(i, (48, 40)).save(path, compress_level=1)
            path.write_bytes(path.read_bytes() + b"\0")
        age(folder)
        return folder

    return make


def turn_back_in_the_middle(machine: Machine, photos: Path, index: Path, by: Sequence[int]) -> None:
    """Set the clock back while a run goes on, once for each of `by`; commits come as before."""
    child = machine.begin(photos, index, 0.2)
    for seconds in by:
        held = committed(index)
        wait_for(lambda held=held: committed(index) > held)  # type: ignore[misc]
        assert child.poll() is None
        machine.set(-seconds)
    held = committed(index)
    wait_for(lambda: committed(index) > held or child.poll() is not None)
    n = sum(1 for _ in photos.iterdir())
    assert numbers_of(child) == (n, 0, 0, 0)
    assert_right(index, photos)


def test_a_clock_set_back_during_a_run_and_after_it_loses_nothing(
    machine: Machine, commented: Maker, tmp_path: Path
) -> None:
    photos, index = commented(160), tmp_path / "index"
    turn_back_in_the_middle(machine, photos, index, [DAY])
    ids = read_index(index).ids
    machine.set(-YEAR)
    assert machine.index(photos, index) == (0, 160, 0, 0)
    # Whatever the clock says, another size, mtime or inode is another file.
    old = time.time() - YEAR
    for path in sorted(photos.iterdir())[:3]:
        change_in_place(path, old)
    assert machine.index(photos, index) == (3, 157, 3, 0)
    machine.set(0)
    assert machine.index(photos, index) == (0, 160, 0, 0)
    assert_right(index, photos)
    assert set(read_index(index).ids) - set(ids) == {161, 162, 163}


@pytest.mark.proof
def test_photos_from_the_future_are_indexed_once_and_their_changes_noticed(
    machine: Machine, commented: Maker, tmp_path: Path
) -> None:
    photos, index = commented(40), tmp_path / "index"
    future = time.time() + YEAR
    some = sorted(photos.iterdir())[:10]
    for path in some:
        os.utime(path, (future, future))
    assert machine.index(photos, index) == (40, 0, 0, 0)
    assert machine.index(photos, index) == (0, 40, 0, 0)
    # What lies in the future is read again each time, so that even a change that keeps the mtime is seen.
    change_in_place(some[0], future)
    change_in_place(some[1], future + 1)
    assert machine.index(photos, index) == (2, 38, 2, 0)
    # The clock was wrong in between, and is right again.
    machine.set(2 * YEAR)
    assert machine.index(photos, index) == (0, 40, 0, 0)
    machine.set(0)
    change_in_place(some[2], future + 2)
    assert machine.index(photos, index) == (1, 39, 1, 0)
    assert machine.index(photos, index) == (0, 40, 0, 0)
    assert_right(index, photos)


@pytest.mark.proof
def test_a_clock_that_jumps_all_the_time_loses_nothing(
    machine: Machine, commented: Maker, tmp_path: Path, faults: Callable[..., None]
) -> None:
    photos, index = commented(800), tmp_path / "index"
    jumps = [DAY, YEAR, 0, 20 * YEAR]
    turn_back_in_the_middle(machine, photos, index, jumps)
    for seconds in (YEAR, 0, DAY):
        machine.set(-seconds)
        assert machine.index(photos, index) == (0, 800, 0, 0)
    assert_right(index, photos)
    faults("the clock set back during a run or between two", tried=len(jumps) + 3)


# Locks that were left behind


@pytest.fixture
def small_index(small_photos: Maker, tmp_path: Path) -> tuple[Path, Path]:
    photos, index = small_photos(12), tmp_path / "index"
    index_folder(photos, index, IndexingConfig(choice=LITE0))
    return photos, index


ELSEWHERE = b'{"pid": 1, "host": "another-host", "since": "2020-01-01 00:00:00"}'


@pytest.mark.parametrize("left", [ELSEWHERE, b"", b"\x00\xff" * 5000])
def test_whatever_a_dead_writer_left_in_the_lock_is_taken_over(
    left: bytes, small_index: tuple[Path, Path]
) -> None:
    photos, index = small_index
    (index / "LOCK").write_bytes(left)
    with stopped_writer(photos, index, at=1) as child:
        done = simsearch("compact", "-i", index)
        assert_told(done.returncode, done.stderr, f"process {child.pid} on {socket.gethostname()}")
        assert go_on(child) == b"0\n"
    assert simsearch("compact", "-i", index).returncode == 0
    assert_right(index, photos)


@pytest.mark.parametrize("kind", ["folder", "dangling link", "pipe"])
def test_what_is_no_file_in_the_place_of_the_lock_is_named(
    kind: str, small_index: tuple[Path, Path], tmp_path: Path
) -> None:
    photos, index = small_index
    lock = index / "LOCK"
    lock.unlink()
    if kind == "folder":
        lock.mkdir()
    elif kind == "pipe":
        os.mkfifo(lock)
    else:
        lock.symlink_to(tmp_path / "nowhere")
    child = start(RIVAL, "compact", "-i", index)
    try:
        _, stderr = child.communicate(b"\n", timeout=300)
    finally:
        child.kill()
        child.communicate()
    assert child.returncode == 1
    assert stderr.count(b"\n") == 1
    # Who reads it has to know what to take away.
    assert str(lock).encode() in stderr
    assert not (tmp_path / "nowhere").exists()
    assert simsearch("verify", "-i", index).returncode == 0
    if kind == "folder":
        lock.rmdir()
    else:
        lock.unlink()
    assert simsearch("compact", "-i", index).returncode == 0
    assert_right(index, photos)


def test_a_lock_that_may_not_be_written_is_named_or_taken(small_index: tuple[Path, Path]) -> None:
    photos, index = small_index
    lock = index / "LOCK"
    lock.chmod(0o400)
    done = simsearch("compact", "-i", index)
    # The superuser may write it all the same.
    if os.access(lock, os.W_OK):
        assert done.returncode == 0
    else:
        assert done.returncode == 1
        assert b"Permission denied" in done.stderr
    assert_right(index, photos)


# A file system without flock, where the lock is a file that names its holder


@pytest.fixture
def no_flock(trouble: str) -> dict[str, str]:
    return {"LD_PRELOAD": trouble, "NO_FLOCK": "1"}


def test_without_flock_a_second_writer_is_told_and_a_killed_one_is_replaced(
    no_flock: dict[str, str], small_photos: Maker, tmp_path: Path
) -> None:
    photos, index = small_photos(40), tmp_path / "index"
    with stopped_writer(photos, index, **no_flock) as child:
        for rival in (("index", "-i", index, "-q"), ("compact", "-i", index)):
            done = simsearch(*rival, **no_flock)
            assert_told(done.returncode, done.stderr, f"process {child.pid} on {socket.gethostname()}")
        child.kill()
        child.communicate()
    again = simsearch("index", "-i", index, "--json", **no_flock)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["embedded"] == 40 - 16
    assert not (index / "LOCK").exists()
    assert_right(index, photos)


@pytest.mark.parametrize("left", [b"4711\nanother-host\n", b"", ELSEWHERE])
def test_without_flock_a_lock_that_nobody_can_judge_says_how_to_be_rid_of_it(
    left: bytes, no_flock: dict[str, str], small_index: tuple[Path, Path]
) -> None:
    photos, index = small_index
    (index / "LOCK").write_bytes(left)
    done = simsearch("compact", "-i", index, **no_flock)
    # A note of the times when there was a flock may be taken over, if that is sure; the others may not.
    if left != ELSEWHERE or done.returncode:
        assert_told(done.returncode, done.stderr, str(index / "LOCK"), "delete")
        assert (b"another-host" in done.stderr) == bool(left)
        (index / "LOCK").unlink()
    assert simsearch("compact", "-i", index, **no_flock).returncode == 0
    assert_right(index, photos)
