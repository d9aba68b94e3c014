"""What finding copies keeps in an index, as the commands that look after an index treat it."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import age, picture

from simsearch import index_folder
from simsearch.cli import run
from simsearch.dedup.verdicts import Verdicts
from simsearch.engine.indexing import IndexingConfig
from simsearch.models.choice import ModelChoice

LITE0 = IndexingConfig(choice=ModelChoice(model="efficientnet_lite0"))
A, B, C = (bytes([n]) * 32 for n in b"ABC")


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of three photos, and a copy of one of them, in the folder `photos` beside it."""
    home = tmp_path_factory.mktemp("good")
    (home / "photos").mkdir()
    for seed in range(3):
        picture(seed).save(home / "photos" / f"{seed}.jpg")
    shutil.copy(home / "photos" / "0.jpg", home / "photos" / "copy.jpg")
    age(home)
    index_folder([home / "photos"], home / "index", LITE0)
    with Verdicts.open(home / "index") as verdicts:
        verdicts.different([A, B])
        verdicts.different([A, C])
    return home / "index"


@pytest.fixture
def index(good: Path, tmp_path: Path) -> Path:
    """A copy of that index, for a test to do harm to."""
    return Path(shutil.copytree(good, tmp_path / "index"))


def change(database: Path, statement: str) -> None:
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(statement)


def said(index: Path) -> list[set[bytes]]:
    with Verdicts.open(index) as verdicts:
        return [set(verdict.contents) for verdict in verdicts.all()]


def test_a_damaged_verdict_is_told_and_mended_and_the_index_is_left_as_it_is(
    index: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["verify", "-i", str(index)]) == 0
    change(index / "verdicts.db", "UPDATE verdicts SET at = 'never' WHERE id = 1")
    capfd.readouterr()
    assert run(["verify", "-i", str(index), "--json"]) == 3
    [problem] = json.loads(capfd.readouterr().out)["problems"]
    assert problem == {
        "file": "verdicts.db",
        "what": "1 of its verdicts are not what was written",
        "mend": f"simsearch index --repair -i {index}",
    }
    inode = (index / "index.db").stat().st_ino
    assert run(["index", "--repair", "-i", str(index)]) == 0
    words = f"Mended {index}/verdicts.db: 1 answers are kept, 1 are known to be lost;"
    assert words in capfd.readouterr().err
    assert (index / "index.db").stat().st_ino == inode
    assert not (index / "index.db.damaged").exists()
    assert run(["verify", "-i", str(index)]) == 0
    assert said(index) == [{A, C}]


def test_a_total_loss_of_verdicts_is_told_as_one(index: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data = (index / "verdicts.db").read_bytes()
    (index / "verdicts.db").write_bytes(b"?" * 100 + data[100:])
    assert run(["index", "--repair", "-i", str(index)]) == 0
    error = capfd.readouterr().err
    assert "verdicts.db: 0 answers are kept, 0 are known to be lost" in error
    assert "more answers may be lost than are known" in error
    assert f"The damaged file is kept as {index}/verdicts.db.damaged;" in error
    assert (index / "verdicts.db.damaged").read_bytes() == b"?" * 100 + data[100:]


def test_one_repair_mends_the_index_and_its_verdicts(index: Path, capfd: pytest.CaptureFixture[str]) -> None:
    change(index / "index.db", "UPDATE files SET size = size + 1 WHERE id = 1")
    change(index / "verdicts.db", "UPDATE verdicts SET at = 'never' WHERE id = 2")
    assert run(["verify", "-i", str(index)]) == 3
    assert run(["index", "--repair", "-i", str(index)]) == 0
    assert (index / "index.db.damaged").exists()
    capfd.readouterr()
    assert run(["verify", "-i", str(index)]) == 0, capfd.readouterr()
    assert said(index) == [{A, B}]


def test_verdicts_of_a_newer_version_are_no_bar_to_mending_the_index(index: Path) -> None:
    change(index / "verdicts.db", "PRAGMA user_version = 2")
    before = (index / "verdicts.db").read_bytes()
    change(index / "index.db", "UPDATE files SET size = size + 1 WHERE id = 1")
    assert run(["index", "--repair", "-i", str(index)]) == 0
    assert (index / "index.db.damaged").exists()
    assert (index / "verdicts.db").read_bytes() == before
    assert run(["verify", "-i", str(index)]) == 3
    # The index itself is whole, so that nothing of it is written anew.
    inode = (index / "index.db").stat().st_ino
    assert run(["index", "--repair", "-i", str(index)]) == 0
    assert (index / "index.db").stat().st_ino == inode


def test_compaction_drops_what_was_found_in_pictures_that_are_gone_and_no_verdict(
    small_photos: Callable[[int], Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder, index = small_photos(8), tmp_path / "index"
    index_folder(folder, index, LITE0)
    with Verdicts.open(index) as verdicts:
        verdicts.different([A, B])
    assert run(["dedup", "-i", str(index)]) == 0
    kept = kept_features(index)
    assert len(kept) == 8
    assert len(kept_pairs(index)) == 8 * 7 // 2
    shutil.rmtree(folder / "a")
    assert run(["index", "-i", str(index), "--prune", "--yes"]) == 0
    assert kept_features(index) == kept
    capfd.readouterr()
    assert run(["compact", "-i", str(index), "--json"]) == 0
    report = json.loads(capfd.readouterr().out)
    assert report["dropped"] == 4
    assert report["bytes_after"] == sum(file.stat().st_size for file in index.rglob("*") if file.is_file())
    with contextlib.closing(sqlite3.connect(index / "index.db")) as connection:
        left = {sha for (sha,) in connection.execute("SELECT sha256 FROM contents")}
    assert len(left) == 4
    assert set(kept_features(index)) == left
    numbers = set(kept_features(index).values())
    assert kept_pairs(index) == {(one, two) for one in numbers for two in numbers if one < two}
    assert said(index) == [{A, B}]


def kept_features(index: Path) -> dict[bytes, int]:
    with contextlib.closing(sqlite3.connect(index / "features.db")) as connection:
        return dict(connection.execute("SELECT sha256, id FROM features"))


def kept_pairs(index: Path) -> set[tuple[int, int]]:
    with contextlib.closing(sqlite3.connect(index / "features.db")) as connection:
        return set(connection.execute("SELECT first, second FROM pairs"))


# What leads out, and where to below a folder of the user's.
LINKS = {
    "verdicts.db to a database": ("verdicts.db", "places.sqlite"),
    "verdicts.db to nothing": ("verdicts.db", "new"),
    "verdicts.db.damaged to a database": ("verdicts.db.damaged", "places.sqlite"),
    "verdicts.db.damaged to nothing": ("verdicts.db.damaged", "new"),
    "features.db to a database": ("features.db", "places.sqlite"),
    "features.db to nothing": ("features.db", "new"),
    "acts to a folder": ("acts", ""),
    "acts to nothing": ("acts", "new"),
}


@pytest.mark.parametrize("kind", LINKS)
def test_no_link_leads_a_write_of_copies_out_of_an_index(
    kind: str, good: Path, index: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    name, target = LINKS[kind]
    outside, photos = tmp_path / "outside", good.parent / "photos"
    outside.mkdir()
    change(outside / "places.sqlite", "CREATE TABLE places (url)")
    before = {path: path.read_bytes() for path in outside.rglob("*")}
    (index / name).unlink(missing_ok=True)
    (index / name).symlink_to(outside / target)
    commands = [
        ["dedup", "--action", "set-aside"],
        ["verdicts", "keep-all", str(photos / "0.jpg"), str(photos / "copy.jpg")],
        ["undo"],
        ["verify"],
        ["compact"],
        ["index", "--repair"],
    ]
    for command in commands:
        run([*command, "-i", str(index)])
    assert run(["index", "-i", str(index)]) == 1
    error = capfd.readouterr().err
    assert f"{index / name} is a link" in error
    assert "this is a bug" not in error
    assert {path: path.read_bytes() for path in outside.rglob("*")} == before
    assert sorted(path.name for path in photos.iterdir()) == ["0.jpg", "1.jpg", "2.jpg", "copy.jpg"]
