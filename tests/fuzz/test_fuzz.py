"""Any bytes end in a right answer or in an error that was foreseen; what fuzzing found stays found."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import numpy as np
import pytest
from conftest import REPO

from fuzz.ground import LISTED, fresh, ground, one_thread, put_setting
from fuzz.seeds import mutations, seeds
from fuzz.targets import TARGETS, pool
from simsearch.engine.append import NewContent
from simsearch.engine.create import create_index, prepare_folder
from simsearch.engine.exchange.origin import Origin, open_origin
from simsearch.engine.index import Index
from simsearch.engine.indexing import index_folder
from simsearch.engine.maintenance.verify import verify
from simsearch.engine.maintenance.view import rebuild
from simsearch.errors import IndexDamaged, SimsearchError
from simsearch.models.weights.checkpoint import read_checkpoint
from simsearch.records import Facts, FileStat
from simsearch.spec import EmbeddingSpec
from simsearch.storage import writer
from simsearch.storage.writer import FileChange

SECONDS = 60
COUNTS = {
    "worker": 400,
    "frames": 3000,
    "worker-process": 40,
    "segment": 500,
    "settings": 20,
    "opener": 20,
    "tables": 100,
    "checkpoint": 100,
    "view": 15,
    "sniffers": 3000,
}
DEEP = "[" * 100_000


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raises TimeoutError when the body has not come to an end by then."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"no end after {seconds:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module", autouse=True)
def no_worker_is_left() -> Iterator[None]:
    """What the targets stand on is made before a clock runs, and the worker that they share is ended."""
    ground()
    yield
    if pool.cache_info().currsize:
        pool().close()
        pool.cache_clear()


@pytest.mark.parametrize("target", TARGETS)
def test_seeds_and_cheap_changes_of_them(target: str) -> None:
    begin = seeds(target)
    # Of the settings only some are asked here, evenly spread; all of them where there is more time.
    for data in [*begin[:: max(1, len(begin) // 60)], *mutations(begin, COUNTS[target])]:
        with within(SECONDS):
            TARGETS[target](data)


@pytest.mark.proof
@pytest.mark.parametrize("target", TARGETS)
def test_a_fuzzer_guided_by_coverage_finds_nothing(
    target: str, tmp_path: Path, faults: Callable[..., None]
) -> None:
    command = [
        sys.executable,
        "-m",
        "fuzz.run",
        target,
        "--seconds",
        "15",
        "--corpus",
        str(tmp_path / "corpus"),
        # A finding by chance would stop whoever happens to come by; another seed each time is for `fuzz.run`.
        "--seed",
        "1",
    ]
    paths = os.pathsep.join([str(REPO), str(REPO / "tests")])
    (tmp_path / "tmp").mkdir()
    ended = subprocess.run(
        command,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": paths, "TMPDIR": str(tmp_path / "tmp")},
        timeout=1800,
        check=False,
    )
    told = (ended.stdout + ended.stderr).decode(errors="replace")
    assert ended.returncode == 0, told[-4000:]
    executions = re.findall(r"stat::number_of_executed_units: (\d+)", told)
    assert executions, told[-2000:]
    faults(f"fuzzing: {target}", tried=int(executions[-1]))


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """An index of a thousand pictures whose view looks into a few of its lists only, and the vectors."""
    folder = tmp_path_factory.mktemp("listed") / "index"
    prepare_folder(folder)
    rows = np.random.default_rng(0).normal(size=(LISTED, 16)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    spec = EmbeddingSpec.named("fuzz", 16)
    with create_index(folder, spec, weights_path="", fallback=None, note=lambda _: None) as index:
        with index.database.write() as connection:
            root = writer.put_root(connection, b"/photos")
        new, changes = [], []
        for number, row in enumerate(rows):
            digest, stat = number.to_bytes(32, "big"), FileStat(1, 1, number, 1)
            new.append(NewContent(digest, Facts(4, 3, "PNG"), row))
            changes.append(FileChange(root.id, b"%04d.png" % number, stat, time.time_ns(), digest=digest))
        index.commit(new, changes)
    with one_thread():
        rebuild(folder, view="ivf", recall=0.5)
    return folder, rows


@pytest.mark.parametrize("max_score", [-0.5, 0.0])
def test_a_bound_that_few_listed_rows_meet_comes_to_an_end(
    listed: tuple[Path, np.ndarray], max_score: float
) -> None:
    folder, rows = listed
    with Index.open(folder) as index, within(SECONDS):
        hits = index.search(rows[:1], 10, max_score=max_score)[0]
    scores = rows.astype(np.float64) @ rows[0].astype(np.float64)
    # The view is an approximate one, so that which rows it lists is left open, but not how many.
    assert len(hits) == min(10, int((scores.astype(np.float32) <= max_score).sum()))
    for hit in hits:
        assert hit.score <= max_score
        assert hit.score == pytest.approx(scores[hit.id - 1], abs=1e-6)


def test_more_hits_than_the_probed_lists_hold_are_all_found(listed: tuple[Path, np.ndarray]) -> None:
    folder, rows = listed
    with Index.open(folder) as index, within(SECONDS):
        hits = index.search(rows[:1], LISTED)[0]
    assert sorted(hit.id for hit in hits) == list(range(1, LISTED + 1))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param(
            "v.npy",
            b"\x93NUMPY\x01\x00\x04\x00{((\n" + b" " * 64,
            id="a header with a bracket that stays open",
        ),
        pytest.param("p.csv", b'path,copies\n/a,"[""\\ud800""]"\n', id="a copy that is no path"),
        pytest.param("p.csv", b"path,copies\n/a," + DEEP.encode() + b"\n", id="copies nested too deep"),
        pytest.param("spec.json", DEEP.encode(), id="a spec nested too deep"),
    ],
)
def test_a_file_for_import_that_no_program_writes_is_refused_in_words(
    tmp_path: Path, name: str, content: bytes
) -> None:
    place = tmp_path / "vectors.npy"
    np.save(place, np.eye(1, 4, dtype=np.float32))
    (tmp_path / "photos.csv").write_text("path\n/a\n")
    real = {"v.npy": "vectors.npy", "p.csv": "photos.csv"}.get(name, name)
    (tmp_path / real).write_bytes(content)
    with pytest.raises(SimsearchError):
        open_origin(Origin(tmp_path), lambda _: None)


def test_a_parquet_table_of_a_kind_that_no_program_writes_is_refused_in_words() -> None:
    TARGETS["tables"]((REPO / "tests" / "fixtures" / "fuzz" / "tables-odd-integer.bin").read_bytes())


@pytest.mark.parametrize("place", [b"tablesettings", b"CREATE TABLE settings"])
def test_a_letter_of_the_schema_that_is_no_text_is_told_as_damage(place: bytes) -> None:
    database = bytearray(ground().database)
    database[database.index(place)] = 0xFF
    folder = fresh(bytes(database))
    with pytest.raises(IndexDamaged, match=r"index\.db"):
        asked(folder)
    report = verify(folder)
    assert not report.ok
    assert [problem.file for problem in report.problems] == ["index.db"]


def test_a_checkpoint_of_a_future_zip_version_is_refused_in_words(tmp_path: Path) -> None:
    whole = bytearray(seeds("checkpoint")[1])
    # The version that is needed to extract, in each entry of the zip's directory; 255 is version 25.5.
    for found in list(re.finditer(rb"PK\x01\x02", whole)):
        whole[found.start() + 6] = 255
    (tmp_path / "weights.pth").write_bytes(whole)
    with contextlib.suppress(SimsearchError):
        read_checkpoint(tmp_path / "weights.pth")


BROKEN = [
    *(("spec", value) for value in (None, "", "[]", DEEP, "spec:dim:0", "spec:dim:x", "spec:backbone:0")),
    *(("view", value) for value in ("", "null", "{}", DEEP, 'view:file:"a\\u0000b"', 'view:file:"\\ud800"')),
    *(
        ("view", f"view:{name}:{value}")
        for name in ("nprobe", "last_id", "reranked")
        for value in ('"x"', "null")
    ),
    *(("view", f"view:{name}:{1 << 70}") for name in ("nprobe", "last_id")),
    *(("end", value) for value in (None, "", "[]", "{}", "null", '["x", 0]', DEEP)),
    *(("rules:1", value) for value in ("", "[1]", '{"exclude": 0}', '{"exclude": [[]]}', DEEP)),
    *(("max_pixels", value) for value in ("", "x", "9" * 5000)),
    *(("generation", value) for value in ("", "x", "9" * 5000)),
    ("uuid", None),
]


@pytest.mark.parametrize(("key", "value"), BROKEN, ids=[f"{k}-{str(v)[:24]}" for k, v in BROKEN])
def test_a_setting_that_no_version_writes_is_told_in_words(key: str, value: str | None) -> None:
    known = ground()
    if value is not None and value.count(":") == 2 and not value.startswith(("{", "[")):
        value = changed(known.settings[key], *value.split(":")[1:])
    acts: list[Callable[[Path], object]] = [asked, verify, lambda folder: index_folder((), folder)]
    for act in acts:
        folder = fresh(known.database)
        put_setting(folder, key, value)
        with within(SECONDS), contextlib.suppress(SimsearchError):
            act(folder)


def changed(text: str, name: str, value: str) -> str:
    """A JSON object with another value of one name, put in as it is written."""
    shown = value if value[:1] in '"0123456789n' else f'"{value}"'
    return re.sub(rf'("{name}": ?)("[^"]*"|[^,}}]+)', lambda found: found[1] + shown, text)


def asked(folder: Path) -> object:
    """What `info` and a search say."""
    with Index.open(folder) as index:
        return index.search(ground().query), index.info(), index.max_pixels
