"""Several queries at once: each as if it were the only one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import picture

from simsearch import Index
from simsearch.engine.batch.asking import Answer, Question, Stored, answers, look_up
from simsearch.engine.batch.hits import TOGETHER
from simsearch.engine.exchange.importing import import_embeddings
from simsearch.engine.exchange.origin import Origin
from simsearch.engine.maintenance.remove import remove
from simsearch.engine.queries.examples import Example, Seen
from simsearch.engine.queries.filters import PhotoFilter
from simsearch.engine.queries.options import QueryOptions
from simsearch.engine.ranking import GROUP, Wanted
from simsearch.engine.search import Searcher
from simsearch.errors import IndexDamaged, NotIndexed, QueryInvalid, SimsearchError
from simsearch.records import QueryResult

DIM = 16


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eighty photos with random unit vectors, in two folders."""
    home = tmp_path_factory.mktemp("batch")
    paths = [home / "photos" / f"{n % 2}" / f"{n:02d}.jpg" for n in range(80)]
    for n, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(n).save(path, quality=92)
    vectors = np.random.default_rng(0).standard_normal((80, DIM)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    np.save(home / "v.npy", vectors)
    (home / "v.csv").write_text("\n".join(["path", *map(str, paths)]) + "\n")
    import_embeddings(Origin(home / "v.npy", home / "v.csv", name="made"), home / "index")
    return home / "index"


def found(answer: Answer) -> list[int]:
    assert isinstance(answer, QueryResult)
    return [hit.id for hit in answer.hits]


def test_each_query_of_one_search_leaves_out_its_own_paths(index: Path) -> None:
    with Index.open(index) as opened:
        photos = list(opened.photos())
        vectors = opened.vectors([photo.id for photo in photos])
        own = tuple(frozenset({photo.paths[0].encode()}) for photo in photos)
        common = photos[5].paths[0].encode()
        ranked = opened.rank(vectors, Wanted(7, without=frozenset({common}), own=own))
        cosines = vectors.astype(float) @ vectors.T.astype(float)
        for place, hits in enumerate(ranked):
            order = [n for n in np.argsort(-cosines[place]).tolist() if n not in (place, 5)]
            assert [hit.id for hit in hits] == [photos[n].id for n in order[:7]]
        # Past the groups in which queries go through FAISS, and in which their pictures are looked up.
        many = np.tile(vectors, (2, 1))
        assert len(photos) * GROUP > TOGETHER
        whole = opened.rank(many, Wanted(80, own=own * 2))
        assert whole[80:] == whole[:80]
        for place, hits in enumerate(whole[:80]):
            order = [n for n in np.argsort(-cosines[place]).tolist() if n != place]
            assert [hit.id for hit in hits] == [photos[n].id for n in order]
        # None of whom has anything of its own.
        assert [hits[0].id for hits in opened.rank(vectors, Wanted(1))] == [photo.id for photo in photos]


ASKED: list[QueryOptions] = [
    QueryOptions(k=5),
    QueryOptions(k=3, include_self=True),
    QueryOptions(k=4, offset=2, min_score=-0.2),
    QueryOptions(k=5, diverse=0.5),
    QueryOptions(k=5, expand=2),
    QueryOptions(k=5, center=True),
    QueryOptions(k=5, photos=PhotoFilter(where="path like '%/0/%'")),
]


def test_answers_are_those_of_one_by_one(index: Path) -> None:
    with Searcher(index) as searcher:
        photos = list(searcher.index.photos())[:8]
        questions, alone = [], []
        for number, photo in enumerate(photos):
            for options in ASKED:
                by = Stored(id=photo.id) if number % 2 else Stored(path=photo.paths[0].encode())
                questions.append(Question("x", (Example(by),), (), options))
                by_one = searcher.query_id(photo.id, options) if number % 2 else None
                alone.append(by_one or searcher.query_path(photo.paths[0], options))
        for answer, single in zip(answers(searcher, questions), alone, strict=True):
            assert found(answer) == [hit.id for hit in single.hits]
            assert isinstance(answer, QueryResult)
            scores = [hit.score for hit in single.hits]
            assert [hit.score for hit in answer.hits] == pytest.approx(scores, abs=1e-6)


def test_several_examples_and_a_vector_that_was_looked_at(index: Path) -> None:
    with Searcher(index) as searcher:
        one, two, three = (photo.id for photo in list(searcher.index.photos())[:3])
        vector = searcher.index.vectors([one])[0]
        options = QueryOptions(k=6, plus=(Example(two, 2.0),), minus=(Example(three),))
        single = searcher.query_id(one, options)
        plus = (Example(Stored(id=one)), Example(Stored(id=two), 2.0))
        asked = Question("x", plus, (Example(Stored(id=three)),), QueryOptions(k=6))
        seen = Question("x", (Seen(vector), plus[1]), asked.minus, QueryOptions(k=6))
        first, second = answers(searcher, [asked, seen])
        assert found(first) == [hit.id for hit in single.hits]
        # Nothing says which file the vector is of, so that this one may be a hit.
        assert one in found(second)
        assert [number for number in found(second) if number != one] == found(first)[:5]


def test_what_one_asks_wrongly_is_the_error_of_that_one(index: Path) -> None:
    with Searcher(index) as searcher:
        first = next(iter(searcher.index.photos())).id
        good = Question("x", (Example(Stored(id=first)),))
        unknown = [Stored(id=999), Stored(path=b"/nowhere/x.jpg"), Stored(digest=bytes(32))]
        cancelled = Question("x", good.plus, (Example(Stored(id=first), 1.0),))
        nowhere = PhotoFilter((b"/nowhere",))
        filtered = Question("x", good.plus, (), QueryOptions(photos=nowhere))
        asked = [good, *(Question("x", (Example(one),)) for one in unknown), cancelled, filtered, good]
        kinds: list[type[SimsearchError] | None] = [None, NotIndexed, NotIndexed, NotIndexed]
        kinds += [QueryInvalid, QueryInvalid, None]
        for answer, kind in zip(answers(searcher, asked), kinds, strict=True):
            assert isinstance(answer, kind or QueryResult)
        assert answers(searcher, []) == []
        assert look_up(searcher.index, []) == {}


def test_a_damaged_vector_is_the_error_of_who_asks_for_it_alone(index: Path, tmp_path: Path) -> None:
    home = shutil.copytree(index, tmp_path / "index")
    with Index.open(home) as opened:
        every = [photo.id for photo in opened.photos()]
        vectors = opened.vectors(every)
    # Of the photos that are least like the damaged one and most like it.
    bad = every[0]
    order = [every[place] for place in np.argsort(vectors @ vectors[0])]
    far, near = order[0], order[-2]
    with (home / "segments" / "000001.seg").open("r+b") as segment:
        segment.seek(4096)
        segment.write(bytes(4))
    with Searcher(home) as searcher:
        [alone] = answers(searcher, [one_like(far)])
        assert len(found(alone)) == 1
        for other in (bad, near):
            damaged, sound = answers(searcher, [one_like(other), one_like(far)])
            assert isinstance(damaged, IndexDamaged)
            assert sound == alone


def one_like(number: int) -> Question:
    return Question("x", (Example(Stored(id=number)),), (), QueryOptions(k=1))


def test_by_its_bytes_a_picture_finds_itself(index: Path) -> None:
    with Searcher(index) as searcher:
        photo = next(iter(searcher.index.photos()))
        [answer] = answers(searcher, [Question("x", (Example(Stored(digest=bytes.fromhex(photo.sha256))),))])
        assert found(answer)[0] == photo.id


def test_photos_that_are_gone_are_known_to_nobody(
    small_photos: Callable[[int], Path], tmp_path: Path
) -> None:

    folder = small_photos(3)
    paths = sorted(folder.rglob("*.jpg"))
    np.save(tmp_path / "v.npy", np.eye(3, 8, dtype=np.float32))
    (tmp_path / "v.csv").write_text("\n".join(["path", *map(str, paths)]) + "\n")
    import_embeddings(Origin(tmp_path / "v.npy", tmp_path / "v.csv", name="made"), tmp_path / "index")
    with Index.open(tmp_path / "index") as opened:
        [number] = [photo.id for photo in opened.photos() if photo.paths[0] == str(paths[0])]
        remove([paths[0]], tmp_path / "index", yes=True)
        assert look_up(opened, [Stored(id=number), Stored(path=str(paths[0]).encode())]) == {}
