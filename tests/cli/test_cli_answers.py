"""What `index`, `query` and `verify` write where, and their exit codes; the engine is replaced by doubles."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from simsearch.cli import run
from simsearch.errors import IndexDamaged, NotIndexed, PhotoUnreadable
from simsearch.records import Hit, IndexReport, Problem, QueryResult, Skipped, VerifyReport

# index


REPORT = {
    "index": "/i",
    "model": "resnet50",
    "fallback": None,
    "device": "cpu",
    **{"scanned": 3, "added": 0, "updated": 0, "moved": 0, "unchanged": 0, "gone": 0, "removed": 0},
    "ignored": 1,
    "passed_over": 0,
    "skipped": (Skipped("/p/a.jpg", "truncated", False), Skipped("/p/b.jpg", "not permitted", True)),
    **{"embedded": 0, "seconds": 0.5, "images_per_second": 0.0},
}
INDEX_KEYS = list(REPORT)


@pytest.fixture
def indexing(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Takes the place of the engine: `report` is what a run answers, `asked` what it was asked."""
    double = SimpleNamespace(report=dict(REPORT), asked=[])

    def index_folder(paths: Any, index: Any, config: Any, **callbacks: Any) -> IndexReport:
        double.asked.append((paths, index, config, callbacks))
        return IndexReport(**double.report)

    monkeypatch.setattr("simsearch.engine.indexing.index_folder", index_folder)
    return double


@pytest.mark.parametrize(
    ("changes", "flags", "code"),
    [
        ({}, [], 1),
        ({}, ["--strict"], 1),
        ({"added": 1}, [], 0),
        ({"unchanged": 1}, ["--strict"], 3),
        ({"skipped": ()}, ["--strict"], 0),
    ],
)
def test_exit_codes_of_index(
    indexing: SimpleNamespace,
    changes: dict[str, Any],
    flags: list[str],
    code: int,
    capfd: pytest.CaptureFixture[str],
) -> None:
    indexing.report |= changes
    assert run(["index", "/p", *flags]) == code
    out, err = capfd.readouterr()
    assert out.startswith("/i: ")
    assert out.count("\n") == 1
    assert ("Skipped /p/a.jpg: truncated\n" in err) is bool(indexing.report["skipped"])
    assert ("Error: none of 2 images" in err) is (code == 1)


def test_index_json_is_the_report(indexing: SimpleNamespace, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["index", "/p", "--json", "--quiet"]) == 1
    value = json.loads(capfd.readouterr().out)
    assert list(value) == INDEX_KEYS
    assert value["skipped"][1] == {"path": "/p/b.jpg", "reason": "not permitted", "transient": True}


def test_index_hands_every_flag_on(indexing: SimpleNamespace) -> None:
    flags = "--model m --weights w --pooling gem --device cuda:1 --runtime torch --batch-size 7 --workers 3"
    more = "--exclude *.tmp --exclude a/b --hidden --prune --yes --retry-skipped"
    run(["index", "/p", "/q", "-i", "name", *flags.split(), *more.split()])
    ((paths, index, config, _),) = indexing.asked
    assert (tuple(paths), index) == (("/p", "/q"), "name")
    choice = config.choice
    asked = (choice.model, choice.weights, choice.pooling, choice.device, choice.runtime)
    assert asked == ("m", "w", "gem", "cuda:1", "torch")
    assert (config.batch_size, config.workers) == (7, 3)
    assert (config.exclude, config.hidden) == (("*.tmp", "a/b"), True)
    assert config.prune
    assert config.yes
    assert config.retry_skipped


def test_the_list_of_skipped_files_names_the_index(
    indexing: SimpleNamespace, capfd: pytest.CaptureFixture[str]
) -> None:
    indexing.report |= {"added": 1, "skipped": tuple(Skipped(f"/{n}", "bad", False) for n in range(11))}
    assert run(["index", "/p", "-i", "my photos"]) == 0
    assert "… and 1 more: see simsearch info --skipped -i 'my photos'\n" in capfd.readouterr().err


def test_progress_is_for_terminals_only(
    indexing: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("sys.stderr", (tmp_path / "err").open("w"))
    run(["index", "/p"])
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    run(["index", "/p"])
    run(["index", "/p", "-q"])
    assert ["progress" in callbacks for *_, callbacks in indexing.asked] == [False, True, False]


def test_the_progress_line_on_a_real_terminal() -> None:
    code = (
        "import sys\nfrom simsearch.records import Progress\n"
        "from simsearch.report.progress import IndexProgress\n"
        "with IndexProgress(sys.stderr) as shown:\n"
        "    shown.update(Progress(5, 3, 1, 3, None, .1)); shown.note('a [red] \\x1b note')\n"
        "    shown.update(Progress(50, 30, 2, 40, 400, 1.)); shown._display.refresh()\n"
    )
    own, child = pty.openpty()
    subprocess.run(
        [sys.executable, "-c", code], stderr=child, check=True, env={**os.environ, "COLUMNS": "120"}
    )
    os.close(child)
    screen = os.read(own, 1 << 16).decode()
    os.close(own)
    assert "40/400 photos" in screen
    assert "2 skipped" in screen
    assert "a [red] \\x1b note" in screen


# query


class Searcher:
    """Takes the place of the engine's: knows good.jpg and id 7; standard input is what it is given."""

    def __init__(self, index: str | None = None, **_: Any) -> None:
        self.index = SimpleNamespace(
            path=Path("/i"), spec=SimpleNamespace(backbone="resnet50"), paths_of=lambda _: ("/p/7.jpg",)
        )
        self.options: Any = None

    def __enter__(self) -> Searcher:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def query_path(self, path: str, options: Any) -> QueryResult:
        if path == "damaged":
            raise IndexDamaged("a vector is not what was written")
        if not path.startswith("good"):
            raise PhotoUnreadable(f"{path} is no picture.")
        return answer(f"/q/{path}", options)

    def query_bytes(self, data: bytes, label: str, options: Any) -> QueryResult:
        return answer(label, options)

    def query_id(self, vector_id: int, options: Any) -> QueryResult:
        if vector_id != 7:
            raise NotIndexed(f"No photo has the id {vector_id}.")
        return answer("7", options)

    def thumbnail(self, path: str | bytes) -> bytes | None:
        return None if path == "/p/b\udcff.jpg" else b"\xff\xd8" + os.fsencode(path)


def answer(query: str, options: Any) -> QueryResult:
    hits = (Hit("/p/a.jpg", 0.9, 1, 4, 3, ("/p/copy.jpg",)), Hit("/p/b\udcff.jpg", 0.8, 2, 4, 3))
    return QueryResult(query, hits[: options.k])


@pytest.fixture
def searching(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simsearch.engine.search.Searcher", Searcher)


@pytest.mark.usefixtures("searching")
def test_one_bad_query_costs_its_own_line_only(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["query", "good1", "bad", "good2", "--id", "7", "--id", "8", "--json"]) == 1
    out, err = capfd.readouterr()
    assert [entry["query"] for entry in json.loads(out)] == ["/q/good1", "/q/good2", "7"]
    assert err == "Error: bad is no picture.\nError: No photo has the id 8.\n"


@pytest.mark.usefixtures("searching")
@pytest.mark.parametrize("form", ["json", "table"])
def test_a_damaged_index_ends_the_command(form: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["query", "damaged", "good", "--format", form]) == 1
    assert capfd.readouterr() == ("", "Error: a vector is not what was written\n")


@pytest.mark.usefixtures("searching")
def test_paths_are_raw_bytes(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert run(["query", "good", "--format", "paths"]) == 0
    assert capfdbinary.readouterr().out == b"/p/a.jpg\n/p/b\xff.jpg\n"
    assert run(["query", "good", "--format", "paths", "-0"]) == 0
    assert capfdbinary.readouterr().out == b"/p/a.jpg\0/p/b\xff.jpg\0"


@pytest.mark.usefixtures("searching")
def test_the_other_formats(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["query", "good", "good2", "--format", "jsonl", "-k", "1"]) == 0
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [line["query"] for line in lines] == ["/q/good", "/q/good2"]
    hit = {"path": "/p/a.jpg", "score": 0.9, "id": 1, "width": 4, "height": 3}
    assert lines[0]["hits"] == [
        {**hit, "copies": ["/p/copy.jpg"], "one_in": None, "part": None, "points": None}
    ]
    assert run(["query", "good", "--format", "csv", "-k", "1"]) == 0
    assert capfd.readouterr().out.splitlines() == [
        "query,rank,path,score,id,width,height,copies,one_in,part,points",
        '/q/good,1,/p/a.jpg,0.9,1,4,3,"[""/p/copy.jpg""]",,,',
    ]
    assert run(["query", "good"]) == 0
    assert "/p/b\\xff.jpg" in capfd.readouterr().out


@pytest.mark.usefixtures("searching")
def test_a_picture_on_standard_input(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").write_bytes(b"jpeg")
    with (tmp_path / "in").open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert run(["query", "-", "--json", "--html", str(tmp_path / "page.html")]) == 0
        assert json.loads(capfd.readouterr().out)[0]["query"] == "-"
        assert run(["query", "-", "--json"]) == 1
    out, err = capfd.readouterr()
    assert out == "[]\n"
    assert "nothing on standard input" in err


@pytest.mark.usefixtures("searching")
def test_the_page_is_written_beside_the_answer(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "hits.html"
    assert run(["query", "good", "--id", "7", "--format", "paths", "--html", str(page)]) == 0
    out, err = capfd.readouterr()
    assert out.count("\n") == 4
    assert err == f"Wrote {page}\n"
    html = page.read_text(encoding="utf-8")
    assert html.count("data:image/jpeg") == 4
    assert html.count("no preview") == 2
    assert run(["query", "good", "--html", str(tmp_path / "none" / "hits.html")]) == 1
    assert "cannot be written" in capfd.readouterr().err


@pytest.mark.usefixtures("searching")
def test_open_shows_the_page(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda address: opened.append(address) or True)
    assert run(["query", "good", "--open"]) == 0
    (address,) = opened
    page = Path(address.removeprefix("file://"))
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    page.unlink()
    page.parent.rmdir()


# Maintenance


def test_verify_exits_with_3_when_it_found_something(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    problem = Problem("segments/000001.seg", "a row differs", "index again")
    monkeypatch.setattr(
        "simsearch.engine.maintenance.verify.verify", lambda _, **__: VerifyReport("/i", 3, (problem,))
    )
    assert run(["verify"]) == 3
    assert "a row differs" in capfd.readouterr().out
    assert run(["verify", "--json"]) == 3
    assert json.loads(capfd.readouterr().out)["ok"] is False
    monkeypatch.setattr(
        "simsearch.engine.maintenance.verify.verify", lambda _, **__: VerifyReport("/i", 3, ())
    )
    assert run(["verify"]) == 0


def test_models_are_listed(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "--json"]) == 0
    models = json.loads(capfd.readouterr().out)
    assert [model["name"] for model in models][:3] == ["resnet50", "efficientnet_lite0", "efficientnet_lite2"]
    assert all(model["at_hand"] for model in models[1:3])
    assert models[0]["dim"] == 2048
    assert run(["models"]) == 0
    assert "resnet50" in capfd.readouterr().out
