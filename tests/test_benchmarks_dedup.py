"""The benchmark of copy detection: its edits, its truth, its figures by hand, and its tables."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import picture
from PIL import Image
from sklearn.metrics import average_precision_score

from benchmarks.dedup.case import dedup
from benchmarks.dedup.data import COPIES, DataMissing, Query, Task, build
from benchmarks.dedup.edits import EDITS, chance_of
from benchmarks.dedup.parts import auto, groups
from benchmarks.dedup.parts.cost import made, tables
from benchmarks.dedup.parts.cost.case import counts
from benchmarks.dedup.parts.cost.children import child
from benchmarks.dedup.parts.cost.tables import Measured, held_at, scaled
from benchmarks.dedup.parts.settings import Settings
from benchmarks.dedup.peers import PEERS, CopyPeer
from benchmarks.dedup.quality import compare
from benchmarks.dedup.scores import (
    Answers,
    curve,
    judge,
    micro_ap,
    recall_at,
    recall_by_edit,
    recall_first,
    summary,
)
from benchmarks.machine import Cost
from benchmarks.peers.asking import SECONDS, ask
from benchmarks.peers.environments import PeerMissing
from benchmarks.peers.scripts.dedup.answering import Files, by_bits, by_cosine
from benchmarks.report import RESULTS, load
from simsearch.dedup.verify import classifier

SIZE = (96, 64)


def edited(name: str, image: Image.Image, others: Sequence[Image.Image] = ()) -> Image.Image:
    with Image.open(io.BytesIO(EDITS[name].apply(image, chance_of("1", name), others))) as made:
        return made.convert("RGB")


def halves(left: str, right: str) -> Image.Image:
    image = Image.new("RGB", SIZE, left)
    image.paste(Image.new("RGB", (SIZE[0] // 2, SIZE[1]), right), (SIZE[0] // 2, 0))
    return image


# Edits


def test_there_are_forty_edits_and_four_extreme_ones() -> None:
    kinds = [edit.kind for edit in EDITS.values()]
    counts = {kind: kinds.count(kind) for kind in kinds}
    assert counts == {"single": 36, "collage": 1, "combo": 3, "extreme": 4}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_is_the_same_each_time_and_changes_the_bytes(name: str) -> None:
    image, others = picture(1, SIZE), [picture(n, SIZE) for n in (2, 3, 4)]
    first, second = (EDITS[name].apply(image, chance_of("1", name), others) for _ in range(2))
    assert first == second
    with Image.open(io.BytesIO(first)) as made:
        assert made.format == EDITS[name].format
    assert EDITS[name].suffix == {"JPEG": ".jpg", "WEBP": ".webp"}[EDITS[name].format]


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("half", (48, 32)),
        ("quarter", (24, 16)),
        ("crop90", (91, 61)),
        ("crop50", (68, 45)),
        ("border", (116, 84)),
        ("letterbox", (96, 96)),
        ("rot90", (64, 96)),
        ("rot180", (96, 64)),
        ("rot5", (96, 64)),
        ("screenshot", (160, 107)),
        ("collage", (192, 128)),
        ("crop25", (48, 32)),
    ],
)
def test_sizes(name: str, size: tuple[int, int]) -> None:
    assert edited(name, picture(1, SIZE), [picture(n, SIZE) for n in (2, 3, 4)]).size == size


@pytest.mark.parametrize(
    ("name", "left"), [("mirror", "blue"), ("rot180", "blue"), ("flip", "red"), ("jpeg90", "red")]
)
def test_what_is_mirrored(name: str, left: str) -> None:
    made = np.asarray(edited(name, halves("red", "blue")), dtype=int)
    assert (made[32, 10].argmax() == 0) == (left == "red")
    assert (made[32, 85].argmax() == 0) == (left == "blue")


def test_brightness_and_grey() -> None:
    even = Image.new("RGB", SIZE, (100, 50, 150))
    assert np.abs(np.asarray(edited("bright-up", even), dtype=int)[5, 5] - (140, 70, 210)).max() <= 3
    assert np.abs(np.asarray(edited("bright-down", even), dtype=int)[5, 5] - (60, 30, 90)).max() <= 3
    # ITU-R 601: .299 R + .587 G + .114 B
    assert np.abs(np.asarray(edited("grey", even), dtype=int)[5, 5] - 76).max() <= 2


def test_the_overlay_covers_a_tenth() -> None:
    made = np.asarray(edited("overlay", Image.new("RGB", (400, 300), "blue")), dtype=int)
    assert (made[..., 0] > 60).mean() == pytest.approx(0.1 * (1 - 2 * 0.12**2), abs=0.02)


def test_noise_has_its_strength() -> None:
    made = np.asarray(edited("noise", Image.new("RGB", (200, 200), (128, 128, 128))), dtype=float)
    assert made.mean() == pytest.approx(128, abs=1)
    assert 10 < made.std() < 26


# The task


@pytest.fixture
def numbered(tmp_path: Path) -> Path:
    folder = tmp_path / "numbered"
    folder.mkdir()
    numbers = [n + hundred for hundred in range(0, 1000, 100) for n in range(4)]
    for number in {*numbers, *(n for pair in COPIES for n in pair)}:
        picture(number, SIZE).save(folder / f"{number}.jpg")
    return folder


def number(task: Task, query: Query) -> int:
    return int(task.originals[query.original].stem)


def test_the_halves_share_no_class(numbered: Path, tmp_path: Path) -> None:
    tasks = {half: build(numbered, tmp_path / half, half, 2, ["mirror"]) for half in ("choose", "report")}
    classes = {half: {number(task, q) // 100 for q in task.queries} for half, task in tasks.items()}
    assert classes == {"choose": {0, 2, 4, 5, 8}, "report": {1, 3, 6, 7, 9}}
    assert {half: len(task.queries) for half, task in tasks.items()} == {"choose": 10, "report": 10}
    unedited = {half: {task.originals[q.original] for q in task.unedited} for half, task in tasks.items()}
    assert not unedited["choose"] & unedited["report"]
    searched = [{p.stem for p in task.originals if p.parent == numbered} for task in tasks.values()]
    # The half to report on is searched among all photos.
    assert [len(stems) for stems in searched] == [22, 46]


def test_what_is_right_wrong_and_neither(numbered: Path, tmp_path: Path) -> None:
    task = build(numbered, tmp_path / "out", "report", 9, ["jpeg70", "collage"])
    place = {path.stem: n for n, path in enumerate(task.originals)}
    of = {(q.edit, number(task, q)): q for q in task.asked if q.original < 46}
    query = of["jpeg70", 918]
    assert query.path == tmp_path / "out" / "queries" / "jpeg70" / "918.jpg"
    assert [query.truth(place[stem]) for stem in ("918", "924", "935")] == [True, None, False]
    unedited = of["original", 935]
    assert [unedited.truth(place[stem]) for stem in ("918", "935", "981")] == [False, None, None]
    collage = of["collage", 300]
    ignored = {int(task.originals[n].stem) for n in collage.ignored}
    assert collage.truth(place["300"]) is True
    assert len(ignored - {n for pair in COPIES for n in pair}) <= 3 <= len(ignored)
    assert all(n // 100 in (1, 3, 6, 7, 9) for n in ignored)


def test_parts_of_one_photo_do_not_count_against_it(numbered: Path, tmp_path: Path) -> None:
    shots = tmp_path / "shots"
    shots.mkdir()
    for n in range(2):
        picture(n, (60, 40)).save(shots / f"shot{n}.png")
    task = build(numbered, tmp_path / "out", "report", 1, ["flip"], shots)
    place = {path.name: n for n, path in enumerate(task.originals)}
    of = {task.originals[q.original].name: q for q in task.unedited}
    assert of["shot0.png"].truth(place["shot0-12.jpg"]) is None
    assert of["shot0-12.jpg"].truth(place["shot0.png"]) is None
    assert of["shot0-12.jpg"].truth(place["shot0-00.jpg"]) is False
    assert of["shot0-12.jpg"].truth(place["shot1-12.jpg"]) is False
    assert of["shot0.png"].truth(place["shot1.png"]) is False
    assert not any("shot" in p.name for p in build(numbered, tmp_path, "choose", 1, [], shots).originals)


def test_files_that_are_there_are_kept_and_more_begin_with_the_same(numbered: Path, tmp_path: Path) -> None:
    first = build(numbered, tmp_path / "out", "choose", 1, ["blur"])
    times = {q.path: q.path.stat().st_mtime_ns for q in first.queries}
    second = build(numbered, tmp_path / "out", "choose", 2, ["blur"])
    assert {q.path for q in first.queries} < {q.path for q in second.queries}
    assert times == {path: path.stat().st_mtime_ns for path in times}


def test_photos_without_numbers_are_refused(tmp_path: Path) -> None:
    picture(1).save(tmp_path / "beach.jpg")
    with pytest.raises(DataMissing, match="called by a number"):
        build(tmp_path, tmp_path / "out", "report", 1)


# Figures


def query(original: int, edit: str = "mirror", *ignored: int) -> Query:
    return Query(Path("x"), edit, "single", original, frozenset(ignored))


def answers(*rows: tuple[int, int, float]) -> Answers:
    queries, originals, scores = zip(*rows, strict=True)
    return Answers(np.asarray(queries), np.asarray(originals), np.asarray(scores, dtype=float))


ASKED = (query(0), query(1), query(2), query(0, "crop"), query(1, "original", 1))
FOUND = answers(
    (0, 0, 0.9),  # right: precision 1/1, recall 1/4
    (1, 1, 0.8),  # right: 2/2, 2/4
    (4, 1, 1.0),  # itself: does not count
    (4, 0, 0.7),  # wrong: 2/3, 2/4
    (3, 0, 0.6),  # right: 3/4, 3/4
    (2, 0, 0.5),  # wrong: 3/5, 3/4; query 2 is never found
)


def test_figures_by_hand() -> None:
    judged = judge(ASKED, FOUND)
    assert judged.right.tolist() == [True, True, False, True, False]
    found = curve(judged)
    assert found.precision.tolist() == pytest.approx([1, 1, 2 / 3, 3 / 4, 3 / 5])
    assert found.recall.tolist() == pytest.approx([1 / 4, 2 / 4, 2 / 4, 3 / 4, 3 / 4])
    assert micro_ap(found) == pytest.approx((1 + 1 + 3 / 4) / 4)
    assert recall_at(found, 0.99) == (0.5, 0.8)
    assert recall_at(found, 0.75) == (0.75, 0.6)
    assert recall_first(judged) == 0.75
    assert recall_by_edit(judged, 0.8) == {"mirror": pytest.approx(2 / 3), "crop": 0.0}
    assert recall_by_edit(judged, 0.6) == {"mirror": pytest.approx(2 / 3), "crop": 1.0}


def test_equal_scores_are_taken_together() -> None:
    found = curve(judge(ASKED, answers((0, 0, 0.9), (1, 1, 0.7), (4, 0, 0.7), (3, 0, 0.7))))
    assert found.precision.tolist() == pytest.approx([1, 3 / 4])
    assert micro_ap(found) == pytest.approx(1 / 4 + 3 / 4 * 2 / 4)
    assert recall_at(found, 0.99) == (0.25, 0.9)


def test_nothing_reaches_the_precision() -> None:
    found = curve(judge(ASKED, answers((4, 0, 0.9), (0, 0, 0.1))))
    assert recall_at(found, 0.99) == (0.0, float("inf"))


@pytest.mark.parametrize("seed", range(5))
def test_micro_ap_is_that_of_scikit_learn(seed: int) -> None:
    chance = np.random.default_rng(seed)
    asked = [query(n % 12) for n in range(60)]
    rows = [(q, o, float(chance.integers(0, 40))) for q in range(60) for o in range(12)]
    truth = [asked[q].truth(o) for q, o, _ in rows]
    expected = average_precision_score(truth, [score for *_, score in rows])
    assert micro_ap(curve(judge(asked, answers(*rows)))) == pytest.approx(expected)


def test_weights_count_a_query_again_and_again() -> None:
    judged = judge(ASKED, FOUND)
    weighted = curve(judged, np.asarray([2.0, 1.0, 0.0, 1.0, 0.0]))
    # Queries 0 (twice), 1 and 3 are found before any wrong answer that counts.
    assert micro_ap(weighted) == pytest.approx(1.0)
    assert weighted.recall.tolist() == pytest.approx([2 / 4, 3 / 4, 3 / 4, 1, 1])


def test_the_interval_of_what_never_fails_has_no_width() -> None:
    asked = [query(n) for n in range(5)]
    whole = summary(judge(asked, answers(*((n, n, 1.0) for n in range(5)))), 50)
    assert (whole.micro_ap, whole.recall_99, whole.recall_first) == (1.0, 1.0, 1.0)
    assert whole.spread == ((1.0, 1.0),) * 3


def test_the_interval_is_that_of_the_binomial() -> None:
    # 50 of 100 originals are found, each once: the standard deviation of the share is .05.
    asked = [query(n) for n in range(100)]
    whole = summary(judge(asked, answers(*((n, n, 1.0) for n in range(50)))), 2000)
    low, high = whole.spread[1]
    assert whole.recall_99 == 0.5
    assert low == pytest.approx(0.5 - 1.96 * 0.05, abs=0.015)
    assert high == pytest.approx(0.5 + 1.96 * 0.05, abs=0.015)


# Peers and tables


def test_bits_and_cosines_of_peers() -> None:
    queries = np.asarray([[0b11110000], [0b00000000]], dtype=np.uint8)
    originals = np.asarray([[[0b11110000], [0b11111111]], [[0b00000001], [0b10000001]]], dtype=np.uint8)
    # The better of two forms: 8 and 4 equal bits for the first, 4 and 7 for the second.
    assert by_bits(queries, originals).tolist() == [[8, 4], [4, 7]]
    files = Files(["a", "b"], ["c", "lost"])
    vectors = {"a": np.asarray([2.0, 0.0]), "b": np.asarray([3.0, 3.0]), "c": np.asarray([0.0, 5.0])}
    cosines = by_cosine(files, vectors)
    assert cosines[0].tolist() == pytest.approx([0.0, 2**-0.5])
    assert np.isnan(cosines[1]).all()


def test_a_peer_that_needs_a_newer_python_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    peer = CopyPeer("future", "future", (), "none.py", least=(3, 90))
    with pytest.raises(PeerMissing, match=r"needs Python 3\.90; this is 3\.\d+"):
        peer.answer([], [], None)


def test_the_tables_hold_ours_the_peers_and_the_reason_of_a_missing_one() -> None:
    originals = tuple(Path(f"{n}.jpg") for n in range(3))
    edits = (("mirror", "single"), ("hue", "single"), ("combo-a", "combo"), ("collage", "collage"))
    asked = [Query(Path("x"), edit, kind, n, frozenset()) for n in range(3) for edit, kind in edits]
    asked += [Query(Path("x"), "crop25", "extreme", 0, frozenset())]
    unedited = tuple(
        Query(path, "original", "original", n, frozenset({n})) for n, path in enumerate(originals)
    )
    task = Task("report", originals, tuple(asked), unedited)
    perfect = [(n, q.original, 1.0) for n, q in enumerate(asked) if q.kind != "extreme"]
    cost = Cost(1.0, 2.0)

    def missing() -> tuple[Answers, str, Cost]:
        raise PeerMissing("no wheel")

    methods = {
        "simsearch": lambda: (answers(*perfect), "verifies", cost),
        # One wrong pair above all right ones, an unedited photo taken for another one.
        "other": lambda: (answers((len(asked), 1, 2.0), *perfect), "guesses", cost),
        "absent": missing,
    }
    (whole, by_edit, bars), figures = compare(task, methods)
    ours, other, absent = whole.rows
    assert ours[:3] == ("simsearch", "verifies", "1.000")
    assert (other[2], other[4], other[-2]) == (f"{12 / 13:.3f}", "0.000", "1.000")
    assert absent == ("absent", "no wheel", *([None] * 8))
    assert by_edit.columns == ("edit", "kind", "simsearch", "other")
    assert by_edit.rows[-1] == ("crop25", "extreme", "0.000", "0.000")
    assert all(row[-1] == "yes" for row in bars.rows)
    assert figures["methods"]["other"]["wrong"] == ()
    assert "12 edited photos and 3 unedited ones" in whole.title
    assert by_edit.note == "Thresholds in this run, each by the method's own score: simsearch 1, other inf."


def test_a_peer_that_wants_to_fetch_something_is_told_of_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIMSEARCH_BENCH", str(tmp_path))
    monkeypatch.setattr("benchmarks.peers.asking.SCRIPTS", tmp_path)
    error = "<urlopen error [Errno -3] Temporary failure in name resolution>"
    (tmp_path / "fetches.py").write_text(f"import urllib.error\nraise urllib.error.URLError({error!r})\n")
    (tmp_path / "fails.py").write_text("raise ValueError('no such mode')\n")
    with pytest.raises(PeerMissing, match=r"^its weights could not be downloaded here$"):
        ask(Path(sys.executable), "fetches.py", [])
    with pytest.raises(PeerMissing, match=r"^ValueError: no such mode$"):
        ask(Path(sys.executable), "fails.py", [])


def test_a_peer_has_the_time_that_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMSEARCH_BENCH", str(tmp_path))
    monkeypatch.setattr("benchmarks.peers.asking.SCRIPTS", tmp_path)
    (tmp_path / "sleeps.py").write_text("import time\ntime.sleep(60)\n")
    with pytest.raises(PeerMissing, match=r"^not done within 1 s$"):
        ask(Path(sys.executable), "sleeps.py", [], 1.0)
    assert {peer.name: peer.seconds for peer in PEERS if peer.seconds != SECONDS} == {
        "imagededup CNN, ResNet-50": 7200.0
    }


# Parts: thresholds, groups, cost


SETTINGS = Settings(
    Path("in/photos"), None, Path("in/w.pth"), "report", 5, True, 20, (2000, 100_000), 50, Path("in/real")
)


def test_the_default_is_what_the_published_results_were_made_with() -> None:
    [option] = [p for p in dedup.params if p.name == "per_class"]
    assert option.default == 10
    for part in ("quality", "auto"):
        whole, _ = load(RESULTS / f"dedup-{part}.json")
        assert "--per-class 10" in whole["command"]
        assert ("--weights" in whole["command"]) is (part == "quality")


def test_commands_name_what_a_part_goes_by() -> None:
    start = "python -m benchmarks dedup --part"
    usual = "--photos photos --weights w.pth"
    half = "--half report --per-class 5"
    assert SETTINGS.command("quality") == f"{start} quality {usual} {half} --peers"
    assert SETTINGS.command("auto") == f"{start} auto {usual} {half} --draws 20"
    assert SETTINGS.command("groups") == f"{start} groups {usual}"
    cost = "--rows 2000 --rows 100000 --small 50 --vectors real --peers"
    assert SETTINGS.command("cost") == f"{start} cost {usual} {half} {cost}"


def test_a_draw_counts_queries_and_originals_of_its_part_alone() -> None:
    asked = (*ASKED, query(1, "hue"), Query(Path("x"), "crop25", "extreme", 0, frozenset()))
    found = answers(
        (0, 0, 0.9),  # right
        (0, 1, 0.8),  # wrong
        (3, 0, 0.7),  # right
        (3, 2, 0.9),  # wrong, but of the other part
        (4, 0, 0.6),  # wrong: an unedited photo
        (2, 0, 0.9),  # made of an original of the other part
        (5, 1, 0.2),  # right
        (6, 1, 0.9),  # wrong, but of an extreme edit
    )
    originals = tuple(Path(f"{n}.jpg") for n in range(3))
    part = auto.part_of(Task("report", originals, asked[:4], asked[4:]), judge(asked, found), [0, 1])
    # Copies of originals 0 and 1 are the queries 0, 1, 3 and 5.
    assert part.copies == 4
    assert part.at(0.75) == auto.Draw(0.75, 1 / 2, 1 / 4, 2, 1)
    assert part.at(0.65) == auto.Draw(0.65, 2 / 3, 2 / 4, 3, 1)
    assert part.at(0.1) == auto.Draw(0.1, 3 / 5, 3 / 4, 5, 2)
    assert part.at(0.95) == auto.Draw(0.95, 1.0, 0.0, 0, 0)


def test_draws_are_counted_and_nineteen_of_twenty_are_wanted() -> None:
    good, bad = auto.Draw(0.5, 0.995, 0.9, 200, 1), auto.Draw(0.4, 0.975, 0.7, 200, 5)
    whole, each = auto.tables([good] * 19 + [bad], [bad] * 20, 1000)
    assert whole.rows[0] == ("auto", 19, 19, "0.9940", "0.9750", "0.8900", "0.7000")
    assert whole.rows[1][:3] == ("as it comes (0.40000)", 0, 19)
    assert len(each.rows) == 20
    assert each.rows[-1] == (20, "0.40000", "0.9750", "0.7000", 200, 5, "0.9750", "0.7000")


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (["918.jpg", "924.jpg"], "true copies"),
        (["981.jpg", "935.jpg"], "true copies"),
        (["209.jpg", "210.jpg"], "arguable"),
        (["918.jpg", "924.jpg", "935.jpg"], "wrong"),
        (["918.jpg", "935.jpg"], "wrong"),
        (["DJI_0018.JPG", "DJI_0019.JPG"], "wrong"),
    ],
)
def test_groups_are_told_by_file_names(names: list[str], kind: str) -> None:
    assert groups.kind_of(names) == kind


@pytest.mark.proof
def test_groups_among_photos_and_a_page_of_them(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIMSEARCH_BENCH", str(tmp_path / "bench"))
    folder = tmp_path / "photos"
    folder.mkdir()
    sources = sorted((photos / "originals").iterdir())[:4]
    for number, source in zip((918, 935, 1, 2), sources, strict=True):
        with Image.open(source) as image:
            image.convert("RGB").resize((384, 256)).save(folder / f"{number}.jpg", quality=95)
    with Image.open(folder / "918.jpg") as image:
        image.resize((192, 128)).save(folder / "924.jpg", quality=80)
    report = groups.groups(Settings(folder, None, None, "report", 1, False, 1, (2000,), 1, None))
    whole, each = report.tables
    assert [row[0] for row in whole.rows] == ["exact", "near", "near, auto"]
    assert [row[4:9] for row in whole.rows[:2]] == [(0, 0, 0, 0, 0), (1, 1, 0, 0, 0)]
    # Five pictures are too few for a threshold of their own, and the row says so.
    assert "10 pictures" in str(whole.rows[2][1])
    found, missed = each.rows
    assert (*found[:3], found[4]) == ("near", "near", "918.jpg, 924.jpg", "true copies")
    assert missed == ("near", "", "935, 981", "", "true copies, not found")
    page = (tmp_path / "bench" / "dedup" / "groups-near.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg;base64,") == 2
    assert report.figures["near"][0]["files"] == ("918.jpg", "924.jpg")


def test_made_hashes_are_real_ones_and_near_ones(tmp_path: Path) -> None:
    real = np.random.default_rng(0).integers(0, 256, (3, 8, 32), dtype=np.uint8)
    np.save(tmp_path / made.HASHES, real)
    table = made.hash_table(tmp_path, 9)
    assert table.known.all()
    assert (table.forms[:3] == real).all()
    for place in range(3, 9):
        bits = np.unpackbits(table.forms[place] ^ real[place % 3], axis=1).sum(axis=1)
        # 10 to 35 % of 256 bits, give or take three standard deviations, the same in all eight forms.
        assert 10 <= bits[0] <= 115
        assert (bits == bits[0]).all()


def test_half_of_the_smallest_number_is_measured_for_the_peer_alone() -> None:
    assert counts(SETTINGS) == [1000, 2000, 100_000]
    assert counts(replace(SETTINGS, peers=False)) == [2000, 100_000]


def test_the_classifier_tells_how_it_was_trained() -> None:
    text = Path(classifier.__file__).with_name(classifier.FILE).read_text(encoding="utf-8")
    told = json.loads(text)
    words = told["provenance"]["command"].split()
    assert words[words.index("--name") + 1] == told["name"]
    assert set(told["provenance"]["candidates"]) == {"vectors", "words", "hashes"}


def test_a_measurement_runs_in_a_process_of_its_own(tmp_path: Path) -> None:
    np.save(tmp_path / made.HASHES, np.random.default_rng(0).integers(0, 256, (50, 8, 32), dtype=np.uint8))
    told = child("candidates", "hashes", tmp_path, 200)
    assert told["cpu_s"] > 0
    assert 0 < told["peak_mib"] < 200
    missing = child("candidates", "hashes", tmp_path / "missing", 200)
    assert set(missing) == {"error"}
    assert "FileNotFoundError" in missing["error"]


TOLD = {
    **{"photos": 2000, "pairs": 40_000, "groups": 7, "cpu_s": 300.0, "wall_s": 160.0},
    **{"reading_s": 80.0, "candidates_s": 10.0, "comparing_s": 200.0, "rest_s": 10.0},
    **{"peak_mib": 100.0, "below_mib": 50.0},
}


@pytest.fixture
def neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    """2 by hashes, 10 by words, 20 by vectors, of 100,000 pictures 36."""
    monkeypatch.setattr(tables, "HASHED", 2)
    monkeypatch.setattr(tables, "WORDED", 10)
    monkeypatch.setattr(tables, "neighbours_for", lambda count: 36 if count == 100_000 else 20)


@pytest.mark.usefixtures("neighbours")
def test_scaling_is_arithmetic() -> None:
    found = scaled(TOLD, 1000.0)
    assert found.pairs == pytest.approx(20 * 48 / 32 * 100_000)
    assert found.reading == pytest.approx(0.04 * 100_000)
    assert found.comparing == pytest.approx(0.005 * 3_000_000)
    assert found.rest == pytest.approx(500)
    assert found.whole == pytest.approx(4000 + 1000 + 15_000 + 500)
    assert scaled(TOLD, None).whole is None


def candidates_told(rows: int, cpu: float, peak: float) -> dict[tuple[str, int], dict[str, float]]:
    told = {"cpu_s": cpu, "wall_s": cpu / 2, "peak_mib": peak, "below_mib": 0.0}
    return {(kind, rows): told for kind in ("vectors", "hashes", "words")}


def test_memory_is_that_of_the_largest_with_the_hashes() -> None:
    measured = Measured({}, {}, candidates_told(2**20, 1.0, 1000.0), {}, {})
    assert held_at(measured, 2**20) == 1000 + 258
    assert held_at(measured, 100_000) is None


@pytest.mark.usefixtures("neighbours")
def test_cost_is_held_against_its_bars() -> None:
    pieces = {"features": (200, 20.0), "decoding": (200, 2.0)}
    candidates = candidates_told(20_000, 5.0, 90.0) | candidates_told(100_000, 400.0, 200.0)
    peer = {
        10_000: {"error": "no wheel"},
        20_000: {"cpu_s": 50.0, "wall_s": 30.0, "peak_mib": 9.0, "below_mib": 1.0},
    }
    pairs = {"a pair of different photos": (10, 4.5), "a photo and its edited copy": (10, 6.0)}
    measured = Measured({"photos": pieces}, pairs, candidates, peer, {"photos": TOLD})
    bars, of_one, many, beside, whole, by_scale = tables.tables(measured)
    rows = {row[0]: row[1:] for row in bars.rows}
    assert rows["CPU ms of a pair of different photos, at most"] == (4.0, 4.5, "no")
    assert rows["CPU ms of a photo's features, at most"] == (30.0, 20.0, "yes")
    # 4,000 + 3 x 400 + 15,000 + 500 CPU seconds on two cores
    minutes = rows["minutes of 100,000 pictures on 2 cores, by photos, at most"]
    assert minutes == (90.0, pytest.approx(20_700 / 120), "no")
    assert rows["times less CPU than imagededup at 20,000, at least"] == (20.0, 10.0, "no")
    assert rows["times less CPU than imagededup at 10,000, at least"] == (20.0, None, "")
    assert rows["MiB for candidates of 1,000,000, less than"] == (2048.0, None, "")
    assert ("photos: features", 200, 20.0) in of_one.rows
    assert len(many.rows) == 6
    assert ("imagededup CNN, find_duplicates: no wheel", 10_000, *([None] * 5)) in beside.rows
    assert whole.rows[0][:4] == ("photos", 2000, 40_000, 7)
    assert by_scale.rows[0][1] == 3_000_000
