"""`simsearch eval` on photos from PyPI's packages and on Corel-1000, as a person would run it."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import age
from oracle import read_index
from PIL import Image, ImageOps

from benchmarks.samples import originals
from simsearch import Index, index_folder
from simsearch.cli import run
from simsearch.engine.indexing import IndexingConfig
from simsearch.models.choice import ModelChoice, resolve
from simsearch.models.weights.importing import import_weights
from simsearch.quality import EvalOptions, Grid, evaluate, evaluate_grid

LITE0 = IndexingConfig(choice=ModelChoice(model="efficientnet_lite0"))
STEMS = ("astronaut", "chelsea", "china", "coffee", "rocket", "flower")
KINDS = ("whole", "mirrored", "left", "grey")
BY_STEM = r"name:(.+)\."


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of six photos in four versions each, a folder a version."""
    folder = tmp_path_factory.mktemp("eval")
    for path in originals():
        if path.stem in STEMS:
            for kind, version in versions(path):
                (folder / "photos" / kind).mkdir(parents=True, exist_ok=True)
                version.save(folder / "photos" / kind / f"{path.stem}.jpg")
    age(folder / "photos")
    index_folder(folder / "photos", folder / "index", LITE0)
    return folder / "index"


def versions(path: Path) -> Iterator[tuple[str, Image.Image]]:
    with Image.open(path) as image:
        whole = image.convert("RGB")
    whole.thumbnail((320, 320))
    left = whole.crop((0, 0, whole.width * 2 // 3, whole.height))
    yield from zip(KINDS, (whole, ImageOps.mirror(whole), left, ImageOps.grayscale(whole)), strict=True)


def answer(capfd: pytest.CaptureFixture[str], *arguments: str | Path) -> Any:
    assert run(["eval", *map(os.fspath, arguments), "--json"]) == 0
    return json.loads(capfd.readouterr().out)


@pytest.mark.parametrize(
    ("truth", "classes", "together"),
    [(["--truth", BY_STEM], STEMS, 4), ([], KINDS, 6)],
    ids=["name", "folder"],
)
def test_json(
    indexed: Path,
    capfd: pytest.CaptureFixture[str],
    truth: list[str],
    classes: tuple[str, ...],
    together: int,
) -> None:
    found = answer(capfd, "-i", indexed, *truth)
    assert (found["n"], found["queries"], found["classes"], found["distractors"]) == (24, 24, len(classes), 0)
    # By the stored vectors themselves; no two scores are equal.
    stored = read_index(indexed)
    seen = stored.seen(stored.vectors)
    scores = seen @ seen.T
    np.fill_diagonal(scores, -2)
    groups = np.array([Path(p[0]).stem if truth else Path(p[0]).parent.name for p in stored.paths])
    right = groups[np.argsort(-scores, axis=1)[:, :-1]] == groups[:, None]
    precision = np.cumsum(right, axis=1) / np.arange(1, 24)
    others = together - 1
    assert found["mAP"] == pytest.approx(float((precision * right).sum() / (24 * others)))
    assert found["P@1"] == pytest.approx(float(right[:, 0].mean()))
    assert found["P@10"] == pytest.approx(float(right[:, :10].mean()))
    assert found["recall@10"] == pytest.approx(float(right[:, :10].sum() / (24 * others)))
    ns = 1 + float(right[:, :3].sum() / 24)
    assert found["N-S"] == (pytest.approx(ns) if together == 4 else None)
    assert found["mAP_95"][0] <= found["mAP"] <= found["mAP_95"][1]
    assert {entry["class"] for entry in found["per_class"]} == set(classes)
    assert all((entry["pictures"], entry["queries"]) == (together, together) for entry in found["per_class"])
    with Index.open(indexed) as opened:
        spec = opened.spec.id
    assert found["config"] == {
        "model": "efficientnet_lite0",
        "pooling": "avg",
        "dim": 1280,
        "spec": spec,
        "center": True,
        "view": "exact",
        "truth": BY_STEM if truth else "folders",
        "group_size": None,
        "half": None,
        "k": 10,
    }


def test_k_names_the_fields(indexed: Path, capfd: pytest.CaptureFixture[str]) -> None:
    found = answer(capfd, "-i", indexed, "--truth", BY_STEM, "-k", "3", "--worst", "1")
    assert {"P@1", "P@3", "recall@3"} <= found.keys()
    # Three right answers each, so that both are one figure.
    assert found["P@3"] == pytest.approx(found["recall@3"])


def test_the_table_and_the_page(indexed: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    # Without --truth the four kinds are the classes, and most answers are wrong.
    page = tmp_path / "eval.html"
    assert run(["eval", "-i", str(indexed), "--worst", "2", "--html", str(page)]) == 0
    out, err = capfd.readouterr()
    lines = out.splitlines()
    assert lines[0] == (
        f"{indexed}: 24 pictures in 4 classes, 24 queries; "
        "efficientnet_lite0, pooling avg, centred, every picture compared"
    )
    assert lines[1].split() == ["P@1", "P@10", "recall@10", "mAP", "95", "%", "interval", "N-S"]
    assert re.fullmatch(r"( *\d\.\d{4}){4}  \d\.\d{4} to \d\.\d{4}", lines[2])
    assert {line.split()[-1] for line in lines[5:9]} == set(KINDS)
    assert len(lines) == 13
    assert err == f"Wrote {page}\n"
    html = page.read_text(encoding="utf-8")
    # Two queries with ten answers each.
    assert html.count("data:image/jpeg;base64,") == 22
    assert html.count('class="query"') == 2
    assert "<script" not in html
    assert not re.search(r'(src|href)="http', html)


def test_the_grid(indexed: Path, own_cache: Path, capfd: pytest.CaptureFixture[str]) -> None:
    arguments = ["-i", indexed, "--grid", "pooling=avg,gem", "center=on,off"]
    found = answer(capfd, *arguments)
    settings = [(entry["config"]["pooling"], entry["config"]["center"]) for entry in found]
    assert settings == [("avg", True), ("avg", False), ("gem", True), ("gem", False)]
    assert found[0]["mAP"] == evaluate(indexed, EvalOptions()).mean_average_precision
    assert found[1]["index"] == str(indexed)
    assert found[2]["mAP"] != found[0]["mAP"]
    # gem is in an index of its own, of the same photos, which the second run only looks at.
    made = own_cache / "cache" / "simsearch" / "eval"
    assert [Path(entry["index"]).parent for entry in found[2:]] == [made, made]
    assert {entry["n"] for entry in found} == {24}
    [segment] = Path(found[2]["index"]).glob("segments/*.seg")
    before = segment.stat()
    assert answer(capfd, *arguments) == found
    assert segment.stat() == before

    assert run(["eval", *map(os.fspath, arguments)]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[0] == "24 pictures in 4 classes, 24 queries"
    assert len(lines) == 6
    best = max(found, key=lambda entry: entry["mAP"])
    [marked] = [line for line in lines if line.startswith("*")]
    assert f"{best['mAP']:.4f}" in marked


def test_a_grid_with_a_wrong_name_makes_no_index(
    indexed: Path, own_cache: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    made = own_cache / "cache" / "simsearch" / "eval"
    before = sorted(made.glob("*"))
    arguments = ["-i", str(indexed), "--grid", "model=efficientnet_lite0,efficientnet_lite9", "pooling=max"]
    assert run(["eval", *arguments]) == 1
    assert "There is no model called 'efficientnet_lite9'" in capfd.readouterr().err
    assert sorted(made.glob("*")) == before


def test_a_grid_tells_a_checkpoint_from_its_model(
    indexed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The checkpoint is the model's own under another name, so that both are the vectors of the index."""
    # What is imported here is nobody else's.
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    weights = resolve(ModelChoice("efficientnet_lite0")).weights_path
    import_weights(Path(weights), name="own-lite0")
    found = answer(capfd, "-i", indexed, "--grid", "model=own-lite0,efficientnet_lite0")
    named = [entry["config"]["model"] for entry in found]
    assert named == ["own-lite0 (efficientnet_lite0)", "efficientnet_lite0"]
    assert found[0]["mAP"] == found[1]["mAP"]


def test_a_grid_compares_what_all_hold(indexed: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    shutil.copytree(indexed.parent / "photos", photos)
    age(photos)
    index_folder(photos, tmp_path / "index", LITE0)
    (photos / "left" / "coffee.jpg").unlink()
    notes: list[str] = []
    grid = Grid.parse(["pooling=gem,avg"])
    reports = evaluate_grid(grid, tmp_path / "index", note=notes.append)
    assert [(report.config.pooling, report.n) for report in reports] == [("gem", 23), ("avg", 23)]
    assert "1 picture is not in every one of the indexes and is left out." in notes


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["center=on"], "center=on belongs to --grid"),
        (["--grid", "color=on"], "'color=on' is no part of a grid"),
        (["--grid", "center=on", "center=off"], "each at most once"),
        (["--grid", "pooling="], "no part of a grid"),
        (["--grid", "center=maybe"], "center is on or off, not 'maybe'"),
        (["--grid", "pooling=sum"], "pooling is avg or max or gem"),
        (["--grid", "center=on", "--no-center"], "do not go with center="),
        (["--grid", "center=on", "--html", "x.html"], "do not go with --grid"),
        (["--truth", "name:("], "no regular expression"),
        (["--group-size", "4"], "--truth name:REGEX"),
        (["--half", "both"], "--half"),
    ],
    ids=" ".join,
)
def test_wrong_usage(
    indexed: Path, capfd: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert run(["eval", "-i", str(indexed), *arguments]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert said in err


@pytest.mark.proof
def test_corel_1000(shared_data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    index_folder(shared_data / "corel1k", tmp_path / "index", LITE0)
    truth = ["-i", tmp_path / "index", "--truth", r"name:(\d+)", "--group-size", "100"]
    whole = answer(capfd, *truth)
    assert (whole["n"], whole["queries"], whole["classes"]) == (1000, 1000, 10)
    # As measured by other code: docs/benchmarks.md and test_quality.py.
    plain, centred = answer(capfd, *truth, "--grid", "center=off,on")
    assert plain["mAP"] == pytest.approx(0.902, abs=0.002)
    assert plain["P@10"] == pytest.approx(0.968, abs=0.002)
    halves = [answer(capfd, *truth, "--half", half) for half in ("choose", "report")]
    assert sum(half["n"] for half in halves) == 1000
    assert plain["mAP"] < centred["mAP"] == whole["mAP"]
