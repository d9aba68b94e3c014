"""One bit of an index flips: verify tells, or nothing has changed; and the mend that it names is one."""

from __future__ import annotations

import multiprocessing
import os
import random
import shlex
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import age, picture
from made import made_index
from numpy.typing import NDArray
from oracle import read_index

from simsearch import Index, SimsearchError, index_folder
from simsearch.engine.indexing import IndexingConfig
from simsearch.engine.maintenance.thumbnails import make_thumbnails
from simsearch.engine.maintenance.verify import verify
from simsearch.engine.maintenance.view import rebuild
from simsearch.errors import IndexDamaged
from simsearch.media.thumbs import thumbnail
from simsearch.models.choice import ModelChoice

OFFSETS = 20
LITE0 = ModelChoice(model="efficientnet_lite0")


@dataclass(frozen=True)
class Base:
    """A sound index, the photos that it is of, and what it answers to a few questions."""

    index: Path
    photos: Path
    questions: NDArray[np.float32]
    answers: Any


@dataclass(frozen=True)
class Flip:
    """A bit of a file, or a byte after which the file ends."""

    file: str
    offset: int
    bit: int


@dataclass(frozen=True)
class Outcome:
    """What came of a flip: in one word, and what verify named."""

    flip: Flip
    word: str
    named: tuple[str, ...] = ()


def answers(index: Path, questions: NDArray[np.float32]) -> Any:
    """All that a person sees of an index: its photos, what it skipped, and the hits of the questions."""
    with Index.open(index) as opened:
        photos = [(photo.paths, photo.width, photo.height, photo.sha256) for photo in opened.photos()]
        hits = [
            [(hit.path, round(hit.score, 4), hit.copies) for hit in found]
            for found in opened.search(questions, 5)
        ]
        info = opened.info()
        small = [thumbnail(Path(paths[0]), store=index / "thumbs.db") for paths, *_ in sorted(photos)[::6]]
        return sorted(photos), opened.skipped(), hits, info.photos, info.files, info.roots, small


def flipped(base: Base, flip: Flip, to: Path) -> Path:
    """A copy of the index with one bit changed."""
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(base.index, to)
    with (to / flip.file).open("r+b") as file:
        file.seek(flip.offset)
        [byte] = file.read(1)
        file.seek(flip.offset)
        file.write(bytes([byte ^ (1 << flip.bit)]))
    return to


def try_flip(base: Base, flip: Flip, work: Path) -> Outcome:
    """Ask a damaged copy, verify it, mend it as verify says, and ask again."""
    index = flipped(base, flip, work / f"{flip.file.replace('/', '-')}-{flip.offset}-{flip.bit}")
    try:
        seen = "same" if answers(index, base.questions) == base.answers else "other"
    except SimsearchError:
        seen = "error"
    report = verify(index)
    if report.ok:
        shutil.rmtree(index)
        return Outcome(flip, "unchanged" if seen == "same" else f"SILENT {seen}")
    named = tuple(f"{problem.file}: {problem.what}" for problem in report.problems)
    word = mend(base, index, {problem.mend for problem in report.problems}, {p.file for p in report.problems})
    shutil.rmtree(index, ignore_errors=True)
    return Outcome(flip, f"{word} (answers: {seen})", named)


def mend(base: Base, index: Path, mends: set[str], files: set[str]) -> str:
    """Do what verify says, and see that it was all that was needed; the word for it."""
    if len(mends) != 1:
        return f"BAD {len(mends)} mends"
    words = shlex.split(next(iter(mends)))
    config = IndexingConfig(
        choice=LITE0 if "Move" in words else ModelChoice(), batch_size=4, repair="--repair" in words
    )
    if words[0] == "Move":
        shutil.rmtree(index)
        index_folder(base.photos, index, config)
        return "again" if same_photos(base, index) else "BAD again"
    if words[1] == "rebuild":
        rebuild(index)
        return "rebuilt" if verify(index).ok and same_photos(base, index) else "BAD rebuilt"
    assert words == ["simsearch", "index", "--repair", "-i", str(index)], words
    notes: list[str] = []
    try:
        report = index_folder((), index, config, note=notes.append)
    except IndexDamaged as lost:
        # The name of a setting was lost, and may have been one of the person's.
        if "is mended, but what a person had set is lost" not in str(lost):
            raise
        report = index_folder((), index)
    homeless = [note for note in notes if "Name it once more" in note]
    if homeless:
        report = index_folder(base.photos, index, IndexingConfig(batch_size=4))
    named = {Path(file).read_bytes() for file in files if file.startswith(str(base.photos))}
    if named and report.embedded != len(named):
        return f"BAD embedded {report.embedded}, verify named {len(named)}"
    if not verify(index).ok:
        return f"BAD after mending {verify(index).problems[:2]}"
    if not same_photos(base, index):
        return "BAD other photos after mending"
    return f"mended, {min(report.embedded, 1)} read again"


def same_photos(base: Base, index: Path) -> bool:
    """The same paths, skipped files and hits as before; ids may be new."""
    photos, _, hits, *rest = answers(index, base.questions)
    before = base.answers
    return (photos, hits, rest) == (before[0], before[2], list(before[3:]))


def flips(index: Path, each: int, *, only: str = "") -> Iterator[Flip]:
    """`each` places in every file, half of the database's and the segments' in their first bytes."""
    rng = random.Random(0)
    for path in sorted(index.rglob("*")):
        name = str(path.relative_to(index))
        if not path.is_file() or not path.stat().st_size or not name.startswith(only):
            continue
        size = path.stat().st_size
        head = min(size, 100 if name.endswith(".db") else 256)
        for n in range(each):
            yield Flip(name, rng.randrange(head if n % 4 == 0 else size), rng.randrange(8))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    """Photos with a copy, a broken one and removed ones, indexed, with thumbnails."""
    work = tmp_path_factory.mktemp("rot")
    photos = work / "photos"
    for n in range(24):
        place = photos / f"folder-{n % 3}"
        place.mkdir(parents=True, exist_ok=True)
        picture(n, (64, 48)).save(place / f"{n:03d}.png")
    shutil.copy(photos / "folder-0" / "000.png", photos / "copy.png")
    (photos / "broken.jpg").write_bytes(b"\xff\xd8\xff" + bytes(100))
    for n in (22, 23):
        picture(n + 100, (64, 48)).save(photos / f"removed-{n}.png")
    age(photos)
    config = IndexingConfig(choice=LITE0, batch_size=4)
    index_folder(photos, work / "index", config)
    for path in photos.glob("removed-*"):
        path.unlink()
    index_folder(photos, work / "index", IndexingConfig(prune=True, yes=True))
    make_thumbnails(work / "index")
    return stand(work / "index", photos)


def stand(index: Path, photos: Path) -> Base:
    questions = read_index(index).vectors[::5]
    return Base(index, photos, questions, answers(index, questions))


@pytest.fixture(scope="module")
def viewed(tmp_path_factory: pytest.TempPathFactory) -> Base:
    """An index that is searched by an approximate view, as hard as it can: mended, all rows are compared."""
    photos, index = made_index(tmp_path_factory.mktemp("viewed"))
    rebuild(index, view="ivf", recall=1.0)
    return stand(index, photos)


def run(base: Base, chosen: list[Flip], work: Path) -> list[Outcome]:
    """Every flip in one of two processes; a signal in one of them would end the test."""
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        tried = [pool.submit(try_flip, base, flip, work / "flips") for flip in chosen]
        return [future.result() for future in tried]


def judge(outcomes: list[Outcome]) -> int:
    """Fail where something was silent or not mended; how many flips verify told of."""
    for word, n in sorted(Counter((o.flip.file, o.word) for o in outcomes).items()):
        print(n, *word)
    print([o for o in outcomes if "again " in o.word])
    assert [o for o in outcomes if "SILENT" in o.word or "BAD" in o.word] == []
    return sum(o.word != "unchanged" for o in outcomes)


def test_a_flipped_bit_is_told_and_mended(base: Base, tmp_path: Path) -> None:
    chosen = list(flips(base.index, 4))
    assert {flip.file for flip in chosen} == {"LOCK", "index.db", "segments/000001.seg", "thumbs.db"}
    assert judge(run(base, chosen, tmp_path)) > 0


def test_a_flipped_bit_in_a_view_is_told_and_mended(viewed: Base, tmp_path: Path) -> None:
    chosen = list(flips(viewed.index, 3, only="views"))
    assert len(chosen) == 3
    assert judge(run(viewed, chosen, tmp_path)) == 3


@pytest.mark.proof
def test_twenty_places_in_a_view(viewed: Base, tmp_path: Path, faults: Callable[..., None]) -> None:
    chosen = list(flips(viewed.index, OFFSETS, only="views"))
    faults("a flipped bit in a view", tried=len(chosen), told=judge(run(viewed, chosen, tmp_path)))


@pytest.fixture(scope="module")
def logged(base: Base, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index as a kill leaves it: the last commits are in SQLite's log alone."""
    work = tmp_path_factory.mktemp("logged")
    some = sorted(base.photos.rglob("*.png"))[::2]
    index_folder([os.fsencode(path) for path in some], work / "index", IndexingConfig(choice=LITE0))
    with Index.open(work / "index") as reader:
        assert len(reader) > 0
        index_folder(base.photos, work / "index", IndexingConfig(batch_size=4, commit_photos=4))
        shutil.copytree(work / "index", work / "killed")
    assert (work / "killed" / "index.db-wal").stat().st_size > 10_000
    return work / "killed"


@pytest.mark.parametrize(
    "each", [pytest.param(3, id="some"), pytest.param(4 * OFFSETS, marks=pytest.mark.proof, id="many")]
)
def test_a_flipped_bit_in_the_log_leaves_an_earlier_commit(
    each: int, logged: Path, base: Base, tmp_path: Path, faults: Callable[..., None]
) -> None:
    whole = {path for paths, *_ in base.answers[0] for path in paths}
    chosen = list(flips(logged, each, only="index.db-wal"))
    for flip in chosen:
        index = flipped(Base(logged, base.photos, base.questions, None), flip, tmp_path / "index")
        assert verify(index).ok
        truth = read_index(index)
        known = {path for paths in truth.paths for path in paths}
        assert known <= whole
        with Index.open(index) as opened:
            for query, hits in zip(base.questions, opened.search(base.questions, 5), strict=True):
                assert [hit.path for hit in hits] == [path for path, _ in truth.rank(query, 5)]
        report = index_folder(base.photos, index, IndexingConfig(batch_size=4))
        assert report.embedded == len(base.answers[0]) - len(truth.ids)
        assert {path for paths in read_index(index).paths for path in paths} == whole
    faults("a flipped bit in SQLite's log", tried=len(chosen))


@pytest.mark.proof
def test_twenty_places_in_every_file(base: Base, tmp_path: Path, faults: Callable[..., None]) -> None:
    chosen = [*flips(base.index, OFFSETS), *flips(base.index, 4 * OFFSETS, only="index.db")]
    faults("a flipped bit in any file", tried=len(chosen), told=judge(run(base, chosen, tmp_path)))
