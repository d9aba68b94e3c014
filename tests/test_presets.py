"""What raises the quality of answers: queries joined by their best answers, hits compared point by point."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import simsearch
from oracle import read_index
from PIL import Image, ImageEnhance

from simsearch.dedup.stages.reranking import FEWEST, GeometricRanking
from simsearch.engine.exchange.importing import import_embeddings
from simsearch.engine.exchange.origin import Origin
from simsearch.engine.indexing import IndexingConfig, index_folder
from simsearch.engine.search import QueryOptions, Searcher
from simsearch.models.choice import ModelChoice

LITE0 = IndexingConfig(ModelChoice("efficientnet_lite0"))


@pytest.fixture(scope="module")
def shelf(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of the sample photos as they are."""
    folder = tmp_path_factory.mktemp("shelf") / "index"
    index_folder(photos / "originals", folder, LITE0)
    return folder


@pytest.fixture(scope="module")
def view(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small, darker, mirrored part of one of them."""
    file = tmp_path_factory.mktemp("view") / "part.jpg"
    with Image.open(photos / "originals" / "coffee.png") as image:
        wide, high = image.size
        part = image.convert("RGB").crop((wide // 3, high // 5, wide * 4 // 5, high * 4 // 5))
    dark = ImageEnhance.Brightness(part.transpose(Image.Transpose.FLIP_LEFT_RIGHT)).enhance(0.6)
    dark.resize((dark.width * 2 // 3, dark.height * 2 // 3)).save(file, quality=80)
    return file


def test_the_best_answers_join_the_query(tmp_path: Path) -> None:
    rows = np.random.default_rng(1).normal(size=(60, 9))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    (photos := tmp_path / "photos").mkdir()
    for n in range(len(rows)):
        Image.new("RGB", (8, 8), (n, n, 2 * n)).save(photos / f"{n:02d}.png")
    np.save(tmp_path / "v.npy", rows)
    names = [str(path) for path in sorted(photos.iterdir())]
    (tmp_path / "v.csv").write_text("\n".join(["path", *names]) + "\n")
    import_embeddings(Origin(tmp_path / "v.npy", tmp_path / "v.csv", name="made"), tmp_path / "index")
    truth = read_index(tmp_path / "index")
    with Searcher(tmp_path / "index") as searcher:
        for count in (1, 4):
            for own in range(5):
                best = [n for n in np.argsort(-(truth.vectors @ truth.vectors[own])) if n != own][:count]
                blended = truth.vectors[own] + truth.vectors[best].sum(axis=0)
                expected = truth.vectors @ (blended / np.linalg.norm(blended))
                order = [n for n in np.argsort(-expected) if n != own][:8]
                hits = searcher.query_id(truth.ids[own], QueryOptions(8, expand=count)).hits
                assert [hit.id for hit in hits] == [truth.ids[n] for n in order]
                assert [hit.score for hit in hits] == pytest.approx(expected[order], abs=1e-5)


def test_photos_join_as_wholes_and_the_query_once(tmp_path: Path, photos: Path) -> None:
    """Tiles change nothing about which photos join, nor does it whether the query may be among its hits."""
    config = IndexingConfig(ModelChoice("efficientnet_lite0"), tiles=True)
    index_folder(photos / "originals", tmp_path / "tiled", config)
    crop, coffee = photos / "cropped" / "coffee.jpg", photos / "originals" / "coffee.png"
    with sqlite3.connect(tmp_path / "tiled" / "index.db") as connection:
        ids = [number for (number,) in connection.execute("SELECT id FROM vectors WHERE part = 'whole'")]
    with Searcher(tmp_path / "tiled") as searcher:
        rows, query = searcher.index.vectors(sorted(ids)), searcher.vector_of(crop)
        best = np.argsort(-(rows @ query))[:3]
        blended = query + rows[best].sum(axis=0)
        expected = dict(zip(sorted(ids), rows @ (blended / np.linalg.norm(blended)), strict=True))
        options = QueryOptions(len(ids), center=False, expand=3, tiles=False)
        hits = searcher.query_path(crop, options).hits
        assert {hit.id: hit.score for hit in hits} == pytest.approx(expected, abs=1e-5)
        without, among = (
            {
                hit.id: hit.score
                for hit in searcher.query_path(coffee, replace(options, include_self=itself)).hits
            }
            for itself in (False, True)
        )
    assert among == {**without, **{key: among[key] for key in among.keys() - without.keys()}}
    assert len(among) == len(without) + 1 == len(ids)


def test_who_shows_the_same_comes_first_and_says_by_how_many_points(shelf: Path, view: Path) -> None:
    with Searcher(shelf) as searcher:
        found = searcher.query_path(view, QueryOptions(30)).hits
        # The one that is right is put last, so that it is geometry that brings it forward.
        hits = tuple(sorted(found, key=lambda hit: Path(hit.path).name == "coffee.png"))
        with GeometricRanking(searcher.index, 20) as ranking:
            looked = ranking(view, hits)
            again = ranking(view.read_bytes(), looked)
    assert Path(looked[0].path).name == "coffee.png"
    assert (looked[0].points or 0) > 3 * FEWEST
    assert all(hit.points is not None and hit.points < FEWEST for hit in looked[1:])
    assert [hit.path for hit in looked[1:]] == [hit.path for hit in hits[:-1]]
    assert again == looked


def test_a_photo_that_is_gone_has_no_points(photos: Path, tmp_path: Path, view: Path) -> None:
    (folder := tmp_path / "photos").mkdir()
    for name in ("coffee.png", "moon.png"):
        (folder / name).write_bytes((photos / "originals" / name).read_bytes())
    index_folder(folder, tmp_path / "index", LITE0)
    (folder / "coffee.png").unlink()
    with Searcher(tmp_path / "index") as searcher, GeometricRanking(searcher.index, 20) as ranking:
        looked = ranking(view, searcher.query_path(view).hits)
    assert {Path(hit.path).name: hit.points for hit in looked}["coffee.png"] == 0


def test_an_id_is_looked_at_in_a_file_that_is_there(photos: Path, tmp_path: Path) -> None:
    (folder := tmp_path / "photos").mkdir()
    coffee = (photos / "originals" / "coffee.png").read_bytes()
    for name, data in (("a", coffee), ("b", coffee)):
        (folder / f"{name}.png").write_bytes(data)
    (folder / "half.jpg").write_bytes((photos / "half-size" / "coffee.jpg").read_bytes())
    index_folder(folder, tmp_path / "index", LITE0)
    with Searcher(tmp_path / "index") as searcher:
        number = searcher.index.vector_id_of(digest=hashlib.sha256(coffee).digest())
    (folder / "a.png").unlink()
    told = simsearch("query", "--id", str(number), "-i", tmp_path / "index", "--preset", "copy", "--json")
    [hit] = json.loads(told.stdout)[0]["hits"]
    assert (Path(hit["path"]).name, hit["points"] > FEWEST) == ("half.jpg", True)


def test_the_command(shelf: Path, view: Path, tmp_path: Path) -> None:
    asked = ("query", view, "-i", shelf, "--preset", "instance", "--json")
    told = json.loads(simsearch(*asked, "-k", "3").stdout)[0]["hits"]
    assert (Path(told[0]["path"]).name, told[0]["points"] > FEWEST, len(told)) == ("coffee.png", True, 3)
    shown = simsearch("query", view, "-i", shelf, "--preset", "copy", "-k", "2").stdout.decode().splitlines()
    assert shown[1].split() == ["#", "score", "pairs", "so", "alike", "points", "id", "size", "path"]
    assert shown[2].split()[5] == str(told[0]["points"])
    wide = json.loads(simsearch("query", view, "-i", shelf, "--preset", "category", "--json").stdout)[0][
        "hits"
    ]
    joined = json.loads(simsearch("query", view, "-i", shelf, "--expand", "5", "--json").stdout)[0]["hits"]
    assert wide == joined
    assert wide[0]["points"] is None
    assert wide[0]["one_in"] is None
    assert b"leave out --crop" in simsearch(*asked, "--crop", "0,0,.5,.5").stderr
    assert simsearch(*asked, "--crop", "0,0,.5,.5").returncode == 2
    told = simsearch("query", view, "-i", shelf, "--preset", "category")
    assert told.stderr == b"--preset category: photos of one object or scene come later than without it.\n"
    for wrong in (("--label", "%cat%", "--preset", "copy"), (view, "--expand", "2", "--one-in", "9")):
        assert simsearch("query", *wrong, "-i", shelf).returncode == 2


def test_the_next_page_of_what_was_compared_goes_on(shelf: Path, view: Path) -> None:
    with Searcher(shelf) as searcher, GeometricRanking(searcher.index, 5) as ranking:
        whole = searcher.query_path(view, QueryOptions(12)).hits
        every = (*ranking(view, whole[:5]), *whole[5:])
        for offset in (0, 3, 8):
            asked = QueryOptions(3, offset=offset)
            wide = searcher.query_path(view, ranking.wider(asked)).hits
            assert ranking.page(view, wide, asked) == every[offset : offset + 3]
