"""A threshold of a collection's own: the cut, the edits, what a person is asked, and the whole of it."""

from __future__ import annotations

import json
import math
import os
import pty
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import picture, simsearch
from PIL import Image
from sklearn.metrics import precision_recall_curve

from dedup.ground import indexed, names, prepared
from simsearch import SimsearchError, find_duplicates
from simsearch.dedup.calibration.curve import SHOWN, Calibration, Point, curve_of, cut_at, point_at
from simsearch.dedup.calibration.edits import EDITS, edited
from simsearch.dedup.calibration.labels import Label, labelled, to_ask
from simsearch.dedup.options import DedupOptions
from simsearch.dedup.records import Doubt, DuplicateReport, LeakReport, Pair, Picture
from simsearch.dedup.verdicts import Verdicts
from simsearch.dedup.verify.classifier import shipped
from simsearch.dedup.verify.judge import judge
from simsearch.report.duplicates.page import doubts_page, groups_page, leaks_page
from simsearch.report.duplicates.threshold.curve import calibration_line, curve_table
from simsearch.report.duplicates.threshold.doubts import doubt_rows, doubt_table
from simsearch.storage.answers import Label as Said

AUTO = DedupOptions(threshold="auto")


def columns(*pairs: tuple[float, bool, float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    scores, truth, weights = zip(*pairs, strict=True)
    return np.array(scores), np.array(truth), np.array(weights)


# The cut

T, F = True, False
FOUR = columns((0.6, T, 1), (0.9, T, 1), (0.7, F, 1), (0.8, T, 1))


@pytest.mark.parametrize(
    ("pairs", "aim", "point"),
    [
        (FOUR, 1.0, Point(0.8, 1.0, 2 / 3)),
        (FOUR, 0.76, Point(0.8, 1.0, 2 / 3)),
        # Below a false pair enough true ones may follow.
        (FOUR, 0.75, Point(0.6, 0.75, 1.0)),
        # Pairs of one score are on one side of a cut.
        (columns((0.9, T, 1), (0.8, T, 1), (0.8, F, 1)), 1.0, Point(0.9, 1.0, 0.5)),
        # What weighs 20 takes 20 true ones to make up for at one half.
        (columns((0.9, T, 1), (0.8, F, 20), (0.7, T, 18)), 0.5, Point(0.9, 1.0, 1 / 19)),
        (columns((0.9, T, 1), (0.8, F, 20), (0.7, T, 19)), 0.5, Point(0.7, 0.5, 1.0)),
        # None is sure enough, or there is none.
        (columns((0.9, F, 1), (0.8, T, 1)), 0.9, Point(1.0, 1.0, 0.0)),
        (columns((0.9, F, 1)), 0.5, Point(1.0, 1.0, 0.0)),
    ],
)
def test_the_lowest_score_that_is_sure_enough(
    pairs: tuple[np.ndarray, np.ndarray, np.ndarray], aim: float, point: Point
) -> None:
    assert cut_at(*pairs, aim) == point


def test_precision_and_recall_from_a_score_on() -> None:
    assert point_at(*FOUR, 0.7) == Point(0.7, 2 / 3, 2 / 3)
    assert point_at(*FOUR, 0.95) == Point(0.95, 1.0, 0.0)
    assert point_at(*columns((0.9, F, 1)), 0.5) == Point(0.5, 0.0, 0.0)
    assert point_at(*columns((0.9, T, 1), (0.8, F, 20)), 0.8) == Point(0.8, 1 / 21, 1.0)


@pytest.mark.parametrize("seed", range(5))
def test_the_curve_is_that_of_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.random(400) < 0.4
    scores = np.round(np.clip(rng.normal(0.3 + 0.5 * truth, 0.2), 0, 1), 2)
    weights = np.where(rng.random(400) < 0.1, 20.0, 1.0)
    precision, recall, thresholds = precision_recall_curve(truth, scores, sample_weight=weights)
    for aim in (0.6, 0.9, 0.95):
        sure = np.flatnonzero(precision[:-1] >= aim)[0]
        found = cut_at(scores, truth, weights, aim)
        assert asdict(found) == pytest.approx(
            {"score": thresholds[sure], "precision": precision[sure], "recall": recall[sure]}
        )
    curve = curve_of(scores, truth, weights)
    assert tuple(point.score for point in curve) == SHOWN
    for point in curve:
        at = int(np.searchsorted(thresholds, point.score))
        assert (point.precision, point.recall) == pytest.approx((precision[at], recall[at]))


# The edits

SHAPES = {"tiny": (16, 16), "one high": (1, 40), "one wide": (40, 1), "strip": (6, 900), "dot": (1, 1)}
CHANCE = {
    *("crop 90 %", "crop 75 %", "crop 50 %", "frame", "5 degrees", "brightness", "contrast", "noise"),
    *("caption", "sticker", "crop, light, JPEG", "mirror, frame, half size"),
}


@pytest.mark.parametrize("name", EDITS)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_every_edit_takes_every_shape(name: str, shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)
    copy = edited(pixels, name, "seed")
    assert copy.dtype == np.uint8
    assert copy.ndim == 3
    assert copy.shape[2] == 3
    assert min(copy.shape) >= 1


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_is_told_by_its_seed(name: str) -> None:
    pixels = np.asarray(picture(1))
    first = edited(pixels, name, "0")
    assert np.array_equal(first, edited(pixels, name, "0"))
    assert not np.array_equal(first, pixels)
    others = [edited(pixels, name, str(seed)) for seed in range(1, 8)]
    assert all(np.array_equal(first, other) for other in others) is (name not in CHANCE)


def test_the_sizes_of_edits() -> None:
    pixels = np.zeros((200, 400, 3), np.uint8)
    sizes = {name: edited(pixels, name, "x").shape[:2] for name in EDITS}
    assert sizes["half size"] == (100, 200)
    assert sizes["quarter size"] == (50, 100)
    # Half the area: both sides by the root of a half.
    assert sizes["crop 50 %"] == (round(200 * math.sqrt(0.5)), round(400 * math.sqrt(0.5)))
    # A tenth of the longer side around it.
    assert sizes["frame"] == (280, 480)
    assert sizes["quarter turn"] == (400, 200)
    assert sizes["mirror, frame, half size"] == (140, 240)


def test_a_crop_of_a_small_picture_adds_nothing() -> None:
    white = np.full((4, 40, 3), 255, np.uint8)
    for name in ("crop 90 %", "crop 50 %", "half size"):
        copy = edited(white, name, "x")
        assert copy.min() == 255
        assert copy.shape[0] <= 4


# What a person is asked


def some(count: int) -> list[Picture]:
    return [Picture(n, bytes([n]) * 32, (f"/{n}.jpg",), 40, 30, "JPEG", None) for n in range(count)]


def said(one: int, other: int, same: bool) -> Said:
    first, second = sorted((bytes([one]) * 32, bytes([other]) * 32))
    return Said(first, second, same, "2026-01-01T00:00:00Z")


def asked(pairs: list[Pair], near: float, wanted: int, *answers: Said) -> list[tuple[int, int]]:
    return [(pair.first, pair.second) for pair in to_ask(pairs, some(12), answers, near, wanted)]


def test_the_nearest_log_odds_come_first() -> None:
    # Log odds 0, 2.2, 4.6 and -4.6: from .9 (2.2) they are 2.2, 0, 2.4 and 6.8 away.
    scores = {(0, 1): 0.5, (2, 3): 0.9, (4, 5): 0.99, (6, 7): 0.01}
    pairs = [Pair(*ids, "similar", score) for ids, score in scores.items()]
    assert asked(pairs, 0.9, 10) == [(2, 3), (0, 1), (4, 5), (6, 7)]
    assert asked(pairs, 0.9, 2) == [(2, 3), (0, 1)]
    assert asked(pairs, 0.02, 1) == [(6, 7)]
    assert asked(pairs, 0.9, 0) == []


def test_no_picture_is_asked_about_twice() -> None:
    pairs = [Pair(0, 1, "near", 0.9), Pair(1, 2, "near", 0.89), Pair(2, 3, "near", 0.8)]
    assert asked(pairs, 0.9, 10) == [(0, 1), (2, 3)]


def test_what_is_answered_or_certain_is_not_asked() -> None:
    pairs = [Pair(0, 1, "near", 0.9), Pair(2, 3, "near", 0.8)]
    assert asked(pairs, 0.9, 10, said(1, 0, T)) == [(2, 3)]
    assert asked(pairs, 0.9, 10, said(0, 2, T)) == [(0, 1), (2, 3)]
    surest = 1 / (1 + math.exp(-13.8))
    assert asked([Pair(0, 1, "pixels", 1.0), Pair(2, 3, "near", surest), Pair(4, 5, "", 0)], 0.9, 10) == []


def test_answers_get_the_scores_of_their_pairs() -> None:
    scores = {(0, 1): 0.9, (2, 3): 0.8}
    asked: list[tuple[int, int]] = []

    def judge(pairs: Sequence[tuple[int, int]]) -> list[Pair]:
        """Of the pictures 6 and 7 one cannot be read."""
        asked.extend(pairs)
        return [Pair(*pair, "near", scores[pair]) for pair in pairs if pair in scores]

    answers = [said(3, 2, F), said(1, 0, T), said(6, 7, T), said(8, 99, T)]
    assert labelled(answers, some(12), judge) == (Label((2, 3), 0.8, F), Label((0, 1), 0.9, T))
    assert asked == [(2, 3), (0, 1), (6, 7)]


# What is shown

CALIBRATION = Calibration(
    0.93, 0.71, 0.9991, 0.97, (Point(0.5, 0.9, 1.0), Point(0.99, 1.0, 0.5)), 40, 880, 7000, 12
)


def test_the_chosen_points_in_words() -> None:
    rests = "880 copies of 40 of your pictures against 7,000 pairs of different ones"
    assert calibration_line(CALIBRATION) == (
        f"copies from 0.9300 on: precision 0.9991, recall 0.9700 on {rests}; "
        "probably from 0.7100 on; 12 answers of yours were used"
    )
    values = {**asdict(CALIBRATION), "curve": (), "labels": 1}
    assert calibration_line(Calibration(**{**values, "near": 1.0})) == (
        f"no score is high enough to tell a copy, on {rests}; probably from 0.7100 on; "
        "1 answer of yours was used; answer more with simsearch dedup --label 10"
    )
    plain = calibration_line(Calibration(**{**values, "probable": 0.93, "labels": 0}))
    assert plain.endswith("of different ones")


def test_the_curve_as_a_table() -> None:
    assert [line.split() for line in curve_table(CALIBRATION).splitlines()] == [
        ["score", "from", "precision", "recall"],
        ["0.5000", "0.9000", "1.0000"],
        ["0.9900", "1.0000", "0.5000"],
    ]


def test_the_page_says_how_the_threshold_was_found() -> None:
    report = DuplicateReport("/i", 0.93, 10, 5, (), (), 0, CALIBRATION)
    page = "".join(groups_page(report, lambda path: None))
    assert f'<p class="why">Copies{calibration_line(CALIBRATION).removeprefix("copies")}.</p>' in page
    leaks = "".join(leaks_page(LeakReport("/a", "/t", 0.93, 10, 5, (), (), CALIBRATION), lambda path: None))
    assert calibration_line(CALIBRATION).removeprefix("copies") in leaks
    plain = "".join(groups_page(DuplicateReport("/i", 0.93, 10, 5, (), (), 0), lambda path: None))
    assert "precision" not in plain


def doubt() -> Doubt:
    first = Picture(0, b"\x01" * 32, ("/a/x\x1b.jpg", "/b/x.jpg"), 40, 30, "JPEG", "2020-05-01T10:00:00")
    return Doubt(first, Picture(1, b"\x02" * 32, ("/a/y.png",), 40, 20, "PNG", None), 0.81239)


def test_a_pair_side_by_side() -> None:
    [row] = doubt_rows([doubt()], {"/a/x\x1b.jpg": 2000, "/a/y.png": None}.get)
    title, head, *lines = doubt_table(row, "Pair 1 of 3").splitlines()
    assert title == "Pair 1 of 3: score 0.8123"
    assert head.split() == ["size", "bytes", "taken", "format"]
    assert [line.split() for line in lines] == [
        ["40", "x", "30", "2.0", "kB", "2020-05-01", "10:00:00", "JPEG", "/a/x\\x1b.jpg"],
        ["same", "bytes", "/b/x.jpg"],
        ["40", "x", "20", "PNG", "/a/y.png"],
    ]
    twin = Doubt(doubt().second, doubt().second, 0.5)
    [row] = doubt_rows([twin], lambda path: 10)
    assert doubt_table(row, "Pair 1 of 1").splitlines()[-1].split() == ["=", "=", "=", "/a/y.png"]


def test_the_page_of_pairs() -> None:
    rows = doubt_rows([doubt(), doubt()], lambda path: 2000)
    page = "".join(doubts_page(rows, lambda path: b"jpeg" if path == "/a/y.png" else None))
    assert page.count("no preview") == page.count("data:image/jpeg;base64,") == 2
    assert "Pair 2: score 0.8123" in page
    # What differs is bold; "2.0 kB" does not.
    assert "<b>40 x 20</b>, 2.0 kB, <b>PNG</b>" in page
    assert "\x1b" not in page


# The whole

CLEAN, COPIES, NOISY = 10, 2, 4


def noisy(seed: int, image: Image.Image) -> Image.Image:
    """The noisiest copy that is still found, but not beyond doubt."""
    original, classifier = prepared(image), shipped()
    for sigma in range(60, 10, -2):
        noise = np.random.default_rng(seed).normal(0, sigma, (image.height, image.width, 3))
        copy = Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))
        both = (original, prepared(copy)), (prepared(copy), original)
        scores = [judge(*pair, classifier).score for pair in both]
        if classifier.probable < min(scores) and max(scores) < 0.9999:
            return copy
    raise AssertionError(f"no copy of picture {seed} is in doubt")


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """An index of pictures without a copy, some with a small copy, and some with one that is hard to tell."""
    folder = tmp_path_factory.mktemp("calibration")
    photos = folder / "photos"
    photos.mkdir()
    for seed in range(CLEAN):
        picture(seed).save(photos / f"clean-{seed}.png")
    for seed in range(COPIES):
        image = picture(50 + seed, (192, 144))
        image.save(photos / f"copied-{seed}.png")
        image.resize((96, 72)).save(photos / f"copied-{seed}-small.png")
    for seed in range(NOISY):
        image = picture(100 + seed, (192, 144))
        image.save(photos / f"noisy-{seed}.png")
        noisy(seed, image).save(photos / f"noisy-{seed}-noise.png")
    index = indexed(photos, folder / "index")
    return SimpleNamespace(photos=photos, index=index, report=find_duplicates(index, AUTO))


@pytest.fixture
def own(ground: SimpleNamespace, tmp_path: Path) -> Path:
    """The same index, to write answers to."""
    return Path(shutil.copytree(ground.index, tmp_path / "index"))


def answered(index: Path) -> int:
    with Verdicts.open(index) as verdicts:
        return len(verdicts.labels())


@pytest.mark.proof
def test_a_threshold_of_its_own(ground: SimpleNamespace) -> None:
    report, classifier = ground.report, shipped()
    told = report.calibration
    assert told.near == report.threshold
    assert told.near >= told.probable
    assert told.near >= classifier.probable
    assert told.precision >= 0.999
    assert told.recall >= 0.8
    assert (told.originals, told.edited, told.labels) == (CLEAN, CLEAN * len(EDITS), 0)
    recalls = [point.recall for point in told.curve]
    assert recalls == sorted(recalls, reverse=True)
    found = names(report, below=ground.photos)
    assert {frozenset({f"copied-{n}.png", f"copied-{n}-small.png"}) for n in range(COPIES)} <= found
    assert not any("clean" in name for group in found for name in group)


def test_the_command_tells_the_curve_and_the_same_threshold(ground: SimpleNamespace, tmp_path: Path) -> None:
    page = tmp_path / "copies.html"
    command = ["dedup", "--threshold", "auto", "-i", ground.index, "--json", "--html", page]
    done = simsearch(*command)
    assert done.returncode == 0, done.stderr
    told = json.loads(json.dumps(asdict(ground.report.calibration)))
    assert json.loads(done.stdout)["calibration"] == told
    lines = done.stderr.decode().splitlines()
    assert lines[0].split() == ["score", "from", "precision", "recall"]
    assert len(lines) == 1 + len(SHOWN) + 1 + 1
    assert lines[-2] == calibration_line(ground.report.calibration)
    assert lines[-2][1:] in page.read_text(encoding="utf-8")


def test_too_few_pictures_without_a_copy(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for seed in range(6):
        picture(seed).save(photos / f"{seed}.png")
        if seed > 3:
            picture(seed).resize((48, 36)).save(photos / f"{seed}-small.png")
    with pytest.raises(
        SimsearchError, match="needs 10 pictures without a copy; 4 could be used here"
    ) as told:
        find_duplicates(indexed(photos, tmp_path / "index"), AUTO)
    assert "Leave --threshold out, or name a number from 0 to 1." in str(told.value)


def test_answers_move_the_threshold(ground: SimpleNamespace, own: Path) -> None:
    done = simsearch("dedup", "--label", "9", "-i", own, "--json", "-q")
    assert (done.returncode, done.stderr) == (0, b"")
    asked = json.loads(done.stdout)
    assert {*asked[0]["first"]} == {
        *("path", "copies", "width", "height", "bytes", "format", "taken_at", "sha256")
    }
    assert all("noisy" in Path(row[side]["path"]).name for row in asked for side in ("first", "second"))
    assert len(asked) >= 2
    highest = max(asked, key=lambda row: row["score"])
    replies = "".join("d\n" if row is highest else "c\n" for row in asked)

    done = simsearch("dedup", "--label", "9", "-i", own, "-q", input=replies.encode())
    assert done.returncode == 0, done.stderr
    told = f"{len(asked)} answers kept; simsearch dedup --threshold auto -i {own} uses them\n"
    assert done.stdout.decode() == told
    assert f"Pair 1 of {len(asked)}: score ".encode() in done.stderr
    assert answered(own) == len(asked)

    again = simsearch("dedup", "--label", "9", "-i", own, "-q")
    assert (again.returncode, again.stdout) == (0, b"")
    assert b"There is no pair to ask about" in again.stderr

    report = find_duplicates(own, AUTO)
    assert report.calibration is not None
    assert report.calibration.labels == len(asked)
    assert report.threshold > highest["score"]
    near = [photo for group in report.groups for photo in group.photos if photo.level == "near"]
    assert highest["second"]["path"] not in {photo.path for photo in near}


def test_a_line_that_is_no_answer(own: Path) -> None:
    done = simsearch("dedup", "--label", "2", "-i", own, "-q", input=b"different\nyes\n")
    assert (done.returncode, done.stdout) == (1, b"")
    last = done.stderr.decode().splitlines()[-1]
    assert last.startswith("Error: Line 2 of the answers is 'yes'. Give c, d, s or q, one a line. 1 answer")
    assert answered(own) == 1
    done = simsearch("dedup", "--label", "2", "-i", own, "-q", input=b"\nq\n")
    assert (done.returncode, done.stdout) == (0, b"No answer kept\n")
    assert answered(own) == 1


def test_a_terminal_is_asked_again(own: Path) -> None:
    terminal, inside = pty.openpty()
    os.write(terminal, b"yes\nd\nquit\n")
    command = [sys.executable, "-m", "simsearch", "dedup", "--label", "2", "-q", "-i", str(own)]
    done = subprocess.run(command, stdin=inside, capture_output=True, check=False)
    os.close(inside)
    os.close(terminal)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"1 answer kept; ")
    assert done.stderr.count(b"c copies, d different, s skip, q quit [s]: ") == 3
    assert b"Answer c, d, s or q.\n" in done.stderr
    assert answered(own) == 1


def test_an_interrupt_keeps_what_was_answered(own: Path) -> None:
    command = [sys.executable, "-m", "simsearch", "dedup", "--label", "2", "-q", "-i", str(own)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as process:  # type: ignore[call-overload]
        process.stdin.write(b"c\n")
        process.stdin.flush()
        told = b""
        while told.count(b"q quit [s]: ") < 2:
            told += os.read(process.stderr.fileno(), 4096)
        process.send_signal(signal.SIGINT)
        out, told = process.communicate(timeout=300)
    assert (process.returncode, out) == (130, b"")
    assert told.decode().splitlines()[-2].startswith("1 answer kept; ")
    assert told.endswith(b"Interrupted.\n")
    assert answered(own) == 1


def test_the_pictures_of_the_pairs_on_a_page(own: Path, tmp_path: Path) -> None:
    page = tmp_path / "pairs.html"
    done = simsearch("dedup", "--label", "1", "-i", own, "-q", "--html", page, input=b"")
    assert (done.returncode, done.stdout) == (0, b"No answer kept\n")
    assert done.stderr.decode().splitlines()[0] == f"Wrote {page}"
    assert page.read_text(encoding="utf-8").count("data:image/jpeg;base64,") == 2


def test_an_answer_by_name(ground: SimpleNamespace, own: Path) -> None:
    pair = [str(ground.photos / name) for name in ("noisy-0.png", "noisy-0-noise.png")]
    done = simsearch("verdicts", "label", *pair, "copies", "-i", own)
    assert done.stdout.decode() == (
        f"Kept that these are copies; simsearch dedup --threshold auto -i {own} uses it.\n"
    )
    done = simsearch("verdicts", "label", *reversed(pair), "different", "-i", own, "--json")
    assert json.loads(done.stdout) == {"ok": True}
    with Verdicts.open(own) as verdicts:
        [label] = verdicts.labels()
    assert label.same is False
    twin = own.parent / "twin.png"
    shutil.copy(pair[0], twin)
    done = simsearch("verdicts", "label", pair[0], twin, "copies", "-i", own)
    assert done.returncode == 1
    assert b"Files with the same bytes are copies, and need no label." in done.stderr
