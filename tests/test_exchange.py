"""What goes out as plain files and comes in ready made, read and written here with NumPy, csv and pyarrow."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import age, picture, simsearch
from oracle import read_index

from simsearch import Index, find_similar, index_folder
from simsearch.engine.exchange.export import export
from simsearch.engine.exchange.importing import import_embeddings
from simsearch.engine.exchange.origin import Origin
from simsearch.engine.indexing import IndexingConfig
from simsearch.engine.maintenance.verify import verify
from simsearch.errors import IndexMismatch, IndexUnwritable, ModelUnknown, SimsearchError
from simsearch.models.choice import ModelChoice

Maker = Callable[[int], Path]
LITE0 = ModelChoice(model="efficientnet_lite0")


@pytest.fixture
def indexed(small_photos: Maker, tmp_path: Path) -> tuple[Path, Path]:
    """A folder of 20 photos with one copy and one name that is no UTF-8, and its index."""
    folder = small_photos(20)
    shutil.copy(folder / "a" / "0001.jpg", folder / "copy.jpg")
    odd = os.fsencode(folder) + b'/b/odd \xff "name",\r\n.jpg'
    os.rename(folder / "b" / "0002.jpg", odd)
    age(folder)
    index_folder(folder, tmp_path / "index", IndexingConfig(choice=LITE0))
    return folder, tmp_path / "index"


def table_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "photos.csv").open(encoding="utf-8", errors="surrogateescape", newline="") as stream:
        return list(csv.DictReader(stream))


def test_row_r_of_the_table_belongs_to_row_r_of_the_vectors(
    indexed: tuple[Path, Path], tmp_path: Path
) -> None:
    _, index = indexed
    report = export(tmp_path / "out", index)
    assert (report.rows, report.dim) == (20, 1280)
    assert sorted(os.listdir(tmp_path / "out")) == ["photos.csv", "spec.json", "vectors.npy"]
    truth, vectors = read_index(index), np.load(tmp_path / "out" / "vectors.npy")
    assert (vectors.dtype, vectors.shape) == (np.float32, (20, 1280))
    assert np.array_equal(vectors, truth.vectors)
    table = table_of(tmp_path / "out")
    assert [int(row["row"]) for row in table] == list(range(20))
    assert [int(row["id"]) for row in table] == truth.ids
    assert [[row["path"], *json.loads(row["copies"])] for row in table] == truth.paths
    assert {row["width"] for row in table} == {"96"}
    assert any(
        row["path"].encode("utf-8", "surrogateescape").endswith(b'odd \xff "name",\r\n.jpg') for row in table
    )
    spec = json.loads((tmp_path / "out" / "spec.json").read_text())["spec"]
    assert (spec["backbone"], spec["dim"]) == ("efficientnet_lite0", 1280)


def test_parquet_says_the_same(indexed: tuple[Path, Path], tmp_path: Path) -> None:
    from pyarrow import parquet

    _, index = indexed
    export(tmp_path / "csv", index)
    export(tmp_path / "parquet", index, parquet=True)
    rows = parquet.read_table(tmp_path / "parquet" / "photos.parquet").to_pylist()
    expected = table_of(tmp_path / "csv")
    assert [os.fsdecode(row["path"]) for row in rows] == [row["path"] for row in expected]
    for name in ("row", "id", "width", "height"):
        assert [row[name] for row in rows] == [int(row[name]) for row in expected]
    assert [[os.fsdecode(c) for c in row["copies"]] for row in rows] == [
        json.loads(row["copies"]) for row in expected
    ]


@pytest.mark.parametrize("parquet", [False, True])
def test_what_was_exported_comes_in_as_the_same_index(
    parquet: bool, indexed: tuple[Path, Path], tmp_path: Path
) -> None:
    _, index = indexed
    export(tmp_path / "out", index, parquet=parquet)
    report = import_embeddings(Origin(tmp_path / "out"), tmp_path / "again")
    assert (report.added, report.known, report.skipped) == (20, 1, ())
    assert report.checked >= 5
    one, other = read_index(index), read_index(tmp_path / "again")
    assert sorted(one.paths) == sorted(other.paths)
    own = {paths[0]: vector for paths, vector in zip(one.paths, one.vectors, strict=True)}
    for paths, vector in zip(other.paths, other.vectors, strict=True):
        assert float(vector @ own[paths[0]]) == pytest.approx(1, abs=1e-6)
    assert verify(tmp_path / "again", deep=True).ok
    # Nothing is left to do for an ordinary run, nor for the same import.
    assert index_folder((), tmp_path / "again").embedded == 0
    again = import_embeddings(Origin(tmp_path / "out"), tmp_path / "again")
    assert (again.added, again.known) == (0, 21)
    assert len(read_index(tmp_path / "again").ids) == 20


def test_an_export_never_overwrites_and_appears_whole(indexed: tuple[Path, Path], tmp_path: Path) -> None:
    _, index = indexed
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(IndexUnwritable, match="is not empty; name a new folder"):
        export(tmp_path / "mine", index)
    (tmp_path / "file").write_text("x")
    with pytest.raises(IndexUnwritable, match="is not empty"):
        export(tmp_path / "file", index)
    (tmp_path / "empty").mkdir()
    assert export(tmp_path / "empty", index).rows == 20
    assert (tmp_path / "mine" / "letter.txt").read_text() == "dear"
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".part")]


# Embeddings of elsewhere


def table(path: Path, rows: list[tuple[Path, str]]) -> Path:
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["path", "sha256"])
        writer.writerows(rows)
    return path


def photos_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_vectors_of_an_unknown_model_can_be_searched_by_photo(small_photos: Maker, tmp_path: Path) -> None:
    paths = photos_of(small_photos(12))
    vectors = np.random.default_rng(2).normal(size=(12, 40)) * 9
    np.save(tmp_path / "v.npy", vectors)
    photos = table(tmp_path / "p.csv", [(path, "") for path in paths])
    done = simsearch(
        "import", tmp_path / "v.npy", photos, "--spec", "clip", "-i", tmp_path / "index", "--json"
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["model"], told["added"], told["checked"]) == ("named:clip", 12, 0)
    truth = read_index(tmp_path / "index")
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert np.allclose(truth.vectors, unit, atol=1e-6)
    [result] = find_similar(paths[3], tmp_path / "index", k=3)
    assert [hit.path for hit in result.hits] == [
        path for path, _ in truth.rank(truth.vectors[3], 3, without=str(paths[3]))
    ]
    picture(400).save(tmp_path / "new.png")
    with pytest.raises(ModelUnknown, match="'clip' were made elsewhere"):
        find_similar(tmp_path / "new.png", tmp_path / "index")
    assert simsearch("index", "-i", tmp_path / "index").returncode == 0
    picture(401).save(paths[0].parent / "new.png")
    done = simsearch("index", "-i", tmp_path / "index")
    assert done.returncode == 1
    assert b"only come in by simsearch import" in done.stderr
    assert b"Traceback" not in done.stderr


def test_vectors_that_another_model_made_are_refused(small_photos: Maker, tmp_path: Path) -> None:
    paths = photos_of(small_photos(12))
    np.save(tmp_path / "v.npy", np.random.default_rng(2).normal(size=(12, 1280)).astype(np.float16))
    photos = table(tmp_path / "p.csv", [(path, "") for path in paths])
    with pytest.raises(IndexMismatch, match=r"Row 0 .* is not what efficientnet_lite0 makes of that photo"):
        import_embeddings(Origin(tmp_path / "v.npy", photos, LITE0), tmp_path / "index")
    assert not (tmp_path / "index" / "index.db").exists()


def test_photos_that_are_gone_or_changed_are_left_out_and_listed(
    indexed: tuple[Path, Path], tmp_path: Path
) -> None:
    folder, index = indexed
    export(tmp_path / "out", index)
    (folder / "a" / "0003.jpg").unlink()
    picture(300).save(folder / "a" / "0005.jpg")
    (folder / "a" / "0007.jpg").write_text("no picture any more")
    report = import_embeddings(Origin(tmp_path / "out"), tmp_path / "again")
    reasons = {Path(item.path).name: item.reason for item in report.skipped}
    assert reasons == {
        "0003.jpg": "cannot be read: No such file or directory",
        "0005.jpg": "other bytes than those that were embedded",
        "0007.jpg": "not a JPEG: its content is no picture",
    }
    assert report.added == 17


@pytest.mark.parametrize(
    ("array", "rows", "words"),
    [
        (np.zeros((3, 8)), 2, "has 2 rows, .* has 3; they do not belong together"),
        (np.zeros((2, 8)), 2, "row 0 is zero or not finite"),
        (np.full((2, 8), np.nan), 2, "row 0 is zero or not finite"),
        (np.zeros(8), 2, r"is float64 \(8,\), not floats of shape"),
        (np.zeros((2, 8), dtype=np.int64), 2, "int64"),
        (np.array([{}, {}], dtype=object), 2, "cannot be read as an array"),
    ],
)
def test_files_that_do_not_fit_are_refused_in_words(
    array: np.ndarray, rows: int, words: str, small_photos: Maker, tmp_path: Path
) -> None:
    paths = photos_of(small_photos(rows))
    np.save(tmp_path / "v.npy", array, allow_pickle=True)
    photos = table(tmp_path / "p.csv", [(path, "") for path in paths])
    with pytest.raises(SimsearchError, match=words):
        import_embeddings(Origin(tmp_path / "v.npy", photos, name="x"), tmp_path / "index")


def test_tables_without_a_path_and_other_files(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.ones((1, 4)))
    (tmp_path / "p.csv").write_text("file\na.jpg\n")
    for name, words in (("p.csv", "no column called path, only file"), ("gone.csv", "No such file")):
        with pytest.raises(SimsearchError, match=words):
            import_embeddings(Origin(tmp_path / "v.npy", tmp_path / name, name="x"), tmp_path / "index")
    with pytest.raises(SimsearchError, match="needs the table of its photos"):
        import_embeddings(Origin(tmp_path / "v.npy", name="x"), tmp_path / "index")
    (tmp_path / "p.csv").write_text("path\na.jpg\n")
    with pytest.raises(SimsearchError, match="Say which model made these vectors"):
        import_embeddings(Origin(tmp_path / "v.npy", tmp_path / "p.csv"), tmp_path / "index")
    (tmp_path / "p.parquet").write_text("no parquet")
    with pytest.raises(SimsearchError, match="cannot be read as a table"):
        import_embeddings(Origin(tmp_path / "v.npy", tmp_path / "p.parquet", name="x"), tmp_path / "index")


def test_an_index_of_another_spec_takes_nothing(indexed: tuple[Path, Path], tmp_path: Path) -> None:
    folder, index = indexed
    np.save(tmp_path / "v.npy", np.ones((1, 1280)))
    photos = table(tmp_path / "p.csv", [(folder / "a" / "0001.jpg", "")])
    with pytest.raises(IndexMismatch, match="import them into another index"):
        import_embeddings(Origin(tmp_path / "v.npy", photos, name="x"), index)
    assert len(read_index(index).ids) == 20


def test_an_export_is_one_commits_state_while_photos_go(indexed: tuple[Path, Path], tmp_path: Path) -> None:
    folder, index = indexed
    code = (
        "import sys; from pathlib import Path; from simsearch.engine.exchange.export import export\n"
        "for n in range(6): export(Path(sys.argv[2]) / str(n), sys.argv[1])"
    )
    (tmp_path / "outs").mkdir()
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(index), str(tmp_path / "outs")], stderr=subprocess.PIPE, text=True
    )
    from simsearch.engine.maintenance.compact import compact

    for path in photos_of(folder / "a"):
        path.unlink()
        index_folder((), index, IndexingConfig(prune=True, yes=True))
        compact(index)
    _, err = child.communicate()
    assert child.returncode == 0, err
    with Index.open(index) as opened:
        known = {photo.id for photo in opened.photos()}
    for out in sorted((tmp_path / "outs").iterdir()):
        vectors, rows = np.load(out / "vectors.npy"), table_of(out)
        assert len(vectors) == len(rows) >= 10
        assert known <= {int(row["id"]) for row in rows}
        assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


# Roots


def test_an_import_makes_no_root_above_its_photos(small_photos: Maker, tmp_path: Path) -> None:
    folder = small_photos(8)
    other = tmp_path / "elsewhere" / "deep"
    other.mkdir(parents=True)
    shutil.move(folder / "b" / "0000.jpg", other / "x.jpg")
    index_folder(folder / "a", tmp_path / "index", IndexingConfig(choice=LITE0, exclude=("*.tmp",)))
    paths = [*photos_of(folder), *photos_of(other), tmp_path / "gone" / "y.jpg"]
    np.save(tmp_path / "v.npy", np.random.default_rng(1).normal(size=(len(paths), 1280)))
    photos = table(tmp_path / "p.csv", [(path, "") for path in paths])
    report = import_embeddings(Origin(tmp_path / "v.npy", photos, name="x"), tmp_path / "own")
    assert (report.added, [Path(item.path).name for item in report.skipped]) == (8, ["y.jpg"])
    with Index.open(tmp_path / "own") as opened:
        assert opened.info().roots == (str(other), str(folder / "a"), str(folder / "b"))
    # What was known before keeps its own root and rules.
    export(tmp_path / "out", tmp_path / "index")
    import_embeddings(Origin(tmp_path / "out"), tmp_path / "index")
    notes: list[str] = []
    index_folder((), tmp_path / "index", note=notes.append)
    assert notes == [f"{folder / 'a'}: passing over *.tmp, as given before."]


def test_an_import_of_photos_that_are_not_here_leaves_nothing_to_trip_over(
    indexed: tuple[Path, Path], tmp_path: Path
) -> None:
    folder, index = indexed
    export(tmp_path / "out", index)
    folder.rename(tmp_path / "moved-away")
    report = import_embeddings(Origin(tmp_path / "out"), tmp_path / "again")
    assert (report.added, len(report.skipped)) == (0, 21)
    assert index_folder((), tmp_path / "again").scanned == 0


def test_copies_are_known_however_many_rows_are_left_out(small_photos: Maker, tmp_path: Path) -> None:
    folder = small_photos(300)
    paths = photos_of(folder)
    for n in range(40):
        shutil.copy(paths[n], folder / f"copy-{n:02d}.jpg")
    rows = [tmp_path / f"gone-{n}.jpg" for n in range(10)] + paths + sorted(folder.glob("copy-*"))
    np.save(tmp_path / "v.npy", np.random.default_rng(1).normal(size=(len(rows), 16)))
    photos = table(tmp_path / "p.csv", [(path, "") for path in rows])
    report = import_embeddings(Origin(tmp_path / "v.npy", photos, name="x"), tmp_path / "index")
    assert (report.added, report.known, len(report.skipped)) == (300, 40, 10)
    assert len(read_index(tmp_path / "index").ids) == 300


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("path,copies\na.jpg,5\n", "row 0 has no path, or copies that are no list"),
        ('path,copies\na.jpg,"""abc"""\n', "row 0 has no path, or copies that are no list"),
        ("sha256,path\nabc\n", "row 0 has no path"),
        ("path\na\0b/c.jpg\n", "no path that can be|cannot be read as a table"),
    ],
)
def test_rows_that_say_nonsense_are_refused(rows: str, words: str, tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.ones((1, 4)))
    (tmp_path / "p.csv").write_text(rows)
    with pytest.raises(SimsearchError, match=words):
        import_embeddings(Origin(tmp_path / "v.npy", tmp_path / "p.csv", name="x"), tmp_path / "index")
    assert not (tmp_path / "index").exists()


@pytest.mark.parametrize("kind", ["empty", "archive", "text"])
def test_arrays_of_another_kind_are_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "v.npy"
    if kind == "archive":
        with path.open("wb") as file:
            np.savez(file, a=np.ones((1, 4)))
    else:
        path.write_text("" if kind == "empty" else "1 2 3")
    (tmp_path / "p.csv").write_text("path\na.jpg\n")
    with pytest.raises(SimsearchError, match="cannot be read as an array of vectors"):
        import_embeddings(Origin(path, tmp_path / "p.csv", name="x"), tmp_path / "index")
