"""The commands on a real index of real files, each in a process of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import age, picture, simsearch

INDEX_KEYS = [
    *("index", "model", "fallback", "device", "scanned", "added", "updated", "moved", "unchanged", "gone"),
    *("removed", "ignored", "passed_over", "skipped", "embedded", "seconds", "images_per_second"),
]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine photos, one of them twice, a broken one and a text, with an index at indexes/default."""
    home = tmp_path_factory.mktemp("cli")
    photos = home / "photos"
    photos.mkdir()
    (home / "indexes").mkdir()
    for number in range(9):
        picture(number).save(photos / f"{number}.jpg", quality=92)
    (photos / "again.jpg").write_bytes((photos / "0.jpg").read_bytes())
    (photos / "broken.jpg").write_bytes((photos / "0.jpg").read_bytes()[:300])
    (photos / "notes.txt").write_text("no picture")
    age(photos)
    done = simsearch("index", "photos", "--model", "efficientnet_lite0", "--json", cwd=home)
    assert done.returncode == 0, done.stderr.decode()
    report = json.loads(done.stdout)
    assert list(report) == INDEX_KEYS
    assert report["added"] == 10
    assert [Path(item["path"]).name for item in report["skipped"]] == ["broken.jpg"]
    return home


def test_a_run_without_paths_visits_the_roots_again(real: Path) -> None:
    done = simsearch("index", "--strict", cwd=real)
    assert done.returncode == 3, done.stderr.decode()
    assert b"10 unchanged, 1 skipped, 1 ignored; 0 embedded" in done.stdout
    assert b"broken.jpg" in done.stderr


def test_query_by_path_id_and_standard_input_agree(real: Path) -> None:
    data = (real / "photos" / "3.jpg").read_bytes()
    done = simsearch("query", "photos/3.jpg", "--include-self", "--json", "-k", "3", cwd=real)
    assert (done.returncode, done.stderr) == (0, b"")
    (entry,) = json.loads(done.stdout)
    best = entry["hits"][0]
    assert best["path"] == entry["query"] == str(real / "photos" / "3.jpg")
    assert best["score"] == pytest.approx(1, abs=1e-5)
    by_id = simsearch("query", "--id", str(best["id"]), "--include-self", "--json", "-k", "3", cwd=real)
    by_input = simsearch("query", "-", "--json", "-k", "3", cwd=real, input=data)
    for other in (by_id, by_input):
        assert json.loads(other.stdout)[0]["hits"] == entry["hits"], other.stderr


def test_query_writes_a_page_with_pictures(real: Path) -> None:
    data = (real / "photos" / "3.jpg").read_bytes()
    done = simsearch("query", "photos/0.jpg", "-", "-k", "2", "--html", "hits.html", cwd=real, input=data)
    assert done.returncode == 0, done.stderr
    assert (real / "hits.html").read_text(encoding="utf-8").count("data:image/jpeg") == 6


def test_info_of_one_index_its_skipped_files_and_all(real: Path, tmp_path: Path) -> None:
    (info,) = [json.loads(simsearch("info", "--json", cwd=real).stdout)]
    expected = {
        "index",
        "format",
        "model",
        "spec",
        "dim",
        "photos",
        "vectors",
        "skipped",
        "bytes",
        "view",
        "roots",
    }
    assert expected <= set(info)
    view = {"kind", "recall", "tail", "robust_recall", "robust", "center", "server", "trouble"}
    assert set(info["view"]) == view
    assert (info["photos"], info["skipped"]) == (9, 1)
    assert info["roots"] == [str(real / "photos")]

    skipped = json.loads(simsearch("info", "--skipped", "--json", cwd=real).stdout)
    assert [(Path(s["path"]).name, s["transient"]) for s in skipped] == [("broken.jpg", False)]
    assert b"broken.jpg" in simsearch("info", "--skipped", cwd=real).stdout

    (real / "indexes" / "default").rename(real / "indexes" / "other")
    try:
        everything = json.loads(simsearch("info", "--json", cwd=real).stdout)
    finally:
        (real / "indexes" / "other").rename(real / "indexes" / "default")
    assert [Path(entry["index"]).name for entry in everything] == ["other"]
    assert json.loads(simsearch("info", "--json", cwd=tmp_path).stdout) == []


def test_verify_and_rebuild_of_a_real_index(real: Path) -> None:
    done = simsearch("verify", "--json", cwd=real)
    assert (done.returncode, json.loads(done.stdout)["ok"]) == (0, True)
    done = simsearch("rebuild", "--json", cwd=real)
    assert json.loads(done.stdout)["kind"] == "exact"
    (chosen,) = [
        m for m in json.loads(simsearch("models", "--json", "-i", "default", cwd=real).stdout) if m["in_use"]
    ]
    assert chosen["name"] == "efficientnet_lite0"
