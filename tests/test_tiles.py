"""Tiles: a crop finds its whole, held against NumPy over all parts, with everything else as it was."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from conftest import age, picture, simsearch
from numpy.typing import NDArray
from oracle import HEADER, read_index
from PIL import Image

from benchmarks.samples import originals
from simsearch import Index, find_duplicates, index_folder
from simsearch.dedup.graph import knn_graph
from simsearch.engine.append import NewContent
from simsearch.engine.create import create_index, prepare_folder
from simsearch.engine.exchange.export import export
from simsearch.engine.indexing import IndexingConfig
from simsearch.engine.maintenance.compact import compact
from simsearch.engine.maintenance.remove import remove
from simsearch.engine.maintenance.verify import verify
from simsearch.engine.maintenance.view import rebuild
from simsearch.engine.queries.filters import PhotoFilter, ids_where
from simsearch.engine.ranking import Wanted
from simsearch.engine.search import QueryOptions, Searcher
from simsearch.errors import IndexMismatch
from simsearch.framing import Framing, Tiling, frame, tile_edges
from simsearch.media.decode import decode, decode_parts
from simsearch.media.pool import DecodePool
from simsearch.models.choice import ModelChoice
from simsearch.records import Decoded, Facts, FileStat, Hit, QueryResult
from simsearch.report.html import query_page
from simsearch.report.machine import to_csv
from simsearch.report.table import query_table
from simsearch.spec import EmbeddingSpec
from simsearch.storage import catalog, writer
from simsearch.storage.writer import FileChange
from simsearch.views.base import Owners

LITE0 = ModelChoice(model="efficientnet_lite0")
NINE = [(x, y) for y in (0, 250, 500) for x in (0, 250, 500)]
PARTS = ["whole", *(f"tile:{x},{y},500,500" for x, y in NINE)]
LEFT_OUT = ("clock_motion", "grass", "gravel", "hubble_deep_field", "ihc", "page")
Vectors = NDArray[np.float32]
Row = tuple[object, str, tuple[int, ...] | None]
"""Score, path and part of a hit; an expected score is an approximate one."""


@dataclass(frozen=True)
class Part:
    """A row of `vectors` of a picture that has a file: its ids, part, vector, and the picture's paths."""

    id: int
    content: int
    part: str
    vector: Vectors
    paths: tuple[str, ...]


def read_parts(folder: Path) -> list[Part]:
    """All of them by sqlite3 and NumPy alone, by id."""
    with sqlite3.connect(folder / "index.db") as connection:
        roots = dict(connection.execute("SELECT id, path FROM roots"))
        files: dict[int, list[bytes]] = {}
        for content, root, relpath in connection.execute(
            "SELECT content_id, root_id, relpath FROM files WHERE content_id IS NOT NULL"
        ):
            files.setdefault(content, []).append(os.path.join(roots[root], relpath))
        rows = connection.execute(
            "SELECT id, content_id, part, segment, row FROM vectors ORDER BY id"
        ).fetchall()
        spec = json.loads(connection.execute("SELECT value FROM settings WHERE key = 'spec'").fetchone()[0])
    size = 4 * spec["dim"]
    data = {path.name: path.read_bytes() for path in (folder / "segments").iterdir()}
    found = []
    for vector_id, content, part, segment, row in rows:
        if content in files:
            start = HEADER + row * size
            vector = np.frombuffer(data[f"{segment:06d}.seg"][start : start + size], dtype="<f4")
            paths = tuple(os.fsdecode(path) for path in sorted(files[content]))
            found.append(Part(vector_id, content, part, vector, paths))
    return found


def best_by_hand(
    parts: list[Part], query: Vectors, *, whole: bool = False, without: str = "", center: bool = False
) -> list[tuple[float, str, str]]:
    """(score, path, part) of every picture by the best of its parts, best first, at equal score by path."""
    rows, asked = np.stack([part.vector for part in parts]).astype(np.float64), query.astype(np.float64)
    if center:
        wholes = rows[[part.part == "whole" for part in parts]]
        mean = wholes.mean(axis=0) * len(wholes) / (len(wholes) + 30)
        rows, asked = rows - mean, asked - mean
        rows, asked = rows / np.linalg.norm(rows, axis=1, keepdims=True), asked / np.linalg.norm(asked)
    exact = rows @ asked
    best: dict[int, tuple[float, str, str]] = {}
    for part, score in zip(parts, np.minimum(exact, 1.0).astype(np.float32).tolist(), strict=True):
        left = [path for path in part.paths if path != without]
        if not left or (whole and part.part != "whole"):
            continue
        if part.content not in best or score > best[part.content][0]:
            best[part.content] = (score, left[0], part.part)
    return sorted(best.values(), key=lambda row: (-row[0], os.fsencode(row[1])))


def as_rows(hits: tuple[Hit, ...]) -> list[Row]:
    return [(hit.score, hit.path, hit.part) for hit in hits]


def as_boxes(rows: list[tuple[float, str, str]], size: tuple[int, int]) -> list[Row]:
    """The same with parts in pixels of pictures of one size that half and quarter evenly."""
    boxes: list[Row] = []
    for score, path, part in rows:
        box: tuple[int, ...] | None = None
        if part != "whole":
            x, y, w, h = (int(number) for number in part.removeprefix("tile:").split(","))
            box = (x * size[0] // 1000, y * size[1] // 1000, w * size[0] // 1000, h * size[1] // 1000)
        boxes.append((pytest.approx(score, abs=1e-6), path, box))
    return boxes


# Layout and frames


def test_tiles_lie_evenly_from_edge_to_edge() -> None:
    tiling = Tiling(((500, 3), (900, 1)))
    assert tiling.boxes == (*((x, y, 500, 500) for x, y in NINE), (0, 0, 900, 900))
    assert len(tiling) == 10
    assert Tiling(((400, 4),)).boxes[:4] == (
        (0, 0, 400, 400),
        (200, 0, 400, 400),
        (400, 0, 400, 400),
        (600, 0, 400, 400),
    )
    assert tile_edges((250, 500, 500, 500), (640, 427)) == (160, 214, 480, 427)
    assert tile_edges((500, 500, 500, 500), (1, 1)) == (0, 0, 1, 1)
    assert tiling.keep(Framing(256, 224)) == 1024


def test_the_whole_is_framed_as_without_tiles_and_tiles_from_enough_pixels() -> None:
    framing, tiling = Framing(64, 56), Tiling(((500, 3),))
    stream = io.BytesIO()
    image = picture(3, (1600, 1200))
    image.save(stream, "JPEG", quality=95)
    facts, pixels, tiles = decode_parts(stream.getvalue(), framing, tiling)
    assert (facts.width, facts.height) == (1600, 1200)
    # 1,200 / 8 = 150 pixels are enough for the whole, 1,200 / 4 = 300 are needed for a tile of half of it.
    assert np.array_equal(pixels, decode(stream.getvalue(), framing)[1])
    small = Image.open(stream)
    small.draft("RGB", (256, 256))
    assert small.size == (400, 300)
    expected = [frame(small.crop(tile_edges(box, small.size)), framing) for box in tiling.boxes]
    assert np.array_equal(tiles, np.stack(expected))


def test_a_worker_gives_the_same_frames(tmp_path: Path) -> None:
    framing, tiling = Framing(64, 56, "bicubic"), Tiling(((500, 3),))
    path = tmp_path / "a.png"
    picture(1, (120, 90)).save(path)
    with DecodePool(1, framing, tiling=tiling) as pool:
        outcome = pool.read(os.fsencode(path))
    assert isinstance(outcome, Decoded)
    assert outcome.tiles is not None
    _, pixels, tiles = decode_parts(path.read_bytes(), framing, tiling)
    assert np.array_equal(outcome.pixels, pixels)
    assert np.array_equal(outcome.tiles, tiles)


# Real photos


@dataclass(frozen=True)
class Real:
    """13 photos of PyPI packages, a copy and a smaller one; indexed without and with tiles."""

    photos: Path
    plain: Path
    tiled: Path


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Real:
    work = tmp_path_factory.mktemp("tiles")
    photos = work / "photos"
    photos.mkdir()
    for path in originals():
        if path.stem not in LEFT_OUT:
            shutil.copy(path, photos)
    shutil.copy(photos / "coffee.png", photos / "copy of coffee.png")
    with Image.open(photos / "astronaut.png") as image:
        image.resize((300, 300)).save(photos / "small astronaut.jpg", quality=80)
    age(photos)
    index_folder(photos, work / "plain", IndexingConfig(LITE0))
    index_folder(photos, work / "tiled", IndexingConfig(LITE0, tiles=True))
    return Real(photos, work / "plain", work / "tiled")


def crop_of(path: Path, box: tuple[float, float, float, float]) -> bytes:
    with Image.open(path) as image:
        width, height = image.size
        left, top = round(box[0] * width), round(box[1] * height)
        right, bottom = round((box[0] + box[2]) * width), round((box[1] + box[3]) * height)
        stream = io.BytesIO()
        image.convert("RGB").crop((left, top, right, bottom)).save(stream, "JPEG", quality=90)
    return stream.getvalue()


def overlap(part: tuple[int, ...], box: tuple[float, ...], size: tuple[int, int]) -> float:
    """Intersection over union of a part in pixels and a box in fractions."""
    own = (part[0] / size[0], part[1] / size[1], part[2] / size[0], part[3] / size[1])
    wide = min(own[0] + own[2], box[0] + box[2]) - max(own[0], box[0])
    high = min(own[1] + own[3], box[1] + box[3]) - max(own[1], box[1])
    inside = max(0.0, wide) * max(0.0, high)
    return inside / (own[2] * own[3] + box[2] * box[3] - inside)


@pytest.mark.parametrize("name", ["chelsea.png", "coffee.png", "rocket.jpg", "china.jpg", "retina.jpg"])
@pytest.mark.parametrize("box", [(0.05, 0.03, 0.5, 0.5), (0.2, 0.3, 0.55, 0.5), (0.45, 0.5, 0.5, 0.45)])
def test_a_crop_finds_its_whole_and_says_where_it_lies(
    real: Real, name: str, box: tuple[float, float, float, float]
) -> None:
    with Searcher(real.tiled) as searcher:
        first, *_ = searcher.query_bytes(crop_of(real.photos / name, box)).hits
    assert os.path.basename(first.path) == name
    assert first.part is not None
    assert overlap(first.part, box, (first.width, first.height)) > 0.5


def test_rows_of_parts_are_as_the_format_says(real: Real) -> None:
    with sqlite3.connect(real.tiled / "index.db") as connection:
        settings = dict(connection.execute("SELECT key, value FROM settings"))
        contents = [row[0] for row in connection.execute("SELECT id FROM contents ORDER BY id")]
        rows = connection.execute("SELECT id, content_id, part FROM vectors ORDER BY id").fetchall()
    assert settings["tiles"] == "[[500, 3]]"
    assert len(contents) == 14
    # Each picture's whole has the picture's id, and its tiles the nine ids behind it.
    assert contents == list(range(1, 141, 10))
    assert rows == [(first + n, first, part) for first in contents for n, part in enumerate(PARTS)]
    assert settings["end"] == "[1, 140]"
    assert verify(real.tiled).checked == 140
    assert verify(real.tiled).ok


def test_photos_are_counted_and_compared_as_without_tiles(real: Real, tmp_path: Path) -> None:
    told: dict[str, tuple[object, ...]] = {}
    groups: dict[str, list[tuple[str, ...]]] = {}
    for name in ("plain", "tiled"):
        with Index.open(getattr(real, name)) as index:
            info = index.info()
            photos = [(photo.paths, photo.sha256) for photo in index.photos()]
            told[name] = (len(index), info.photos, info.files, info.skipped, sorted(photos))
            groups[name] = sorted(tuple(p.path for p in g.photos) for g in find_duplicates(index).groups)
            near = {tuple(group.neighbours.shape) for group in knn_graph(index, 3)}
            assert near == {(14, 3)}
        export(tmp_path / name, getattr(real, name))
    assert told["plain"] == told["tiled"]
    assert told["tiled"][:4] == (14, 14, 15, 0)
    assert groups["plain"] == groups["tiled"]
    assert any("small astronaut.jpg" in path for group in groups["tiled"] for path in group)
    plain, tiled = (read_index(folder) for folder in (real.plain, real.tiled))
    places = [tiled.paths.index(paths) for paths in plain.paths]
    assert np.abs(plain.vectors - tiled.vectors[places]).max() < 1e-5
    assert np.load(tmp_path / "tiled" / "vectors.npy").shape == (14, 1280)


def test_answers_of_whole_pictures_are_those_of_an_index_without_tiles(real: Real) -> None:
    options = QueryOptions(k=14, tiles=False)
    with Searcher(real.plain) as plain, Searcher(real.tiled) as tiled:
        for path in sorted(real.photos.iterdir())[::4]:
            expected = [(h.path, h.copies) for h in plain.query_path(path, QueryOptions(k=14)).hits]
            hits = tiled.query_path(path, options).hits
            assert [(h.path, h.copies) for h in hits] == expected
            assert all(hit.part is None for hit in hits)


def test_how_rare_a_score_is_is_told_of_wholes(real: Real) -> None:
    crop = crop_of(real.photos / "coffee.png", (0.25, 0.25, 0.5, 0.5))
    with Searcher(real.tiled) as searcher:
        hits = searcher.query_bytes(crop, options=QueryOptions(k=14)).hits
        assert hits[0].part is not None
        assert all((hit.one_in is None) == (hit.part is not None) for hit in hits)
        rare = searcher.query_bytes(crop, options=QueryOptions(k=14, one_in=3)).hits
        assert rare
        assert all(hit.part is None and hit.one_in is not None and hit.one_in >= 3 for hit in rare)


def test_info_tells_of_tiles(real: Real) -> None:
    told = json.loads(simsearch("info", "-i", real.tiled, "--json").stdout)
    assert told["tiles"] == {"grids": [[500, 3]], "each": 9, "photos": 14}
    assert told["vectors"] == 140
    assert json.loads(simsearch("info", "-i", real.plain, "--json").stdout)["tiles"] is None
    shown = simsearch("info", "-i", real.tiled).stdout.decode()
    assert "9 a photo (3 x 3 of 50 % of each side)\n" in shown


def test_the_command_line_shows_the_part(real: Real, tmp_path: Path) -> None:
    query = tmp_path / "crop.jpg"
    query.write_bytes(crop_of(real.photos / "coffee.png", (0.25, 0.25, 0.5, 0.5)))
    html = tmp_path / "hits.html"
    asked = ("query", query, "-i", real.tiled, "-k", "1")
    [result] = json.loads(simsearch(*asked, "--json", "--html", html).stdout)
    # 600 x 400: the middle tile begins at a quarter of each side.
    assert result["hits"][0]["part"] == [150, 100, 300, 200]
    assert "150,100,300,200" in simsearch(*asked).stdout.decode()
    assert 'style="left:25.00%;top:33.33%;width:50.00%;height:33.33%"' in html.read_text()
    [whole] = json.loads(simsearch(*asked, "--parts", "whole", "--json").stdout)
    assert whole["hits"][0]["part"] is None


# Tiles for an index that has none


def test_an_index_gets_its_tiles_later_and_keeps_making_them(real: Real, tmp_path: Path) -> None:
    photos, index = tmp_path / "photos", tmp_path / "index"
    photos.mkdir()
    for name in ("chelsea.png", "coffee.png", "rocket.jpg"):
        shutil.copy(real.photos / name, photos)
    shutil.copy(photos / "coffee.png", photos / "twin.png")
    age(photos)
    index_folder(photos, index, IndexingConfig(LITE0))
    before = [part.vector.copy() for part in read_parts(index)]
    report = index_folder(photos, index, IndexingConfig(tiles=True))
    assert (report.unchanged, report.embedded, report.added) == (4, 3, 0)
    parts = read_parts(index)
    assert [part.part for part in parts] == ["whole"] * 3 + PARTS[1:] * 3
    # Which of them is read first is left to chance.
    later = [part.content for part in parts[3:]]
    assert [part.content for part in parts[:3]] == [1, 2, 3]
    assert sorted(later) == [n for n in (1, 2, 3) for _ in range(9)]
    assert all(np.array_equal(a, b.vector) for a, b in zip(before, parts, strict=False))
    known = {(part.paths[0][-8:], part.part): part.vector for part in read_parts(real.tiled)}
    for part in parts:
        assert float(part.vector @ known[part.paths[0][-8:], part.part]) > 0.9999
    assert index_folder((), index, IndexingConfig()).embedded == 0
    shutil.copy(real.photos / "flower.jpg", photos)
    assert index_folder((), index, IndexingConfig()).embedded == 1
    assert [part.part for part in read_parts(index)][-10:] == PARTS
    assert verify(index).ok


def test_vectors_made_elsewhere_get_no_tiles(tmp_path: Path) -> None:
    make(tmp_path / "made", tiled=False)
    with pytest.raises(IndexMismatch, match="made elsewhere, so that none of tiles"):
        index_folder((), tmp_path / "made", IndexingConfig(tiles=True))
    with Index.open(tmp_path / "made") as index:
        assert index.info().tiles is None


CHILD = """
import sys
from simsearch import index_folder
from simsearch.engine.indexing import IndexingConfig
from simsearch.models.choice import ModelChoice
index_folder(sys.argv[1], sys.argv[2], IndexingConfig(ModelChoice("efficientnet_lite0"), tiles=True,
    batch_size=10, commit_photos=2))
"""


@pytest.mark.parametrize("begun", [False, True], ids=["new", "later"])
def test_kill_9_leaves_what_was_committed_and_the_next_run_goes_on(tmp_path: Path, begun: bool) -> None:
    photos, index = tmp_path / "photos", tmp_path / "index"
    photos.mkdir()
    for n in range(16):
        picture(n, (96, 72)).save(photos / f"{n:02d}.png")
    age(photos)
    if begun:
        index_folder(photos, index, IndexingConfig(LITE0))
    child = subprocess.Popen([sys.executable, "-c", CHILD, photos, index])
    until = time.monotonic() + 300
    while time.monotonic() < until and tiled_photos(index) < 2:
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    done = tiled_photos(index)
    assert 2 <= done < 16
    assert verify(index).ok
    parts = read_parts(index)
    # A picture has all of its tiles or none.
    assert len(parts) == (16 if begun else done) + 9 * done
    with Index.open(index) as opened:
        assert len(opened) == (16 if begun else done)
        for part in parts[::17]:
            [hits] = opened.search(part.vector[None], 3)
            assert as_rows(hits) == as_boxes(best_by_hand(parts, part.vector, center=True)[:3], (96, 72))
    assert index_folder(photos, index, IndexingConfig()).embedded == 16 - done
    assert len(read_parts(index)) == 160
    assert verify(index).ok


def tiled_photos(index: Path) -> int:
    """How many pictures have a last tile, as another process sees it."""
    try:
        with sqlite3.connect(f"file:{index / 'index.db'}?mode=ro", uri=True) as connection:
            query = "SELECT count(*) FROM vectors WHERE part = 'tile:500,500,500,500'"
            return int(connection.execute(query).fetchone()[0])
    except sqlite3.Error:
        return 0


def test_damage_to_a_tile_or_a_whole_is_found_and_mended(real: Real, tmp_path: Path) -> None:
    index = tmp_path / "index"
    shutil.copytree(real.tiled, index)
    damaged = [next(p for p in read_parts(index) if p.id == number) for number in (15, 31)]
    with (index / "segments" / "000001.seg").open("r+b") as file:
        for number in (15, 31):
            file.seek(HEADER + (number - 1) * 1280 * 4 + 7)
            byte = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte[0] ^ 1]))
    problems = verify(index).problems
    assert {problem.file for problem in problems} == {path for part in damaged for path in part.paths}
    report = index_folder(real.photos, index, IndexingConfig(repair=True))
    assert report.embedded == 2
    assert verify(index).ok
    parts = read_parts(index)
    # The tile is made again under a new id; the picture that lost its whole is a new one, with all its parts.
    assert {part.id for part in parts} == {*range(1, 141)} - {15, *range(31, 41)} | {*range(141, 152)}
    assert len({(part.paths, part.part) for part in parts}) == 140


# Made vectors


SIZE, DIM = (96, 72), 16


def make(folder: Path, *, photos: int = 110, tiled: bool = True) -> None:
    """An index of made vectors of DIM numbers, ten a photo; each photo's lie around one point."""
    spec = EmbeddingSpec.named("made", DIM)
    prepare_folder(folder)
    with create_index(folder, spec, weights_path="", fallback=None, note=print) as index:
        with index.database.write() as connection:
            root = writer.put_root(connection, b"/photos").id
            if tiled:
                writer.put_settings(connection, {"tiles": "[[500, 3]]"})
        add(index, root, range(photos))


def add(index: Index, root: int, numbers: range) -> None:
    new, changes = [], []
    boxes = Tiling(((500, 3),)).boxes
    for number in numbers:
        chance = np.random.default_rng(number)
        rows = (chance.standard_normal(DIM) + chance.standard_normal((10, DIM))).astype(np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        digest = hashlib.sha256(b"%d" % number).digest()
        tiles = tuple(zip(map(catalog.tile_part, boxes), rows[1:], strict=True))
        new.append(NewContent(digest, Facts(*SIZE, "PNG"), rows[0], tiles=tiles))
        stat = FileStat(1000 + number, 1, number + 1, 1)
        changes.append(FileChange(root, b"%d/%04d.png" % (number % 3, number), stat, 2, digest=digest))
    index.commit(new, changes)


def queries_for(parts: list[Part]) -> Vectors:
    """Some vectors of wholes and of tiles, and some of neither."""
    own = np.stack([part.vector for part in parts[:: len(parts) // 12]])
    other = np.random.default_rng(7).standard_normal((8, DIM)).astype(np.float32)
    return np.concatenate([own, other / np.linalg.norm(other, axis=1, keepdims=True)])


def check_answers(folder: Path, *, exact: bool) -> None:
    """Every way to ask, against NumPy over all parts; an approximate view may miss two in a hundred."""
    parts = read_parts(folder)
    queries = queries_for(parts)
    every = [best_by_hand(parts, query) for query in queries]
    rule = {path for part in parts for path in part.paths if path.startswith("/photos/1/")}
    chosen = np.unique([part.content for part in parts if part.paths[0] in rule])
    shares: list[bool] = []

    def like(hits: list[Row], rows: list[tuple[float, str, str]], k: int, least: float = -2) -> None:
        """Hits are the best `k` of all rows in their order, as far as they score at least so much."""
        best = as_boxes([row for row in rows if row[0] >= least][:k], SIZE)
        if exact:
            assert hits == best
            return
        scores = [hit[0] for hit in hits]
        assert scores == sorted(scores, reverse=True)  # type: ignore[type-var]
        assert len({hit[1] for hit in hits}) == len(hits) <= k
        assert len(hits) == len(best) or least > -2
        shares.extend(row in hits for row in best)

    with Index.open(folder) as index:
        assert len(index) == len({part.content for part in parts})

        def asked(**options: object) -> Iterator[list[Row]]:
            return map(as_rows, index.rank(queries, Wanted(**options)))  # type: ignore[arg-type]

        for rows, hits in zip(every, asked(k=7), strict=True):
            like(hits, rows, 7)
        everything = zip(every, asked(k=1000), strict=True)
        assert all(hits == as_boxes(rows, SIZE) for rows, hits in everything)
        for rows, hits in zip(every, asked(k=9, min_score=0.5), strict=True):
            like(hits, rows, 9, least=0.5)
        # A picture whose best part is too close is no hit by a lesser part.
        for rows, hits in zip(every, asked(k=9, max_score=0.4) if exact else (), strict=exact):
            assert hits == as_boxes([row for row in rows if row[0] <= 0.4][:9], SIZE)
        photos = PhotoFilter(folders=("/photos/1",))
        assert list(ids_where(index, photos)) == list(chosen)
        for rows, hits in zip(every, asked(k=6, photos=photos), strict=True):
            assert hits == as_boxes([row for row in rows if row[1] in rule][:6], SIZE)
        for rows, hits in zip(every, asked(k=6, allowed=chosen), strict=True):
            assert hits == as_boxes([row for row in rows if row[1] in rule][:6], SIZE)
        one = PhotoFilter(where=f"id = {int(chosen[0])}")
        for rows, hits in zip(every, asked(k=6, photos=one), strict=True):
            assert len(hits) == 1
            assert hits == as_boxes([row for row in rows if row[1] == hits[0][1]], SIZE)
        for query, hits in zip(queries, asked(k=7, tiles=False), strict=True):
            assert hits == as_boxes(best_by_hand(parts, query, whole=True)[:7], SIZE)
    with Searcher(folder) as searcher:
        for part in parts[::131]:
            vector = next(p.vector for p in parts if p.id == part.content)
            rows = best_by_hand(parts, vector, without=part.paths[0])
            page = searcher.search_vector(vector, QueryOptions(k=4, offset=3), own=part.paths)
            like(as_rows(page), rows[3:], 4)
            own = searcher.search_vector(vector, QueryOptions(k=1, include_self=True), own=part.paths)
            assert [(hit.path, hit.part, hit.id) for hit in own] == [(part.paths[0], None, part.content)]
            assert own[0].score == pytest.approx(1.0, abs=1e-6)
    assert exact or np.mean(shares) >= 0.98


@pytest.mark.parametrize("kind", ["exact", "ivf", "hnsw"])
def test_answers_are_those_of_numpy_over_all_parts(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "made"
    make(folder)
    info = rebuild(folder, view=kind, recall=1.0)
    assert (info.kind, info.tail) == (kind, 0)
    check_answers(folder, exact=kind == "exact")
    with Index.open(folder) as index:
        add(index, 1, range(110, 130))
        assert index.info().view.tail == (0 if kind == "exact" else 200)
    check_answers(folder, exact=kind == "exact")
    remove([f"/photos/0/{n:04d}.png" for n in (0, 3, 6, 9, 120)], folder, yes=True)
    check_answers(folder, exact=kind == "exact")
    report = compact(folder)
    assert (report.dropped, report.kept) == (50, 1250)
    assert verify(folder).ok
    check_answers(folder, exact=kind == "exact")


def test_recall_is_of_the_nearest_other_pictures() -> None:
    # Rows 1 to 3 are of picture 1, 4 and 5 of picture 4, 6 of 6, 7 of 7.
    owners = Owners(lambda ids: np.array([0, 1, 1, 1, 4, 4, 6, 7])[ids], 3)
    nearest = np.array([2, 1, 5, 3, 6, 4, 7])
    assert list(owners.best(nearest, 2, 10)) == [5, 6, 7]
    assert list(owners.best(nearest, 6, 2)) == [2, 5]


def test_parts_in_reports_by_hand() -> None:
    hits = (
        Hit("/p/wide.jpg", 0.9, 1, 400, 200, part=(100, 0, 200, 100)),
        Hit("/p/whole.jpg", 0.8, 11, 400, 200),
    )
    result = QueryResult("/q.jpg", hits)
    assert query_table(result).splitlines()[1:] == [
        "#   score  id       size           part  path",
        "1  0.9000   1  400 x 200  100,0,200,100  /p/wide.jpg",
        "2  0.8000  11  400 x 200                 /p/whole.jpg",
    ]
    assert b"".join(to_csv([result])).splitlines() == [
        b"query,rank,path,score,id,width,height,copies,one_in,part,points",
        b'/q.jpg,1,/p/wide.jpg,0.9,1,400,200,[],,"100,0,200,100",',
        b"/q.jpg,2,/p/whole.jpg,0.8,11,400,200,[],,,",
    ]
    page = query_page([result], {"/p/wide.jpg": b"jpeg", "/p/whole.jpg": b"jpeg"})
    # In a square of 400 the picture begins at 100 from the top.
    assert 'style="left:25.00%;top:25.00%;width:50.00%;height:25.00%"' in page
    assert page.count('class="part"') == 1
    assert "id 1, part 100,0,200,100" in page
