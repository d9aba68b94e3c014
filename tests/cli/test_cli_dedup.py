"""What `dedup`, `leaks`, `compare` and `verdicts` write where, and their exit codes."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import age, picture, simsearch

from simsearch import index_folder
from simsearch.cli import run
from simsearch.dedup.calibration.curve import Calibration, Point
from simsearch.dedup.records import (
    Comparison,
    DuplicateGroup,
    DuplicatePhoto,
    DuplicateReport,
    Leak,
    LeakReport,
)
from simsearch.engine.indexing import IndexingConfig
from simsearch.models.choice import ModelChoice
from simsearch.records import Skipped

LITE0 = "efficientnet_lite0"


def photo(path: str, level: str = "near", score: float = 0.99) -> DuplicatePhoto:
    return DuplicatePhoto(path, score, 40, 30, 2000, level, "ab" * 32)


GROUPS = (
    DuplicateGroup("near", 0.99, "/a.jpg", "kept: x", (photo("/a.jpg", "bytes", 1.0), photo("/b.jpg"))),
    DuplicateGroup(
        "probably",
        0.6,
        "/c.jpg",
        "kept: y",
        (photo("/c.jpg", "bytes", 1.0), photo("/d.jpg", "probably", 0.6)),
    ),
)


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of five files: a picture, its exact copy, its small JPEG and two others."""
    folder = tmp_path_factory.mktemp("library")
    photos = folder / "photos"
    for name in ("a", "b"):
        (photos / name).mkdir(parents=True)
    picture(1, (640, 480)).save(photos / "a" / "one.png")
    shutil.copy(photos / "a" / "one.png", photos / "b" / "same.png")
    picture(1, (640, 480)).resize((320, 240)).save(photos / "b" / "small.jpg")
    picture(2, (640, 480)).save(photos / "a" / "two.png")
    picture(3, (640, 480)).save(photos / "a" / "three.png")
    age(photos)
    index_folder([photos], folder / "index", IndexingConfig(choice=ModelChoice(LITE0)))
    return folder


@pytest.fixture
def finding(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Takes the place of the search: `report` is what it answers, `options` what it was asked."""
    report = DuplicateReport("/i", 0.9, 100, 50, GROUPS, (Skipped("/bad.jpg", "truncated", False),), 1)
    double = SimpleNamespace(report=report, options=None)

    def find_duplicates(index: Any, options: Any, **callbacks: Any) -> DuplicateReport:
        double.options = options
        return double.report

    monkeypatch.setattr("simsearch.dedup.find.find_duplicates", find_duplicates)
    return double


# dedup: finding


@pytest.mark.parametrize(
    ("form", "out"),
    [("paths", b"/b.jpg\n"), ("table", b"Group 1: copies, score from 0.9900 on; kept: x\n")],
)
def test_the_answer_is_on_stdout_and_the_rest_is_not(
    form: str, out: bytes, library: Path, finding: SimpleNamespace, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert run(["dedup", "-i", str(library / "index"), "--format", form]) == 0
    answer, told = capfdbinary.readouterr()
    assert answer.startswith(out)
    assert told.startswith(b"Skipped /bad.jpg: truncated\n")
    assert (b"Left out 1 that may be no copies" in told) is (form == "paths")


def test_nul_after_each_path(
    library: Path, finding: SimpleNamespace, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert run(["dedup", "-i", str(library / "index"), "--format", "paths", "-0"]) == 0
    assert capfdbinary.readouterr().out == b"/b.jpg\0"


def test_json_is_the_report(
    library: Path, finding: SimpleNamespace, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["dedup", "-i", str(library / "index"), "--json"]) == 0
    value = json.loads(capfd.readouterr().out)
    assert (value["threshold"], value["silenced"], len(value["groups"])) == (0.9, 1, 2)


def test_the_flags_reach_the_search(library: Path, finding: SimpleNamespace) -> None:
    index, photos = str(library / "index"), library / "photos"
    assert run(["dedup", "-i", index]) == 0
    options = finding.options
    assert (options.reach, options.threshold, options.precision, options.workers) == (
        "near",
        None,
        0.99,
        None,
    )
    assert (options.scope.within, options.scope.folders) == ((), "any")
    flags = ["--similar", "--threshold", "auto", "--precision", ".95", "--workers", "2", "--same-folder"]
    flags += ["--within", f"{photos}/a", "--within", f"{photos}/b", "--reference", f"{photos}/a"]
    flags += ["--prefer", f"{photos}/b", "--keep", "oldest", "--keep", "bytes", "--keep-path", "*.png"]
    assert run(["dedup", "-i", index, *flags]) == 0
    options = finding.options
    assert (options.reach, options.threshold, options.precision, options.workers) == (
        "similar",
        "auto",
        0.95,
        2,
    )
    assert options.scope.within == (f"{photos}/a", f"{photos}/b")
    assert options.scope.folders == "same"
    assert options.scope.reference == options.policy.reference == (f"{photos}/a",)
    policy = options.policy
    assert (policy.policies, policy.prefer) == (("oldest", "bytes"), (f"{photos}/b",))
    assert policy.pattern == ("*.png",)


def test_a_folder_that_is_not_there_is_an_error(library: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["dedup", "-i", str(library / "index"), "--reference", "/none/such"]) == 1
    assert "Error: There is no /none/such" in capfd.readouterr().err


def test_the_page_is_written(library: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    command = ["dedup", "-i", str(library / "index"), "--exact", "--html"]
    page = tmp_path / "copies.html"
    assert run([*command, str(page)]) == 0
    assert capfd.readouterr().err == f"Wrote {page}\n"
    html = page.read_text(encoding="utf-8")
    assert html.count("data:image/jpeg;base64,") == 2
    assert "Group 1: same bytes" in html
    assert run([*command, "/none/x"]) == 1
    assert "The page /none/x cannot be written: there is no folder" in capfd.readouterr().err


def test_copies_are_found(library: Path, capfd: pytest.CaptureFixture[str]) -> None:
    command = ["dedup", "-i", str(library / "index")]
    assert run([*command, "--exact", "--format", "paths", "--prefer", str(library / "photos" / "b")]) == 0
    assert capfd.readouterr() == (f"{library}/photos/a/one.png\n", "")
    done = simsearch(*command, "--json")
    assert done.stderr == b""
    [group] = json.loads(done.stdout)["groups"]
    assert [Path(member["path"]).name for member in group["photos"]] == ["one.png", "same.png", "small.jpg"]
    assert [member["level"] for member in group["photos"]][1:] == ["bytes", "near"]


# dedup: options that contradict


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--exact", "--threshold", "auto"], "--exact asks for no score"),
        (["--exact", "--threshold", ".9"], "--exact asks for no score"),
        (["--exact", "--near"], "--exact and --near contradict each other."),
        (["--similar", "--exact"], "--exact and --similar contradict each other."),
        (["--across-folders", "--same-folder"], "--across-folders and --same-folder contradict each other."),
        (["--label", "5", "--similar"], "--similar does not go with --label"),
        (["--label", "5", "--exact"], "--exact does not go with --label"),
        (["--precision", ".9"], "--precision goes with --threshold auto."),
    ],
)
def test_what_contradicts_is_refused(
    flags: list[str],
    told: str,
    library: Path,
    finding: SimpleNamespace,
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert run(["dedup", "-i", str(library / "index"), *flags]) == 2
    assert told in capfd.readouterr().err
    assert finding.options is None


@pytest.mark.parametrize("flag", ["--similar", "--same-folder"])
def test_the_flag_that_was_given_beside_a_plan_is_named(flag: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["dedup", "--apply", "plan.json", flag]) == 2
    assert f"Error: {flag} is for making a plan" in capfd.readouterr().err


def test_the_same_flag_twice_contradicts_nothing(library: Path, finding: SimpleNamespace) -> None:
    assert run(["dedup", "-i", str(library / "index"), "--exact", "--exact"]) == 0
    assert finding.options.reach == "exact"


def test_folders_narrow_what_is_asked_about(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(
        "simsearch.dedup.find.pairs_to_label", lambda index, options, **k: asked.append(options) or ()
    )
    assert run(["dedup", "-i", str(library / "index"), "--label", "5", "--across-folders"]) == 0
    assert asked[0].scope.folders == "across"


# Pages


@pytest.mark.parametrize(
    ("before", "replaced"),
    [
        (b"\x89PNG\r\n", False),
        (b"my notes\n", False),
        (b"", True),
        (b"\xef\xbb\xbf\n<!DOCTYPE html>\n<p>", True),
        (b"<HTML>", True),
    ],
)
@pytest.mark.parametrize("command", ["dedup", "leaks", "query"])
def test_a_page_takes_the_place_of_a_page_alone(
    command: str,
    before: bytes,
    replaced: bool,
    library: Path,
    finding: SimpleNamespace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    report = LeakReport("/train", "/test", 0.9, 10, 5, (), ())
    monkeypatch.setattr("simsearch.dedup.leaks.find_leaks", lambda *a, **k: report)
    given = {"leaks": ["/train", "/test"], "query": [str(library / "photos" / "a" / "one.png")]}
    page = tmp_path / "page"
    page.write_bytes(before)
    done = run([command, *given.get(command, []), "-i", str(library / "index"), "--html", str(page)])
    out, err = capfd.readouterr()
    if replaced:
        assert done == 0
        assert page.read_bytes().startswith(b"<!doctype html>")
    else:
        assert (done, out) == (1, "")
        assert f"{page} is there already and is no HTML page, so it is not replaced." in err
        assert page.read_bytes() == before


@pytest.mark.parametrize(
    ("command", "what"),
    [
        (["dedup", "--html"], "page"),
        (["dedup", "--action", "set-aside", "--plan"], "plan"),
        (["leaks", "/train", "/test", "--html"], "page"),
    ],
)
def test_a_folder_that_is_not_there_is_told_before_anything_is_looked_for(
    command: list[str],
    what: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    for name in ("find.find_duplicates", "leaks.find_leaks"):
        monkeypatch.setattr(f"simsearch.dedup.{name}", lambda *a, **k: pytest.fail("it was looked for"))
    assert run([*command, str(tmp_path / "no" / "file")]) == 1
    told = f"Error: The {what} {tmp_path}/no/file cannot be written: there is no folder {tmp_path}/no. "
    assert capfd.readouterr().err.startswith(told)


# leaks


@pytest.mark.parametrize(
    ("flags", "asked"),
    [
        ([], ("near", None, 0.99)),
        (["--exact"], ("exact", None, 0.99)),
        (["--threshold", "0.8"], ("near", 0.8, 0.99)),
        (["--threshold", "auto", "--precision", "0.9"], ("near", "auto", 0.9)),
    ],
)
def test_the_flags_reach_the_search_for_leaks(
    flags: list[str], asked: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    def find_leaks(train: str, test: str, options: Any, **callbacks: Any) -> LeakReport:
        seen.append((train, test, callbacks["index"], options))
        return LeakReport(train, test, 0.9, 10, 5, (), ())

    monkeypatch.setattr("simsearch.dedup.leaks.find_leaks", find_leaks)
    assert run(["leaks", "one", "two", "-i", "mine", *flags]) == 0
    [(*given, options)] = seen
    assert given == ["one", "two", "mine"]
    assert (options.reach, options.threshold, options.precision) == asked


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--exact", "--threshold", "auto"], "--exact asks for no score"),
        (["--precision", ".9"], "--precision goes with --threshold auto."),
    ],
)
def test_what_contradicts_is_refused_of_leaks(
    flags: list[str], told: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["leaks", "/train", "/test", *flags]) == 2
    assert told in capfd.readouterr().err


@pytest.mark.parametrize(("flags", "code"), [([], 0), (["--strict"], 3)])
def test_pictures_that_could_not_be_read_count_where_that_is_asked_for(
    flags: list[str], code: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    report = LeakReport("/train", "/test", 0.9, 10, 5, (), (Skipped("/bad.jpg", "truncated", False),))
    monkeypatch.setattr("simsearch.dedup.leaks.find_leaks", lambda *a, **k: report)
    assert run(["leaks", "/train", "/test", *flags]) == code
    assert capfd.readouterr().err == "Skipped /bad.jpg: truncated\n"


def test_the_page_of_leaks_is_written_and_opened(
    library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    photos, page = library / "photos", tmp_path / "leaks.html"
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda address: opened.append(address) or True)
    command = ["leaks", f"{photos}/a", f"{photos}/b", "-i", str(library / "index"), "--exact"]
    assert run([*command, "--html", str(page), "--open"]) == 3
    out, err = capfd.readouterr()
    assert out.splitlines()[-1].startswith("1 test file found among 3 training photos")
    assert err.endswith(f"Wrote {page}\n")
    assert opened == [page.as_uri()]
    assert page.read_text(encoding="utf-8").count("data:image/jpeg;base64,") == 2


def test_how_a_threshold_for_leaks_came_about_is_told(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    calibration = Calibration(0.71234, 0.5, 1.0, 0.9, (Point(0.5, 0.9, 1.0),), 12, 264, 40, 0)
    report = LeakReport("/train", "/test", 0.71234, 10, 5, (), (), calibration)
    monkeypatch.setattr("simsearch.dedup.leaks.find_leaks", lambda *a, **k: report)
    assert run(["leaks", "/train", "/test", "--threshold", "auto"]) == 0
    out, err = capfd.readouterr()
    assert out == "0 test files found among 10 training photos; 5 test photos looked up\n"
    assert err.splitlines()[-1].startswith("copies from 0.7124 on: precision 1.0000, recall 0.9000 on 264")
    assert run(["leaks", "/train", "/test", "--threshold", "auto", "-q"]) == 0
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("leaks", "flags", "code"),
    [
        ((), [], 0),
        ((Leak("/t/1", "/a", "near", 0.99),), [], 3),
        ((Leak("/t/1", "/a", "near", 0.99), Leak("/t/2", "/b", "probably", 0.5)), ["--max", "1"], 0),
        ((Leak("/t/1", "/a", "near", 0.99), Leak("/t/2", "/b", "bytes", 1.0)), ["--max", "1"], 3),
        ((Leak("/t/1", "/a", "probably", 0.5),), [], 0),
    ],
)
@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_exit_codes_of_leaks(
    leaks: tuple[Leak, ...],
    flags: list[str],
    code: int,
    form: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    report = LeakReport("/train", "/test", 0.9, 10, 5, leaks, ())
    monkeypatch.setattr("simsearch.dedup.leaks.find_leaks", lambda *a, **k: report)
    assert run(["leaks", "/train", "/test", *flags, "--format", form]) == code
    out, err = capfd.readouterr()
    assert err == ""
    if form == "json":
        assert len(json.loads(out)["leaks"]) == len(leaks)
    elif form == "csv":
        assert out.count("\n") == 1 + len(leaks)
    else:
        found = len({leak.test for leak in leaks if leak.level != "probably"})
        assert out.splitlines()[-1].startswith(f"{found} test file")


# compare


@pytest.mark.parametrize(
    ("level", "code"), [("bytes", 3), ("pixels", 3), ("near", 3), ("probably", 0), ("similar", 0)]
)
def test_exit_codes_of_compare(
    level: str, code: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    comparison = Comparison("/a", "/b", level, 0.5, 0.9, False, 180)
    monkeypatch.setattr("simsearch.dedup.compare.compare", lambda *a: comparison)
    assert run(["compare", "/a", "/b"]) == code
    out, err = capfd.readouterr()
    assert err == ""
    assert out.endswith("/b (has to be turned by 180° clockwise)\n")
    assert run(["compare", "/a", "/b", "--json"]) == code
    assert json.loads(capfd.readouterr().out)["turned"] == 180


def test_compare_uses_no_index(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["compare", "/a", "/b", "-i", "mine"]) == 2
    assert "uses no index: leave -i out" in capfd.readouterr().err


# verdicts


@pytest.fixture
def said(
    library: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Runs a command on an index of its own: exit code, answer and notes."""
    index = tmp_path / "index"
    shutil.copytree(library / "index", index)

    def ask(*arguments: object) -> tuple[int, str, str]:
        code = run([*map(str, arguments), "-i", str(index)])
        return code, *capfd.readouterr()

    return ask


def test_what_is_said_is_not_asked_again(library: Path, said: Callable[..., tuple[int, str, str]]) -> None:
    pair = (library / "photos" / "a" / "one.png", library / "photos" / "b" / "same.png")

    def groups() -> int:
        return len(json.loads(said("dedup", "--exact", "--json")[1])["groups"])

    assert groups() == 1
    assert said("verdicts", "list") == (0, "", "There is no verdict yet.\n")
    assert said("verdicts", "keep-all", *pair) == (0, "2 files all stay.\n", "")
    assert groups() == 0
    [verdict] = json.loads(said("verdicts", "list", "--json")[1])
    assert verdict["kind"] == "keep-all"
    [content] = verdict["contents"]
    assert (content["files"], content["paths"]) == (2, [str(path) for path in pair])
    _, table, _ = said("verdicts", "list")
    assert "all stay" in table
    assert str(pair[1]) in table
    assert said("verdicts", "forget", pair[0]) == (0, "1 verdict or label taken back.\n", "")
    assert groups() == 1


def test_labels_are_listed_and_taken_back(library: Path, said: Callable[..., tuple[int, str, str]]) -> None:
    photos = library / "photos"
    one, two, three = (photos / "a" / f"{name}.png" for name in ("one", "two", "three"))
    assert said("verdicts", "label", one, two, "different")[0] == 0
    assert said("verdicts", "label", two, three, "copies")[0] == 0
    rows = json.loads(said("verdicts", "list", "--json")[1])
    told = [
        (row["kind"], row["same"], {path for content in row["contents"] for path in content["paths"]})
        for row in rows
    ]
    same = str(photos / "b" / "same.png")
    assert told == [("label", False, {str(one), same, str(two)}), ("label", True, {str(two), str(three)})]
    table = said("verdicts", "list")[1]
    assert "label: different" in table
    assert "label: copies" in table
    assert said("verdicts", "forget", one) == (0, "1 verdict or label taken back.\n", "")
    assert [row["same"] for row in json.loads(said("verdicts", "list", "--json")[1])] == [True]
    assert said("verdicts", "forget", one) == (0, "0 verdicts or labels taken back.\n", "")


def test_files_of_one_content_are_marked_in_a_verdict_on_others(
    library: Path, said: Callable[..., tuple[int, str, str]]
) -> None:
    photos = library / "photos"
    one, same, two = photos / "a" / "one.png", photos / "b" / "same.png", photos / "a" / "two.png"
    assert said("verdicts", "different", one, two)[0] == 0
    lines = said("verdicts", "list")[1].splitlines()[1:]
    marked = {line.split()[-1]: "same bytes" in line for line in lines}
    assert marked == {str(one): False, str(same): True, str(two): False}


def test_what_cannot_be_said(library: Path, said: Callable[..., tuple[int, str, str]]) -> None:
    photos = library / "photos"
    code, out, err = said("verdicts", "different", photos / "a/one.png", photos / "b/same.png")
    assert (code, out) == (1, "")
    assert "cannot be called different" in err
    answer = said("verdicts", "different", photos / "a/one.png", photos / "a/two.png")
    assert answer == (0, "2 files are not copies of each other.\n", "")
    # One file named twice is one file.
    code, _, err = said("verdicts", "keep-all", photos / "a/one.png", f"{photos}/a/../a/one.png")
    assert (code, err.splitlines()[-1]) == (
        2,
        "Error: Give two files or more; links to one file are that file.",
    )
    code, _, err = said("verdicts", "keep-all", photos / "a", photos / "a/one.png")
    assert (code, err) == (1, f"Error: {photos}/a is not a regular file. Name a file that is there.\n")
    code, _, err = said("verdicts", "keep-all", photos / "none", photos / "a/one.png")
    assert (code, err) == (
        1,
        f"Error: {photos}/none cannot be read: No such file or directory. Name a file that is there.\n",
    )


def test_links_to_one_file_are_no_second_file_of_a_verdict(
    library: Path, tmp_path: Path, said: Callable[..., tuple[int, str, str]]
) -> None:
    one, same = library / "photos" / "a" / "one.png", library / "photos" / "b" / "same.png"
    (tmp_path / "link.png").symlink_to(one)
    shutil.copy(one, tmp_path / "one.png")
    (tmp_path / "hard.png").hardlink_to(tmp_path / "one.png")
    assert said("verdicts", "keep-all", one, tmp_path / "link.png")[0] == 2
    assert said("verdicts", "keep-all", tmp_path / "one.png", tmp_path / "hard.png")[0] == 2
    told = said("verdicts", "keep-all", one, tmp_path / "link.png", same)
    assert told == (0, "2 files all stay.\n", "")
    [verdict] = json.loads(said("verdicts", "list", "--json")[1])
    assert [content["files"] for content in verdict["contents"]] == [2]


def test_a_verdict_may_be_on_what_lies_in_an_archive(
    library: Path, tmp_path: Path, said: Callable[..., tuple[int, str, str]]
) -> None:
    photos = library / "photos" / "a"
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        archive.write(photos / "two.png", "two.png")
    assert said("verdicts", "different", photos / "one.png", tmp_path / "p.zip" / "two.png")[0] == 0
    [verdict] = json.loads(said("verdicts", "list", "--json")[1])
    digests = {hashlib.sha256((photos / name).read_bytes()).hexdigest() for name in ("one.png", "two.png")}
    assert {content["sha256"] for content in verdict["contents"]} == digests


def test_a_folder_that_is_not_there_now_is_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for number, name in enumerate(("here", "away")):
        (tmp_path / name).mkdir()
        picture(number).save(tmp_path / name / "a.png")
    age(tmp_path)
    index = tmp_path / "index"
    folders = [tmp_path / "here", tmp_path / "away"]
    index_folder(folders, index, IndexingConfig(choice=ModelChoice(LITE0)))
    assert run(["dedup", "--exact", "-i", str(index)]) == 0
    assert capfd.readouterr().err == ""
    (tmp_path / "away").rename(tmp_path / "elsewhere")
    assert run(["dedup", "--exact", "-i", str(index)]) == 0
    out, err = capfd.readouterr()
    assert "1 photo, 0 pairs" in out
    assert err.startswith(f"{tmp_path / 'away'}: missing or empty, so nothing is said of its photos.")


def test_a_folder_of_the_scope_that_is_not_indexed_is_told(
    library: Path, tmp_path: Path, said: Callable[..., tuple[int, str, str]]
) -> None:
    photos = library / "photos"
    code, out, err = said("dedup", "--exact", "--json", "--reference", tmp_path, "--within", photos / "b")
    assert (code, json.loads(out)["without"]) == (0, [str(tmp_path.resolve())])
    assert f"The index has no photo below {tmp_path.resolve()}, which had no part in this. " in err
    assert said("dedup", "--exact", "--json", "--reference", photos / "a")[2] == ""


# dedup: acts


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """An index of one picture and its copy, and a search that finds them and a doubtful third."""
    photos = tmp_path / "photos"
    photos.mkdir()
    picture(1).save(photos / "one.png")
    shutil.copy(photos / "one.png", photos / "two.png")
    picture(2).save(photos / "three.png")
    (photos / "two.xmp").write_text(
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="4"/></rdf:RDF></x:xmpmeta>'
    )
    age(photos)
    index = tmp_path / "index"
    index_folder([photos], index, IndexingConfig(choice=ModelChoice(LITE0)))
    size = (photos / "one.png").stat().st_size
    sha = hashlib.sha256((photos / "one.png").read_bytes()).hexdigest()
    other = hashlib.sha256((photos / "three.png").read_bytes()).hexdigest()
    members = (
        DuplicatePhoto(str(photos / "one.png"), 1.0, 96, 72, size, "bytes", sha),
        DuplicatePhoto(str(photos / "two.png"), 1.0, 96, 72, size, "bytes", sha),
        DuplicatePhoto(str(photos / "three.png"), 0.6, 96, 72, 1000, "probably", other),
    )
    group = DuplicateGroup("probably", 0.6, members[0].path, "kept: the shortest path", members)
    report = DuplicateReport(str(index), 0.9, 3, 1, (group,), (), 0)
    monkeypatch.setattr("simsearch.dedup.find.find_duplicates", lambda *a, **k: report)
    return SimpleNamespace(photos=photos, index=index)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_plan_apply_undo(own: SimpleNamespace, capfd: pytest.CaptureFixture[str]) -> None:
    index = ["-i", str(own.index)]
    before = names(own.photos)
    assert run(["undo", *index]) == 0
    assert capfd.readouterr().err.startswith("There is no run yet.")

    assert run(["dedup", "--action", "set-aside", "--merge-metadata", *index]) == 0
    out, err = capfd.readouterr()
    assert "rating 4, from two.png" in out
    assert f"{own.photos}/two.png -> {own.photos}/.simsearch-trash/" in out
    assert re.search(rf"^leave +{own.photos}/three\.png: ", out, re.MULTILINE)
    assert names(own.photos) == before
    [told] = re.findall(
        r"^Nothing was touched\. Do it with: simsearch (dedup --apply .*)$", err, re.MULTILINE
    )
    run_name = told.split()[2]

    # Nobody is at a terminal here, and nobody said yes.
    unasked = subprocess.run(
        [sys.executable, "-m", "simsearch", *told.split()],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    assert unasked.returncode == 2
    assert b"add --yes" in unasked.stderr
    assert names(own.photos) == before

    assert run([*told.split(), "--yes"]) == 0
    out, err = capfd.readouterr()
    assert out.startswith(f"{run_name}: 1 picture and 1 file beside them set aside, ")
    assert f"Take it back with: simsearch undo {run_name} -i {own.index}\n" in err
    assert names(own.photos) == [".simsearch-trash", "one.png", "one.xmp", "three.png"]
    assert 'xmp:Rating="4"' in (own.photos / "one.xmp").read_text(encoding="utf-8")

    assert run(["undo", *index, "--json"]) == 0
    [listed] = json.loads(capfd.readouterr().out)
    assert (listed["run"], listed["state"], listed["files"]) == (run_name, "applied", 1)
    assert run(["undo", run_name, *index]) == 0
    assert capfd.readouterr().out.startswith(f"{run_name}: 1 picture and 1 file beside them put back, ")
    assert [name for name in names(own.photos) if name != ".simsearch-trash"] == before


@pytest.mark.parametrize(("reply", "code"), [(b"n\n", 1), (b"y\n", 0)])
def test_a_person_at_a_terminal_is_asked(
    reply: bytes, code: int, own: SimpleNamespace, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    plan = tmp_path / "plan file.json"
    assert run(["dedup", "--action", "hardlink", "--plan", str(plan), "-i", str(own.index), "--json"]) == 0
    out, err = capfd.readouterr()
    assert json.loads(out) == json.loads(plan.read_bytes())
    assert f"simsearch dedup --apply '{plan}' -i {own.index}\n" in err
    terminal, inside = pty.openpty()
    os.write(terminal, reply)
    command = [sys.executable, "-m", "simsearch", "dedup", "--apply", str(plan)]
    done = subprocess.run(command, stdin=inside, capture_output=True, check=False)
    os.close(inside)
    os.close(terminal)
    assert done.returncode == code, done.stderr
    assert b"Put hard links in place of 1 copy? [y/N]: " in done.stderr
    assert (b"Nothing was touched." in done.stderr) is (code == 1)
    linked = (own.photos / "one.png").samefile(own.photos / "two.png")
    assert linked is (code == 0)


@pytest.mark.parametrize("before", [b"\x89PNG\r\n", b"{}", b""])
def test_a_plan_takes_the_place_of_a_plan_alone(
    before: bytes, own: SimpleNamespace, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    command = ["dedup", "--action", "set-aside", "-i", str(own.index), "--plan"]
    other = tmp_path / "other.png"
    other.write_bytes(before)
    assert run([*command, str(other)]) == 1
    assert f"{other} is there already and is no plan, so it is not replaced." in capfd.readouterr().err
    assert other.read_bytes() == before
    pipe, plan = tmp_path / "pipe", tmp_path / "plan.json"
    os.mkfifo(pipe)
    assert run([*command, str(pipe)]) == 1
    assert run([*command, str(plan)]) == 0
    first = json.loads(plan.read_bytes())["run"]
    assert run([*command, str(plan)]) == 0
    assert json.loads(plan.read_bytes())["run"] != first


def test_a_plan_that_does_nothing_is_not_written(
    own: SimpleNamespace, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = DuplicateReport(str(own.index), 0.9, 3, 1, (), (), 0)
    monkeypatch.setattr("simsearch.dedup.find.find_duplicates", lambda *a, **k: nothing)
    plan = tmp_path / "plan.json"
    command = ["dedup", "--action", "set-aside", "-i", str(own.index), "--plan", str(plan)]
    assert run(command) == 0
    out, err = capfd.readouterr()
    assert out == "Nothing to set aside\n"
    assert err == f"There is nothing to do, and {plan} was not written.\n"
    assert not plan.exists()


def test_what_to_type_to_take_it_back_names_the_index_that_was_used(
    own: SimpleNamespace, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    plan = tmp_path / "plan.json"
    assert run(["dedup", "--action", "set-aside", "-i", str(own.index), "--plan", str(plan)]) == 0
    capfd.readouterr()
    assert run(["dedup", "--apply", str(plan), "--yes"]) == 0
    [told] = re.findall(r"^Take it back with: simsearch (.*)$", capfd.readouterr().err, re.MULTILINE)
    assert told.endswith(f" -i {own.index}")
    assert run(told.split()) == 0
    assert (own.photos / "two.png").exists()


def test_a_plan_that_is_none(tmp_path: Path, own: SimpleNamespace, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "plan.json").write_text("{}")
    index = ["-i", str(own.index)]
    assert run(["dedup", "--apply", str(tmp_path / "plan.json"), *index]) == 1
    assert "is no plan" in capfd.readouterr().err
    assert run(["dedup", "--apply", "20260101-000000-abcdef", *index]) == 1
    told = f"has no run 20260101-000000-abcdef. See them with: simsearch undo -i {own.index}\n"
    assert capfd.readouterr().err.endswith(told)
    assert run(["undo", "20260101-000000-abcdef", *index]) == 1
    assert "has no run 20260101-000000-abcdef" in capfd.readouterr().err


def test_a_run_is_taken_back_from_its_folder_alone(
    own: SimpleNamespace, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(["dedup", "--action", "set-aside", "-i", str(own.index)]) == 0
    told = capfd.readouterr().err
    name = re.search(r"--apply (\S+)", told)
    assert name is not None
    assert run(["dedup", "--apply", name[1], "--yes", "-i", str(own.index)]) == 0
    shutil.rmtree(own.index)
    monkeypatch.chdir(own.photos.parent)
    assert not (own.photos / "two.png").exists()
    assert run(["undo", str(own.photos / ".simsearch-trash" / name[1])]) == 0
    assert (own.photos / "two.png").exists()


@pytest.mark.parametrize(
    ("command", "call", "words"),
    [
        ("dedup --apply RUN --yes", "apply.apply_plan", "dedup --apply RUN -i DIR; or take it back with: "),
        ("undo RUN", "undo.undo", "undo RUN -i DIR\n"),
        ("purge RUN --permanently --yes", "purging.purge.purge", "purge RUN --permanently -i DIR\n"),
    ],
)
def test_an_act_that_is_interrupted_says_how_it_goes_on(
    command: str,
    call: str,
    words: str,
    own: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert run(["dedup", "--action", "set-aside", "--json", "-i", str(own.index)]) == 0
    name = json.loads(capfd.readouterr().out)["run"]

    def interrupted(*args: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"simsearch.dedup.acts.{call}", interrupted)
    arguments = [name if word == "RUN" else word for word in command.split()]
    assert run([*arguments, "-i", str(own.index)]) == 130
    told = words.replace("RUN", name).replace("DIR", str(own.index))
    assert f"Nothing is lost. Go on with: simsearch {told}" in capfd.readouterr().err


def test_what_was_set_aside_is_purged(own: SimpleNamespace, capfd: pytest.CaptureFixture[str]) -> None:
    index = ["-i", str(own.index)]
    assert run(["dedup", "--action", "set-aside", *index]) == 0
    name = re.search(r"--apply (\S+)", capfd.readouterr().err)
    assert name is not None
    assert run(["dedup", "--apply", name[1], "--yes", *index]) == 0
    capfd.readouterr()
    assert simsearch("purge", name[1], *index, input=b"").returncode == 2
    assert run(["purge", name[1], "--permanently", "--yes", *index]) == 0
    assert "1 picture" in capfd.readouterr().out
    assert not list(own.photos.rglob("two.png"))
    assert run(["undo", name[1], *index]) == 1
    assert (own.photos / "one.png").exists()


def test_what_cannot_be_purged_is_not_asked_about(
    own: SimpleNamespace, capfd: pytest.CaptureFixture[str]
) -> None:
    index = ["-i", str(own.index)]
    assert run(["dedup", "--action", "set-aside", *index]) == 0
    name = re.search(r"--apply (\S+)", capfd.readouterr().err)
    assert name is not None
    # Nobody is at a terminal: a question would be an error of usage, with exit code 2.
    planned = simsearch("purge", name[1], *index, input=b"")
    assert planned.returncode == 1
    assert b"is not applied" in planned.stderr
    assert run(["dedup", "--apply", name[1], "--yes", *index]) == 0
    assert run(["undo", name[1], *index]) == 0
    out = capfd.readouterr().out
    # The trash is empty and gone again, so that it is not named any more.
    assert out.splitlines()[-1].endswith("; it is undone now")
    assert simsearch("purge", name[1], *index, input=b"").returncode == 1


def test_what_is_left_is_counted(own: SimpleNamespace, capfd: pytest.CaptureFixture[str]) -> None:
    index = ["-i", str(own.index)]
    assert run(["dedup", "--action", "set-aside", *index]) == 0
    name = re.search(r"--apply (\S+)", capfd.readouterr().err)
    assert name is not None
    assert run(["dedup", "--apply", name[1], "--yes", *index]) == 0
    (own.photos / "two.png").write_bytes(b"another file")
    capfd.readouterr()
    assert run(["undo", name[1], *index]) == 0
    out, err = capfd.readouterr()
    assert err.splitlines()[-1] == "1 file was left."
    assert "; it is partly done now\n" in out
