"""What the commands make of archives and URLs: leaks, eval, explain, verify, import, and folders in them."""

from __future__ import annotations

import csv
import json
import socket
from pathlib import Path

import pytest
from conftest import simsearch

from simsearch import find_leaks, index_folder
from simsearch.dedup.grouping.keeper import KeeperPolicy
from simsearch.dedup.grouping.scope import Scope
from simsearch.engine.exchange.export import export
from simsearch.engine.exchange.importing import import_embeddings
from simsearch.engine.exchange.origin import Origin
from simsearch.engine.index import Index
from simsearch.engine.indexing import IndexingConfig
from simsearch.engine.maintenance.verify import verify
from simsearch.errors import NotIndexed, RootMissing, SimsearchError
from simsearch.media.sources.archives.members import open_archive
from simsearch.models.choice import ModelChoice
from simsearch.quality.collection import pictures_of
from simsearch.records import FileStat
from sources.ground import MODEL, Web, jpeg
from sources.test_archives import PHOTOS, put_tar, put_zip, rows

CONFIG = IndexingConfig(choice=ModelChoice(MODEL))


@pytest.mark.parametrize("suffix", ["zip", "tar"])
def test_leaks_between_two_archives(
    suffix: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIMSEARCH_MODEL", MODEL)
    pack = put_zip if suffix == "zip" else put_tar
    chelsea = (photos / "originals" / "chelsea.png").read_bytes()
    mirrored = (photos / "mirrored" / "chelsea.jpg").read_bytes()
    train = pack(tmp_path / f"train.{suffix}", {"0.png": chelsea, "1.jpg": jpeg(1)})
    test = pack(tmp_path / f"test.{suffix}", {"a.jpg": jpeg(1), "b.jpg": mirrored, "c.jpg": jpeg(2)})
    report = find_leaks(train, test)
    assert {(leak.test, leak.level, leak.train) for leak in report.leaks} == {
        (f"{test}/a.jpg", "bytes", f"{train}/1.jpg"),
        (f"{test}/b.jpg", "near", f"{train}/0.png"),
    }
    assert (report.train_photos, report.test_photos) == (2, 3)


def test_an_archive_in_a_folder_does_not_lie_in_it_for_leaks(tmp_path: Path) -> None:
    folder, index = tmp_path / "data", tmp_path / "index"
    folder.mkdir()
    (folder / "x.jpg").write_bytes(jpeg(1))
    archive = put_zip(folder / "test.zip", {"same.jpg": jpeg(1), "other.jpg": jpeg(2)})
    index_folder(folder, index, CONFIG)
    # The index of the folder knows nothing of the archive: what is in it must not pass for looked up.
    for roots in ([], [archive]):
        index_folder(roots, index, CONFIG)
        report = find_leaks(folder, archive, index=index)
        assert [(leak.test, leak.train) for leak in report.leaks] == [
            (f"{archive}/same.jpg", str(folder / "x.jpg"))
        ]
        assert (report.train_photos, report.test_photos) == (1, 2)
    with pytest.raises(SimsearchError, match="overlap"):
        find_leaks(archive, f"{archive}/same.jpg", index=index)
    with pytest.raises(RootMissing):
        find_leaks(folder, tmp_path / "none.zip", index=index)


def test_a_misspelt_folder_of_an_archive_is_refused(tmp_path: Path) -> None:
    archive = put_zip(tmp_path / "p.zip", PHOTOS)
    assert KeeperPolicy(prefer=(f"{archive}/a",)).prefer == (f"{archive}/a",)
    for make in (
        lambda name: KeeperPolicy(prefer=(name,)),
        lambda name: KeeperPolicy(reference=(name,)),
        lambda name: Scope(within=(name,)),
    ):
        with pytest.raises(NotIndexed, match=r"There is no .*misspelt"):
            make(f"{archive}/misspelt")


def test_a_store_that_is_down_is_not_taken_for_one_without_such_a_folder() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/photos/"
    with pytest.raises(NotIndexed, match="no connection can be made") as caught:
        KeeperPolicy(prefer=(url,))
    assert "There is no" not in str(caught.value)


def test_a_query_by_a_folder_or_an_archive_says_how_to_index_it(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "b.jpg").write_bytes(PHOTOS["b.jpg"])
    archive = put_zip(tmp_path / "p.zip", PHOTOS)
    index_folder(folder, tmp_path / "index", CONFIG)
    for place in (folder, archive):
        run = simsearch("query", place, "-i", tmp_path / "index")
        assert run.returncode == 1
        assert f"simsearch index {place}" in run.stderr.decode()


def test_an_import_puts_what_an_archive_holds_below_the_archive(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "x.jpg").write_bytes(jpeg(7))
    archive = put_zip(folder / "p.zip", PHOTOS)
    index_folder([folder, archive], tmp_path / "index", CONFIG)
    export(tmp_path / "out", tmp_path / "index")
    import_embeddings(Origin(tmp_path / "out"), tmp_path / "again")
    with Index.open(tmp_path / "again") as index:
        assert index.info().roots == (str(folder), str(archive))
    assert rows(tmp_path / "again") == rows(tmp_path / "index")
    report = index_folder((), tmp_path / "again", CONFIG)
    assert (report.unchanged, report.gone, report.embedded) == (5, 0, 0)


@pytest.mark.parametrize("suffix", ["zip", "tar"])
def test_a_member_without_a_name_hides_no_other(suffix: str, tmp_path: Path) -> None:
    pack = put_zip if suffix == "zip" else put_tar
    archive = pack(tmp_path / f"p.{suffix}", {**PHOTOS, ".": b"x", "./": b"x", "c": b"a file and a folder"})
    opened = open_archive(archive, bytes(archive), FileStat(0, 0, 0, 0))
    assert [entry.relpath for entry in opened.entries()] == sorted([*map(str.encode, PHOTOS), b"c"])
    assert [entry.relpath for entry in opened.entries(b"c")] == [b"", b"d/four.jpg"]
    report = index_folder(archive, tmp_path / "index", CONFIG)
    assert (report.added, report.ignored) == (4, 1)


def test_an_emptied_folder_is_still_a_folder_that_is_there(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "x.jpg").write_bytes(jpeg(1))
    index_folder(folder, tmp_path / "index", CONFIG)
    (folder / "x.jpg").unlink()
    [problem] = verify(tmp_path / "index", deep=True).problems
    assert problem.file == str(folder / "x.jpg")


def test_classes_of_an_archive_are_named_like_those_of_its_folder(tmp_path: Path) -> None:
    archive = put_zip(tmp_path / "p.zip", PHOTOS)
    index_folder(archive, tmp_path / "index", CONFIG)
    with Index.open(tmp_path / "index") as index:
        assert pictures_of(index).base == bytes(archive)
    index_folder(f"{archive}/b.jpg", tmp_path / "one", CONFIG)
    with Index.open(tmp_path / "one") as index:
        assert pictures_of(index).base == bytes(archive)


def test_a_url_can_be_explained_and_stand_in_a_table(web: Web, tmp_path: Path) -> None:
    web.files.update({f"/photos/{name}": jpeg(n) for n, name in enumerate(("a.jpg", "b.jpg", "c.jpg"))})
    root, index = f"{web.url}/photos", tmp_path / "index"
    index_folder(root, index, CONFIG)
    with Index.open(index) as opened:
        assert pictures_of(opened).base == root.encode()
    run = simsearch("explain", f"{root}/a.jpg", f"{root}/b.jpg", "-i", index, "--json")
    assert run.returncode == 0, run.stderr
    assert [side["path"] for side in json.loads(run.stdout)["pictures"]] == [f"{root}/a.jpg", f"{root}/b.jpg"]
    table = tmp_path / "truth.csv"
    with table.open("w", newline="") as file:
        csv.writer(file).writerows(
            [("path", "group"), (f"{root}/a.jpg", "x"), (f"{root}/b.jpg", "x"), (f"{root}/c.jpg", "y")]
        )
    run = simsearch("eval", "--truth", table, "-i", index, "--json")
    assert run.returncode == 0, run.stderr
