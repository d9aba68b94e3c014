"""Zip and tar files as roots: whole, changed, broken, hostile."""

from __future__ import annotations

import contextlib
import io
import json
import sqlite3
import struct
import tarfile
import time
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from conftest import age, simsearch

from simsearch import Index, index_folder
from simsearch.engine.indexing import IndexingConfig
from simsearch.errors import PhotoUnreadable, RootMissing, SourceUnreachable
from simsearch.media.sources.archives import members
from simsearch.media.sources.archives.members import open_archive
from simsearch.media.sources.held import read_file
from simsearch.models.choice import ModelChoice
from simsearch.records import FileStat
from sources.ground import MODEL, jpeg

CONFIG = IndexingConfig(choice=ModelChoice(MODEL))


def put_zip(path: Path, members: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def put_tar(path: Path, members: Mapping[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def old(path: Path) -> Path:
    """A file that was written long enough ago to be believed."""
    age(path.parent)
    return path


def rows(index: Path) -> dict[str, str]:
    """The path below its root of every file of an index, and the digest of its bytes."""
    with sqlite3.connect(f"file:{index}/index.db?mode=ro", uri=True) as database:
        found = database.execute(
            "SELECT relpath, hex(sha256) FROM files LEFT JOIN contents ON contents.id = content_id"
        )
        return {bytes(relpath).decode(): digest for relpath, digest in found}


PHOTOS = {"a/one.jpg": jpeg(1), "a/two.jpg": jpeg(2), "b.jpg": jpeg(3), "c/d/four.jpg": jpeg(4)}


@pytest.mark.parametrize("name", ["p.zip", "p.tar", "p.tar.gz", "p.tgz", "p.tar.bz2", "p.tar.xz", "P.ZIP"])
def test_an_archive_gives_the_rows_and_vectors_of_the_folder_it_was_made_of(
    name: str, tmp_path: Path
) -> None:
    folder = tmp_path / "photos"
    for relpath, data in PHOTOS.items():
        (folder / relpath).parent.mkdir(parents=True, exist_ok=True)
        (folder / relpath).write_bytes(data)
    suffix = name.lower().rpartition(".")[2]
    packing = {"gz": "w:gz", "tgz": "w:gz", "bz2": "w:bz2", "xz": "w:xz"}.get(suffix, "w")
    put = put_zip if suffix == "zip" else lambda path, members: put_tar(path, members, packing)
    archive = put(tmp_path / name, PHOTOS)
    one = index_folder(folder, tmp_path / "one", CONFIG)
    two = index_folder(archive, tmp_path / "two", CONFIG)
    assert (one.added, one.embedded) == (two.added, two.embedded) == (4, 4)
    assert rows(tmp_path / "one") == rows(tmp_path / "two")
    with Index.open(tmp_path / "one") as first, Index.open(tmp_path / "two") as second:
        ids = {photo.sha256: photo.id for photo in first.photos()}
        photos = list(second.photos())
        np.testing.assert_array_equal(
            first.vectors([ids[photo.sha256] for photo in photos]),
            second.vectors([photo.id for photo in photos]),
        )
        assert {photo.paths for photo in photos} == {(f"{archive}/{relpath}",) for relpath in PHOTOS}


def test_what_a_folder_has_is_not_embedded_again_from_an_archive(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "x.jpg").write_bytes(jpeg(1))
    archive = put_zip(tmp_path / "photos" / "p.zip", PHOTOS)
    # The archive lies in the folder, which does not look into it: named, it is a root of its own.
    report = index_folder([folder, archive], tmp_path / "index", CONFIG)
    assert (report.added, report.embedded, report.ignored) == (5, 4, 1)
    with Index.open(tmp_path / "index") as index:
        assert index.info().roots == (str(folder), str(archive))
    again = index_folder((), tmp_path / "index", CONFIG)
    assert (again.unchanged, again.moved, again.gone, again.embedded) == (5, 0, 0, 0)


def test_an_archive_that_did_not_change_is_not_opened_again(tmp_path: Path) -> None:
    archive = old(
        put_tar(
            tmp_path / "shards" / "s.tar" if (tmp_path / "shards").mkdir() is None else tmp_path,
            {
                "0001.jpg": jpeg(1),
                "0001.json": b"{}",
                "0001.cls": b"7",
                "0002.jpg": jpeg(2),
                "0002.json": b"{}",
            },
        )
    )
    first = index_folder(archive, tmp_path / "index", CONFIG)
    assert (first.scanned, first.added, first.ignored) == (5, 2, 3)
    second = index_folder((), tmp_path / "index", CONFIG)
    # Not even the labels are looked at, which is what tells that nothing was listed.
    assert (second.scanned, second.unchanged, second.ignored, second.embedded) == (2, 2, 0, 0)
    third = index_folder((), tmp_path / "index", IndexingConfig(exclude=("0002*",)))
    assert (third.passed_over, third.unchanged, third.gone) == (2, 1, 0)
    fourth = index_folder((), tmp_path / "index", IndexingConfig(exclude=("",)))
    assert (fourth.scanned, fourth.unchanged, fourth.gone) == (5, 2, 0)


def test_a_member_that_was_taken_out_of_the_index_is_found_again(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    archive = old(put_zip(tmp_path / "in" / "p.zip", PHOTOS))
    index_folder(archive, tmp_path / "index", CONFIG)
    run = simsearch("remove", f"{archive}/b.jpg", "-i", tmp_path / "index", "--yes")
    assert run.returncode == 0, run.stderr
    again = index_folder((), tmp_path / "index", CONFIG)
    assert (again.added, again.unchanged, again.embedded) == (1, 3, 0)
    run = simsearch("remove", archive, "-i", tmp_path / "index", "--yes", "--json")
    assert json.loads(run.stdout)["roots"] == [str(archive)]


def test_a_changed_archive(tmp_path: Path) -> None:
    archive = put_zip(tmp_path / "p.zip", PHOTOS)
    index_folder(archive, tmp_path / "index", CONFIG)
    members = {**PHOTOS, "b.jpg": jpeg(30), "new.jpg": jpeg(5)}
    del members["a/one.jpg"]
    put_zip(archive, members)
    report = index_folder((), tmp_path / "index", CONFIG)
    assert (report.added, report.updated, report.gone, report.removed, report.embedded) == (1, 1, 1, 0, 2)
    pruned = index_folder((), tmp_path / "index", IndexingConfig(prune=True, yes=True))
    assert (pruned.gone, pruned.removed, pruned.embedded) == (1, 1, 0)
    assert set(rows(tmp_path / "index")) == set(members)


@pytest.mark.parametrize("broken", ["cut", "empty", "gone", "other", "middle"])
@pytest.mark.parametrize("name", ["p.zip", "p.tar", "p.tar.gz"])
def test_an_archive_that_breaks_loses_nothing(name: str, broken: str, tmp_path: Path) -> None:
    put = {"p.zip": put_zip, "p.tar": put_tar}.get(name, lambda path, members: put_tar(path, members, "w:gz"))
    archive = put(tmp_path / name, PHOTOS)
    index_folder(archive, tmp_path / "index", CONFIG)
    before, data = rows(tmp_path / "index"), archive.read_bytes()
    if broken == "gone":
        archive.unlink()
    elif broken == "cut":
        archive.write_bytes(data[: len(data) // 2])
    elif broken == "middle":
        archive.write_bytes(data[: len(data) // 3] + bytes(range(256)) * 8 + data[len(data) // 3 + 2048 :])
    else:
        archive.write_bytes(b"" if broken == "empty" else b"no archive at all " * 100)
    config = IndexingConfig(prune=True, yes=True)
    if broken == "middle":
        # A zip's list of members is at its end, so that it is told member by member.
        with contextlib.suppress(RootMissing):
            index_folder((), tmp_path / "index", config)
    else:
        with pytest.raises(RootMissing, match="nothing was forgotten"):
            index_folder((), tmp_path / "index", config)
    assert rows(tmp_path / "index").keys() == before.keys()
    put(archive, PHOTOS)
    report = index_folder((), tmp_path / "index", CONFIG)
    assert report.embedded == report.gone == 0
    assert rows(tmp_path / "index") == before


def test_a_tar_that_was_cut_between_two_members_loses_nothing(tmp_path: Path) -> None:
    archive = put_tar(tmp_path / "p.tar", PHOTOS)
    index_folder(archive, tmp_path / "index", CONFIG)
    with tarfile.open(archive) as tar:
        third = tar.getmembers()[2].offset
    whole = archive.read_bytes()
    archive.write_bytes(whole[:third])
    with pytest.raises(RootMissing, match=r"no archive that can be read: it is cut.*nothing was forgotten"):
        index_folder((), tmp_path / "index", IndexingConfig(prune=True, yes=True))
    assert len(rows(tmp_path / "index")) == 4
    # One block of zeros is enough of an end: whoever wrote it had come there.
    archive.write_bytes(whole[:third] + bytes(512))
    assert index_folder((), tmp_path / "index", CONFIG).gone == 2


def test_a_folder_in_the_place_of_an_archive(tmp_path: Path) -> None:
    archive = put_zip(tmp_path / "p.zip", PHOTOS)
    index_folder(archive, tmp_path / "index", CONFIG)
    archive.unlink()
    archive.mkdir()
    (archive / "b.jpg").write_bytes(PHOTOS["b.jpg"])
    report = index_folder((), tmp_path / "index", IndexingConfig(prune=True, yes=True))
    assert (report.gone, report.removed, report.embedded) == (3, 3, 0)
    assert set(rows(tmp_path / "index")) == {"b.jpg"}


def test_an_emptied_archive_is_no_deletion(tmp_path: Path) -> None:
    archive = put_zip(tmp_path / "p.zip", PHOTOS)
    index_folder(archive, tmp_path / "index", CONFIG)
    put_zip(archive, {})
    with pytest.raises(RootMissing, match="is missing or empty, though photos of it are indexed"):
        index_folder((), tmp_path / "index", IndexingConfig(prune=True, yes=True))
    assert len(rows(tmp_path / "index")) == 4


def test_hostile_names_lead_nowhere(tmp_path: Path) -> None:
    names = ["../../etc/passwd.jpg", "/abs/x.jpg", "./dot.jpg", "a//b.jpg", "new\nline.jpg", "..jpg"]
    members = {name: jpeg(number) for number, name in enumerate(names)}
    archive = put_tar(tmp_path / "p.tar", members)
    report = index_folder(archive, tmp_path / "index", IndexingConfig(choice=ModelChoice(MODEL), hidden=True))
    assert report.added == 6
    assert set(rows(tmp_path / "index")) == {
        "%2E%2E/%2E%2E/etc/passwd.jpg",
        "abs/x.jpg",
        "dot.jpg",
        "a/b.jpg",
        "new\nline.jpg",
        "..jpg",
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index", "p.tar"]
    # Each path of the answers is one that a query takes.
    with Index.open(tmp_path / "index") as index:
        for photo in index.photos():
            run = simsearch(
                "query", photo.paths[0], "-i", tmp_path / "index", "-k", "1", "--include-self", "--json"
            )
            assert json.loads(run.stdout)[0]["hits"][0]["path"] == photo.paths[0], run.stderr


def test_links_in_a_tar_are_no_members(tmp_path: Path) -> None:
    archive = tmp_path / "p.tar"
    (tmp_path / "secret.jpg").write_bytes(jpeg(9))
    with tarfile.open(archive, "w") as tar:
        for name, kind in (
            ("sym.jpg", tarfile.SYMTYPE),
            ("hard.jpg", tarfile.LNKTYPE),
            ("dev.jpg", tarfile.CHRTYPE),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, str(tmp_path / "secret.jpg")
            tar.addfile(info)
        info = tarfile.TarInfo("real.jpg")
        info.size = len(jpeg(1))
        tar.addfile(info, io.BytesIO(jpeg(1)))
    report = index_folder(archive, tmp_path / "index", CONFIG)
    assert (report.scanned, report.added) == (1, 1)


def encrypted(data: bytes) -> bytes:
    """The same zip with the flag that its members are encrypted."""
    out = bytearray(data)
    for signature, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = -1
        while (at := data.find(signature, at + 1)) >= 0:
            out[at + place] |= 1
    return bytes(out)


def test_members_that_cannot_be_read_are_skipped_for_good(tmp_path: Path) -> None:
    secret = put_zip(tmp_path / "secret.zip", {"x.jpg": jpeg(1)})
    secret.write_bytes(encrypted(secret.read_bytes()))
    other = put_zip(tmp_path / "other.zip", {"x.jpg": jpeg(1)}, zipfile.ZIP_LZMA)
    wrong = put_zip(tmp_path / "wrong.zip", {"x.jpg": jpeg(1), "y.jpg": jpeg(2)}, zipfile.ZIP_STORED)
    data = bytearray(wrong.read_bytes())
    data[data.find(b"\xff\xd8\xff") + 500] ^= 0xFF
    wrong.write_bytes(data)
    report = index_folder([secret, other, wrong], tmp_path / "index", CONFIG)
    assert {(Path(s.path).parent.name, s.reason, s.transient) for s in report.skipped} == {
        ("secret.zip", "encrypted in its archive", False),
        ("other.zip", "packed by another method than zip's usual one", False),
        ("wrong.zip", "cannot be unpacked: bad crc-32 for file 'x.jpg'", False),
    }
    assert report.added == 1


def bomb(size: int, declared: int) -> bytes:
    """A zip of one member `b.jpg` that unpacks to `size` zeros and says that it has `declared` bytes."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(jpeg(1) + bytes(size)) + packer.flush()
    head = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 0, 0, len(packed), declared, 5, 0)
    local = b"PK\x03\x04" + head + b"b.jpg" + packed
    central = b"PK\x01\x02" + struct.pack("<H", 20) + head + struct.pack("<HHHII", 0, 0, 0, 0, 0) + b"b.jpg"
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), len(local), 0)
    return local + central + end


@pytest.mark.parametrize("declared", [4000, 10_000, 400 << 20])
def test_a_zip_bomb_costs_nothing(declared: int, tmp_path: Path) -> None:
    archive = tmp_path / "bomb.zip"
    archive.write_bytes(bomb(400 << 20, declared))
    started = time.process_time()
    if declared == 400 << 20:
        with pytest.raises(SourceUnreachable, match="unpacks to more than 100 times its size"):
            open_archive(archive, bytes(archive), FileStat(0, 0, 0, 0))
    else:
        with pytest.raises(PhotoUnreadable):
            read_file(bytes(archive) + b"/b.jpg", 1 << 30)
    assert time.process_time() - started < 5


def test_a_zip_of_too_many_members_is_refused_before_any_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = put_zip(tmp_path / "p.zip", PHOTOS)
    monkeypatch.setattr(members, "MEMBERS", 4)
    assert len(open_archive(archive, bytes(archive), FileStat(0, 0, 0, 0)).entries()) == 4
    monkeypatch.setattr(members, "MEMBERS", 3)
    monkeypatch.setattr(zipfile, "ZipInfo", lambda *_, **__: pytest.fail("a record of a member was made"))
    with pytest.raises(SourceUnreachable, match="has more than 3 members"):
        open_archive(archive, bytes(archive), FileStat(0, 0, 0, 0))


def test_a_packed_tar_that_is_a_bomb_is_refused(tmp_path: Path) -> None:
    archive = put_tar(tmp_path / "bomb.tar.gz", {"b.jpg": bytes(400 << 20)}, "w:gz")
    with pytest.raises(SourceUnreachable, match="unpacks to more than 100 times its size"):
        open_archive(archive, bytes(archive), FileStat(0, 0, 0, 0))


def test_a_tar_header_that_says_it_is_long_takes_no_memory(tmp_path: Path) -> None:
    archive = tmp_path / "p.tar"
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 1 << 30
    archive.write_bytes(info.tobuf() + bytes(4096))
    with archive.open("r+b") as file:
        file.truncate(1 << 31)
    with pytest.raises(SourceUnreachable, match="a header is too long"):
        open_archive(archive, bytes(archive), FileStat(0, 0, 0, 0))


def test_rules_hold_inside(tmp_path: Path) -> None:
    members = {
        "a/x.jpg": jpeg(1),
        ".h/x.jpg": jpeg(2),
        "@eaDir/a/b.jpg": jpeg(3),
        "@eaDir/c.jpg": jpeg(4),
        "b.jpg": jpeg(5),
    }
    archive = put_zip(tmp_path / "p.zip", members)
    report = index_folder(
        archive, tmp_path / "index", IndexingConfig(choice=ModelChoice(MODEL), exclude=("a/x*",))
    )
    # The two folders count once each, and the file.
    assert (report.added, report.passed_over) == (1, 3)
    more = index_folder((), tmp_path / "index", IndexingConfig(hidden=True, exclude=("",)))
    assert (more.added, more.unchanged, more.passed_over) == (2, 1, 1)
    part = index_folder(f"{archive}/a", tmp_path / "part", CONFIG)
    assert (part.added, rows(tmp_path / "part").keys()) == (1, {"x.jpg"})


def test_acts_are_refused_for_what_is_in_an_archive(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "b.jpg").write_bytes(PHOTOS["b.jpg"])
    archive = put_zip(tmp_path / "p.zip", PHOTOS)
    index_folder([folder, archive], tmp_path / "index", CONFIG)
    before = archive.read_bytes()
    told = json.loads(simsearch("dedup", "-i", tmp_path / "index", "--json").stdout)
    assert [photo["path"] for photo in told["groups"][0]["photos"]] == [
        str(folder / "b.jpg"),
        f"{archive}/b.jpg",
    ]
    assert [photo["bytes"] for photo in told["groups"][0]["photos"]] == [len(PHOTOS["b.jpg"])] * 2
    for more in (
        ["--action", "set-aside"],
        ["--action", "hardlink"],
        ["--action", "move", "--to", str(tmp_path / "to")],
    ):
        run = simsearch("dedup", "-i", tmp_path / "index", *more)
        assert (
            b"p.zip/b.jpg: in a store, on a web server or in an archive, where simsearch only reads"
            in run.stdout
        )
    # The keeper may not be there either: the only file on this machine stays.
    run = simsearch("dedup", "-i", tmp_path / "index", "--action", "set-aside", "--prefer", archive)
    assert b"what is kept is in a store" in run.stdout, run.stdout + run.stderr
    run = simsearch("dedup", "-i", tmp_path / "index", "--action", "move", "--to", "s3://bucket/to")
    assert run.returncode == 1
    assert b"simsearch only reads there" in run.stderr
    assert archive.read_bytes() == before
    assert [path.name for path in folder.iterdir()] == ["b.jpg"]


def test_thumbnails_facts_verify_and_export(tmp_path: Path) -> None:
    archive = put_zip(tmp_path / "p.zip", PHOTOS)
    index = tmp_path / "index"
    index_folder(archive, index, CONFIG)
    facts = json.loads(simsearch("info", f"{archive}/b.jpg", "-i", index, "--json").stdout)[0]
    assert (facts["path"], facts["state"], facts["modified_at"]) == (f"{archive}/b.jpg", "unseen", None)
    assert facts["bytes"] == len(PHOTOS["b.jpg"])
    run = simsearch("verify", "--deep", "-i", index)
    assert run.returncode == 0, run.stderr
    run = simsearch("query", f"{archive}/b.jpg", "-i", index, "--html", tmp_path / "page.html")
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "page.html").read_text().count("data:image/jpeg;base64") == 4
    run = simsearch("export", tmp_path / "out", "-i", index)
    assert run.returncode == 0, run.stderr
    assert f"{archive}/c/d/four.jpg" in (tmp_path / "out" / "photos.csv").read_text()
    run = simsearch("query", f"{archive}/none.jpg", "-i", index)
    assert b"the archive has no such member" in run.stderr
