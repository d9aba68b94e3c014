"""How rare a score is among a collection's own pairs: counted by hand, kept with the index, cut by."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import picture, simsearch
from oracle import read_index

from simsearch.engine.calibration.rarity import Rarity
from simsearch.engine.exchange.importing import import_embeddings
from simsearch.engine.exchange.origin import Origin
from simsearch.engine.index import Index
from simsearch.engine.maintenance.remove import remove
from simsearch.engine.maintenance.view import rebuild
from simsearch.engine.ranking import Wanted
from simsearch.engine.search import QueryOptions, Searcher
from simsearch.errors import QueryInvalid

FOUR = np.array([[1, 0, 0], [0.8, 0.6, 0], [0, 1, 0], [0, 0, 1]], np.float32)
"""Cosines of the six pairs: .8, .6, and four times 0."""


def indexed(folder: Path, rows: np.ndarray) -> Path:
    photos = folder / "photos"
    photos.mkdir(parents=True)
    paths = [photos / f"{i:04d}.png" for i in range(len(rows))]
    for i, path in enumerate(paths):
        picture(i).resize((8, 8)).save(path)
    np.save(folder / "v.npy", rows.astype(np.float32))
    (folder / "v.csv").write_text("\n".join(["path", *map(str, paths)]) + "\n")
    import_embeddings(Origin(folder / "v.npy", folder / "v.csv", name="made"), folder / "index")
    return folder / "index"


def unit(rows: np.ndarray) -> np.ndarray:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def test_each_hit_says_how_many_pairs_score_as_high(tmp_path: Path) -> None:
    with Searcher(indexed(tmp_path, FOUR)) as searcher:
        hits = searcher.query_id(2).hits
        # .8 is reached by one of six pairs, .6 by two, 0 by all.
        assert [(hit.id, round(hit.score, 4), hit.one_in) for hit in hits] == [
            (1, 0.8, 6),
            (3, 0.6, 3),
            (4, 0.0, 1),
        ]
        # Between .8 (one pair) and .6 (two), ranks grow evenly by factors: half way it is the root of 2.
        between = np.array([0.7, 0, np.sqrt(1 - 0.49)], np.float32)
        [first] = [hit for hit in searcher.search_vector(between) if hit.id == 1]
        assert first.one_in == round(6 / np.sqrt(2))
        assert searcher.search_vector(FOUR[0])[0].one_in == 6


def test_a_cut_by_rarity_is_the_score_that_so_many_pairs_reach(tmp_path: Path) -> None:
    rows = unit(np.random.default_rng(3).normal(size=(300, 12)))
    cosines = np.sort((rows @ rows.T)[np.triu_indices(300, 1)])[::-1]
    with Searcher(indexed(tmp_path, rows)) as searcher:
        for one_in in (10, 100, 1000):
            cut = cosines[len(cosines) // one_in - 1]
            found = searcher.index.rank(rows, Wanted(300, one_in=one_in))
            # Each pair is found from both sides, and each picture finds itself. The kept ranks grow by a
            # fifth: the number of pairs is right to a tenth.
            assert sum(map(len, found)) - 300 == pytest.approx(2 * (cosines >= cut).sum(), rel=0.1)
            assert all(hit.one_in is not None and hit.one_in >= one_in for hits in found for hit in hits)


def test_one_in_one_cuts_nothing_off(tmp_path: Path) -> None:
    with Searcher(indexed(tmp_path, FOUR)) as searcher:
        # Opposite to the first, at -1 and -.8: less alike than any of the pairs, of which the least have 0.
        hits = searcher.search_vector(-FOUR[0], QueryOptions(one_in=1))
        assert [round(hit.score, 4) for hit in hits] == [0.0, 0.0, -0.8, -1.0]
        assert [hit.one_in for hit in hits] == [1, 1, 1, 1]


def test_of_a_large_collection_a_sample_of_pairs_tells(tmp_path: Path) -> None:
    rows = unit(np.random.default_rng(4).normal(size=(2200, 8)))
    with Searcher(indexed(tmp_path, rows)) as searcher:
        rarity = searcher.index.snapshot().rarity[False]
        assert rarity is not None
        assert (rarity.photos, rarity.pairs) == (2200, 2048 * 2047 // 2)
        every = (rows @ rows.T)[np.triu_indices(2200, 1)]
        for score in (0.3, 0.6, 0.9):
            assert rarity.one_in(score) == pytest.approx(1 / (every >= score).mean(), rel=0.1)


def test_centred_scores_have_their_own(tmp_path: Path) -> None:
    index = indexed(tmp_path, unit(np.abs(np.random.default_rng(5).normal(size=(400, 6)))))
    truth = read_index(index)
    with Searcher(index) as searcher:
        for center in (False, True):
            seen = replace(truth, center=center).seen(truth.vectors)
            every = (seen @ seen.T)[np.triu_indices(400, 1)]
            [hit] = searcher.query_id(1, QueryOptions(1, center=center)).hits
            assert hit.one_in == pytest.approx(len(every) / (every >= hit.score - 1e-6).sum(), rel=0.1)


def test_it_is_renewed_when_the_collection_has_changed_by_a_quarter(tmp_path: Path) -> None:
    index = indexed(tmp_path, unit(np.random.default_rng(6).normal(size=(40, 6))))

    def known() -> int:
        with sqlite3.connect(index / "index.db") as database:
            [(value,)] = database.execute("SELECT value FROM settings WHERE key = 'rarity:plain'")
        return int(json.loads(value)["photos"])

    assert known() == 40
    remove([tmp_path / "photos" / f"{i:04d}.png" for i in range(10)], index, yes=True)
    assert known() == 40
    rebuild(index)
    assert known() == 30


def test_a_damaged_or_missing_calibration_is_none_and_told(tmp_path: Path) -> None:
    for value in (None, "{}", '{"photos": 4, "pairs": 6, "ranks": [1, 6], "scores": [0.1, 0.9]}'):
        settings = {} if value is None else {"rarity:plain": value}
        assert Rarity.from_settings(settings, center=False) is None
    index = indexed(tmp_path, FOUR)
    with sqlite3.connect(index / "index.db") as database:
        database.execute("DELETE FROM settings WHERE key LIKE 'rarity:%'")
    with Searcher(index) as searcher:
        assert [hit.one_in for hit in searcher.query_id(1).hits] == [None, None, None]
        with pytest.raises(QueryInvalid, match="simsearch rebuild"):
            searcher.query_id(1, QueryOptions(one_in=10))
    rebuild(index)
    with Index.open(index) as opened:
        assert opened.snapshot().rarity[True] is not None


def test_the_command_shows_and_cuts(tmp_path: Path) -> None:
    index = indexed(tmp_path, FOUR)
    shown = simsearch("query", "--id", "2", "-i", index).stdout.decode().splitlines()
    assert shown[1].split() == ["#", "score", "pairs", "so", "alike", "id", "size", "path"]
    assert shown[2].split()[:6] == ["1", "0.8000", "1", "in", "6", "1"]
    told = json.loads(simsearch("query", "--id", "2", "--one-in", "3", "-i", index, "--json").stdout)
    assert [(hit["id"], hit["one_in"]) for hit in told[0]["hits"]] == [(1, 6), (3, 3)]
    assert (
        "one in 6 pairs at most"
        in simsearch("query", "--id", "2", "--one-in", "7", "-i", index).stderr.decode()
    )
    assert simsearch("query", "--id", "2", "--one-in", "0", "-i", index).returncode == 2
