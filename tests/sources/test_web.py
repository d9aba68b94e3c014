"""A web server as a root: listings, single files and shards, and everything it may do wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import simsearch

from sources.ground import MODEL, Web, jpeg, patient, serving, spools
from sources.test_archives import PHOTOS, put_tar, rows

PATIENT = 60.0
"""Seconds without a byte that no busy machine takes by itself."""


def patience(wrong: str) -> float:
    """How long a command waits for a server that does this: where it stalls, no longer than it has to."""
    return 3.0 if wrong == "stalls" else PATIENT


def run(
    index: Path, temporary: Path, *args: str | Path, seconds: float = PATIENT
) -> subprocess.CompletedProcess[bytes]:
    return simsearch(*args, "-i", index, **patient(seconds, temporary))


def index_(index: Path, temporary: Path, *args: str, seconds: float = PATIENT) -> dict[str, Any]:
    new = [] if index.exists() else ["--model", MODEL]
    done = run(index, temporary, "index", *args, *new, "--json", seconds=seconds)
    assert done.stdout, done.stderr.decode()
    assert spools(temporary) == []
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_a_listing_from_run_to_run(web: Web, tmp_path: Path, temporary: Path) -> None:
    web.files = {f"/photos/{name}": data for name, data in PHOTOS.items()}
    web.files["/photos/with%20space.jpg"] = jpeg(9)
    web.files["/photos/notes.txt"] = b"x"
    web.files["/other/x.jpg"] = jpeg(10)
    root = f"{web.url}/photos"
    told = index_(tmp_path / "i", temporary, f"{root}/")
    assert (told["scanned"], told["added"], told["embedded"], told["ignored"]) == (6, 5, 5, 1)
    assert rows(tmp_path / "i").keys() == {*PHOTOS, "with%20space.jpg"}
    told = index_(tmp_path / "i", temporary)
    assert (told["unchanged"], told["embedded"], told["gone"]) == (5, 0, 0)
    assert web.asked["GET", "/photos/b.jpg"] == 1
    web.files["/photos/b.jpg"] = jpeg(40)
    del web.files["/photos/a/one.jpg"]
    told = index_(tmp_path / "i", temporary, "--prune", "--yes")
    assert (told["updated"], told["unchanged"], told["removed"], told["embedded"]) == (1, 3, 1, 1)
    done = run(tmp_path / "i", temporary, "query", f"{root}/b.jpg", "-k", "1", "--include-self", "--json")
    assert json.loads(done.stdout)[0]["hits"][0]["path"] == f"{root}/b.jpg"
    assert web.asked["GET", "/other/x.jpg"] == 0


def test_links_lead_nowhere_else(web: Web, tmp_path: Path, temporary: Path) -> None:
    with serving() as other:
        other.files = {"/photos/x.jpg": jpeg(1)}
        web.files = {"/photos/x.jpg": jpeg(2), "/secret/x.jpg": jpeg(3), "/photos/sub/y.jpg": jpeg(4)}
        links = [
            "x.jpg",
            "sub/",
            f"{other.url}/photos/x.jpg",
            f"//127.0.0.1:{other.server.server_port}/photos/x.jpg",
            "../secret/x.jpg",
            "/secret/x.jpg",
            "%2e%2e/secret/x.jpg",
            "sub/../../secret/x.jpg",
            "?C=N",
            "#top",
            "mailto:x@y",
            "javascript:void(0)",
            "file:///etc/passwd",
            "data:image/png;base64,xx",
            "http://[bad",
            "/photos/",
            "/photos",
            "",
        ]
        web.pages["/photos"] = web.pages["/photos/"] = "".join(f"<a href='{link}'>x</a>" for link in links)
        told = index_(tmp_path / "i", temporary, f"{web.url}/photos")
        assert (told["added"], told["skipped"]) == (2, [])
        assert rows(tmp_path / "i").keys() == {"x.jpg", "sub/y.jpg"}
        assert not other.asked
        assert not [path for _, path in web.asked if path.startswith("/secret")]


def test_single_files_and_shards_need_no_listing(web: Web, tmp_path: Path, temporary: Path) -> None:
    shard = put_tar(tmp_path / "s.tar", {"1.jpg": jpeg(1), "1.cls": b"3", "2.jpg": jpeg(2)})
    web.files = {"/s/train-0001.tar": shard.read_bytes(), "/one.jpg": jpeg(3)}
    told = index_(tmp_path / "i", temporary, f"{web.url}/s/train-0001.tar", f"{web.url}/one.jpg")
    assert (told["added"], told["ignored"]) == (3, 1)
    told = index_(tmp_path / "i", temporary)
    assert (told["unchanged"], told["embedded"]) == (3, 0)
    assert web.asked["GET", "/s/train-0001.tar"] == web.asked["GET", "/one.jpg"] == 1
    done = run(tmp_path / "i", temporary, "info", "--json")
    assert json.loads(done.stdout)["roots"] == [f"{web.url}/one.jpg", f"{web.url}/s/train-0001.tar"]
    done = run(tmp_path / "i", temporary, "index", f"{web.url}/none.jpg")
    assert b"/none.jpg is missing or empty" in done.stderr


def test_a_folder_that_has_its_page_with_a_slash_alone(
    web: Web, tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    web.files = {f"/p/{name}": data for name, data in PHOTOS.items()}
    listing = web.listing
    monkeypatch.setattr(web, "listing", lambda path: listing(path) if path.endswith("/") else None)
    assert index_(tmp_path / "i", temporary, f"{web.url}/p/")["added"] == 4
    assert index_(tmp_path / "i", temporary)["unchanged"] == 4
    done = run(tmp_path / "i", temporary, "index", f"{web.url}/none/")
    assert b"/none is missing or empty" in done.stderr


def test_only_the_beginning_is_taken_of_what_may_be_no_picture(
    web: Web, tmp_path: Path, temporary: Path
) -> None:
    # A server that passes over ranges, and never comes to an end.
    web.files = {
        "/p/film": bytes(100_000),
        "/p/a.jpg": PHOTOS["b.jpg"],
        "/p/short": b"x",
        "/p/photo": jpeg(7),
    }
    web.wrong["/p/film"] = ["never ends"]
    told = index_(tmp_path / "i", temporary, f"{web.url}/p")
    assert (told["added"], told["ignored"], told["skipped"]) == (2, 2, [])
    assert web.asked["GET", "/p/film"] == 1
    assert spools(temporary) == []


@pytest.mark.proof
@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ("stalls", "no byte came for 3 s"),
        ("cuts", "the connection was cut"),
        ("announces more", "the connection was cut"),
        # Which of the two depends on how its bytes arrive.
        ("announces less", "its answer is not what HTTP allows|changed while it was fetched"),
        ("never ends", "changed while it was fetched"),
        ("403", "access is denied (403)"),
        ("404", "it is not there (404)"),
        ("500", "the server answered 500"),
        ("429", "the server answered 429"),
    ],
)
def test_what_goes_wrong_is_skipped_and_tried_again(
    wrong: str, reason: str, web: Web, tmp_path: Path, temporary: Path
) -> None:
    web.files = {f"/p/{name}": data for name, data in PHOTOS.items()}
    web.wrong["/p/b.jpg"] = [wrong]
    told = index_(tmp_path / "i", temporary, f"{web.url}/p", seconds=patience(wrong))
    assert told["added"] == 3
    (skipped,) = told["skipped"]
    assert skipped["path"] == f"{web.url}/p/b.jpg"
    assert skipped["transient"]
    assert any(words in skipped["reason"] for words in reason.split("|"))
    web.wrong.clear()
    told = index_(tmp_path / "i", temporary)
    assert (told["updated"] + told["added"], told["unchanged"], told["skipped"]) == (1, 3, [])


@pytest.mark.proof
@pytest.mark.parametrize("wrong", ["stalls", "cuts", "500"])
def test_what_passes_is_tried_again_at_once(wrong: str, web: Web, tmp_path: Path, temporary: Path) -> None:
    web.files = {f"/p/{name}": data for name, data in PHOTOS.items()}
    web.wrong["/p/b.jpg"] = [wrong, ""]
    told = index_(tmp_path / "i", temporary, f"{web.url}/p", seconds=patience(wrong))
    assert (told["added"], told["skipped"]) == (4, [])
    assert web.asked["GET", "/p/b.jpg"] == 2


@pytest.mark.proof
@pytest.mark.parametrize("wrong", ["500", "stalls", "cuts", "403", "404"])
def test_a_listing_that_fails_in_part_judges_nothing(
    wrong: str, web: Web, tmp_path: Path, temporary: Path
) -> None:
    web.files = {f"/p/{name}": data for name, data in PHOTOS.items()}
    index_(tmp_path / "i", temporary, f"{web.url}/p")
    del web.files["/p/b.jpg"]
    web.wrong["/p/c/"] = [wrong]
    told = index_(tmp_path / "i", temporary, "--prune", "--yes", seconds=patience(wrong))
    assert (told["gone"], told["removed"]) == (0, 0)
    assert "cannot be listed" in told["skipped"][0]["reason"]
    assert rows(tmp_path / "i").keys() == PHOTOS.keys()
    web.wrong.clear()
    told = index_(tmp_path / "i", temporary, "--prune", "--yes")
    assert (told["removed"], told["unchanged"]) == (1, 3)


def test_a_login_page_in_place_of_photos_takes_none_away(web: Web, tmp_path: Path, temporary: Path) -> None:
    web.files = {f"/p/{name}": data for name, data in PHOTOS.items()}
    index_(tmp_path / "i", temporary, f"{web.url}/p")
    web.pages["/p/b.jpg"] = "<!DOCTYPE html><title>Log in</title>"
    web.pages["/p/"] = web.listing("/p") or ""
    del web.files["/p/b.jpg"]
    told = index_(tmp_path / "i", temporary, "--prune", "--yes")
    assert (told["gone"], told["unchanged"]) == (0, 3)
    assert [s["reason"] for s in told["skipped"]] == ["cannot be fetched: the server sends a page instead"]
    assert rows(tmp_path / "i").keys() == PHOTOS.keys()
    with_all = rows(tmp_path / "i")
    assert None not in with_all.values()


@pytest.mark.proof
@pytest.mark.parametrize("wrong", ["stalls", "cuts", "500"])
def test_a_shard_that_does_not_come_loses_nothing(
    wrong: str, web: Web, tmp_path: Path, temporary: Path
) -> None:
    web.files = {"/s.tar": put_tar(tmp_path / "s.tar", PHOTOS).read_bytes()}
    index_(tmp_path / "i", temporary, f"{web.url}/s.tar")
    web.files = {"/s.tar": put_tar(tmp_path / "s.tar", {"n.jpg": jpeg(5)}).read_bytes()}
    web.wrong["/s.tar"] = [wrong]
    done = run(tmp_path / "i", temporary, "index", "--prune", "--yes", seconds=patience(wrong))
    assert done.returncode == 1
    assert b"nothing was forgotten" in done.stderr
    assert rows(tmp_path / "i").keys() == PHOTOS.keys()
    assert spools(temporary) == []


WITHOUT = [("s3fs", "s3://b/x"), ("gcsfs", "gs://b/x"), ("aiohttp", "https://h/x"), ("fsspec", "s3://b")]


@pytest.mark.parametrize(("package", "url"), WITHOUT)
def test_without_the_extra_one_line_says_how_to_get_it(package: str, url: str, tmp_path: Path) -> None:
    code = f"import sys; sys.modules[{package!r}] = None"
    code += f"; sys.argv = ['simsearch', 'index', {url!r}, '-i', sys.argv[1]]"
    code += "; from simsearch.cli import main; main()"
    command = [sys.executable, "-c", code, str(tmp_path / "index")]
    done = subprocess.run(command, capture_output=True, check=False, timeout=300, cwd=tmp_path)
    assert done.returncode == 1
    (line,) = done.stderr.decode().splitlines()
    assert line.endswith("Install it with: pip install 'simsearch[remote]'")
    assert not (tmp_path / "index").exists()
