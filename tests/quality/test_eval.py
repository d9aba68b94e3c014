"""Figures of quality that can be worked out by hand, and scikit-learn's average precision."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from oracle import read_index
from sklearn.metrics import average_precision_score

from quality.ground import made, on_a_circle
from simsearch import Index, SimsearchError
from simsearch.engine.maintenance.remove import remove
from simsearch.errors import IndexDamaged, IndexEmpty
from simsearch.quality import EvalInvalid, EvalOptions, evaluate
from simsearch.quality.truth import half_of
from simsearch.views.figures import figures_of

# a/2 is the closest to a/1 but for b/1, and so on.
FOUR = {"a/1.png": 0, "a/2.png": 10, "b/1.png": 4, "b/2.png": 50}


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of `FOUR` that is only read."""
    return on_a_circle(tmp_path_factory.mktemp("four"), FOUR)


def name(path: str) -> str:
    return "/".join(path.split("/")[-2:])


# Figures


def test_figures_by_hand(four: Path) -> None:
    # a/1 sees b/1, a/2, b/2: its one right answer is second. a/2 sees b/1, a/1, b/2: second. b/1 sees a/1,
    # a/2, b/2: third. b/2 sees a/2, b/1, a/1: second.
    report = evaluate(four, EvalOptions(k=2))
    assert (report.n, report.queries, report.classes, report.distractors) == (4, 4, 2, 0)
    assert report.mean_average_precision == pytest.approx((1 / 2 + 1 / 2 + 1 / 3 + 1 / 2) / 4)
    assert report.precision_at_1 == 0
    assert report.precision_at_k == pytest.approx(3 / 8)
    assert report.recall_at_k == pytest.approx(3 / 4)
    assert (report.ns_score, report.ns_queries) == (None, 0)
    b, a = report.groups
    assert (b.name, b.pictures, b.queries) == ("b", 2, 2)
    assert b.mean_average_precision == pytest.approx(5 / 12)
    assert (a.name, a.precision_at_k, a.recall_at_k) == ("a", 0.5, 1.0)
    assert a.mean_average_precision == pytest.approx(1 / 2)
    assert 1 / 3 <= report.low < report.mean_average_precision < report.high <= 1 / 2


def test_the_worst_queries_and_their_answers(four: Path) -> None:
    report = evaluate(four, EvalOptions(k=2, worst=2))
    assert [name(query.path) for query in report.worst] == ["b/1.png", "a/1.png"]
    worst = report.worst[0]
    assert worst.average_precision == pytest.approx(1 / 3)
    assert worst.groups == ("b",)
    assert [(name(a.path), a.right) for a in worst.answers] == [("a/1.png", False), ("a/2.png", False)]
    assert worst.answers[0].score == pytest.approx(np.cos(np.deg2rad(4)))


def test_a_query_without_a_mistake_is_not_among_the_worst(tmp_path: Path) -> None:
    perfect = {"a/1.png": 0, "a/2.png": 1, "b/1.png": 90, "b/2.png": 91}
    report = evaluate(on_a_circle(tmp_path, perfect))
    assert report.mean_average_precision == report.low == report.high == 1
    # Two right answers of two, though ten were asked for: P@10 is among the three others there are.
    assert (report.precision_at_k, report.recall_at_k) == (pytest.approx(1 / 3), 1)
    assert report.worst == ()


def test_ties_count_in_every_order() -> None:
    # The query itself, one right and one wrong answer at .9, and a right one at .5.
    scores = np.array([1, 0.9, 0.9, 0.5], dtype=np.float32)
    found = figures_of(scores, 0, np.array([1, 3]), 1)
    assert found.average_precision == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert found.precision_at_1 == found.precision_at_k == pytest.approx(1 / 2)
    assert found.recall_at_k == pytest.approx(1 / 4)
    assert found.within_3 == 2


def test_n_s_of_groups_of_four(tmp_path: Path) -> None:
    # Each of a has the three others of a nearest: 4. b/4 is 40 degrees from a and 130 from b, so that it has
    # none of b among its best three, and the others of b have each other and one of a: 1 + 0, and three times
    # 1 + 2. The pair c is no group of four.
    degrees = {f"a/{n}.png": float(n) for n in range(4)} | {f"b/{n}.png": 90.0 + n for n in range(3)}
    degrees |= {"b/4.png": 320.0, "c/1.png": 180.0, "c/2.png": 181.0}
    report = evaluate(on_a_circle(tmp_path, degrees))
    assert report.ns_queries == 8
    assert report.ns_score == pytest.approx((4 * 4 + 1 + 3 * 3) / 8)


@pytest.mark.parametrize("center", [False, True])
def test_as_scikit_learn_has_it(tmp_path: Path, center: bool) -> None:
    rng = np.random.default_rng(5)
    middles = rng.standard_normal((9, 12)) + 0.5
    rows = {f"{n % 9}/{n:02d}.png": middles[n % 9] + rng.standard_normal(12) for n in range(70)}
    # Ties, of a right answer with a wrong one and of two right ones.
    rows["0/00.png"] = rows["1/10.png"] = rows["1/19.png"]
    index = made(tmp_path, rows)
    truth = read_index(index)
    vectors = truth.vectors
    if center:
        mean = vectors.astype(np.float64).mean(axis=0) * (70 / (70 + 30))
        vectors = vectors - mean.astype(np.float32)
        vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    scores = np.clip(vectors.astype(np.float64) @ vectors.T.astype(np.float64), -1, 1).astype(np.float32)
    with Index.open(index) as opened:
        groups = np.array([os.path.basename(os.path.dirname(photo.paths[0])) for photo in opened.photos()])
    expected = []
    for place in range(70):
        others = np.arange(70) != place
        right = groups[others] == groups[place]
        expected.append(average_precision_score(right, scores[place][others]))
    report = evaluate(index, EvalOptions(center=center))
    assert report.config.center is center
    assert report.mean_average_precision == pytest.approx(np.mean(expected), abs=1e-9)


def test_the_same_in_parts(four: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = evaluate(four)
    # Room for the scores of one query and for one vector at a time.
    monkeypatch.setattr("simsearch.quality.ranking.HELD", 1)
    monkeypatch.setattr("simsearch.quality.collection.BLOCK", 1)
    steps: list[tuple[str, int, int]] = []
    assert evaluate(four, progress=lambda *step: steps.append(step)) == whole
    assert steps == [("comparing", done, 4) for done in (1, 2, 3, 4)]


def test_some_queries_evenly_by_path(four: Path) -> None:
    report = evaluate(four, EvalOptions(queries=2))
    # a/1 and b/1 of the four.
    assert (report.n, report.queries, report.classes) == (4, 2, 2)
    assert report.mean_average_precision == pytest.approx((1 / 2 + 1 / 3) / 2)
    assert [(group.name, group.queries) for group in report.groups] == [("b", 1), ("a", 1)]


def test_files_with_the_same_bytes_are_one_picture(tmp_path: Path) -> None:
    # The copy of a/1 lies in c, so that this one picture is of both groups, and c/1 asks for it.
    degrees = {**FOUR, "c/1.png": 1.0}
    report = evaluate(on_a_circle(tmp_path, degrees, copies={"c/copy.png": "a/1.png", "a/x.png": "b/2.png"}))
    assert (report.n, report.queries, report.classes) == (5, 5, 3)
    pictures = {group.name: group.pictures for group in report.groups}
    # b/2 is in a as well.
    assert pictures == {"a": 3, "b": 2, "c": 2}


def test_a_damaged_vector_is_told(tmp_path: Path) -> None:
    index = on_a_circle(tmp_path, FOUR)
    [segment] = (index / "segments").glob("*.seg")
    raw = bytearray(segment.read_bytes())
    raw[-1] ^= 1
    segment.write_bytes(raw)
    with pytest.raises(IndexDamaged, match="simsearch verify"):
        evaluate(index)


def test_an_index_without_a_photo(tmp_path: Path) -> None:
    index = on_a_circle(tmp_path, FOUR)
    remove([tmp_path / "photos"], index, yes=True)
    with pytest.raises(IndexEmpty):
        evaluate(index)


# Truth


def table(work: Path, index: Path, *lines: str) -> str:
    """A table in `work` that names pictures of an index by their place relative to it."""
    photos = os.path.relpath(index.parent / "photos", work)
    path = work / "groups.csv"
    path.write_text("\n".join(["path,group", *(f"{photos}/{line}" for line in lines)]) + "\n")
    return str(path)


def test_a_table_of_groups(four: Path, tmp_path: Path) -> None:
    # b/1 is with both of a, b/2 with a/2 only.
    lines = ["a/1.png,x", "a/2.png,x", "b/1.png,x", "b/2.png,y", "a/2.png,y", "b/1.png,"]
    report = evaluate(four, EvalOptions(truth=table(tmp_path, four, *lines)))
    assert (report.queries, report.classes, report.distractors) == (4, 2, 0)
    # a/1: b/1, a/2 are first. a/2: b/1, a/1, b/2 are all right. b/1: a/1, a/2. b/2: a/2.
    assert report.mean_average_precision == 1
    assert {group.name: group.queries for group in report.groups} == {"x": 3, "y": 2}


def test_what_no_group_has_can_only_be_wrong(four: Path, tmp_path: Path) -> None:
    report = evaluate(
        four, EvalOptions(truth=table(tmp_path, four, "a/1.png,x", "a/2.png,x", "b/2.png,alone"))
    )
    assert (report.n, report.queries, report.classes, report.distractors) == (4, 2, 1, 2)
    assert report.mean_average_precision == pytest.approx(1 / 2)


def test_a_table_that_names_what_is_not_indexed(four: Path, tmp_path: Path) -> None:
    with pytest.raises(SimsearchError, match=r"1 of the 2 files .* are not in the index .*/a/9\.png"):
        evaluate(four, EvalOptions(truth=table(tmp_path, four, "a/1.png,x", "a/9.png,x")))


def test_a_table_without_groups(four: Path, tmp_path: Path) -> None:
    (tmp_path / "odd.csv").write_text("path,class\na/1.png,x\n")
    with pytest.raises(SimsearchError, match="no column called group, only path, class"):
        evaluate(four, EvalOptions(truth=str(tmp_path / "odd.csv")))
    for missing in (str(tmp_path / "none.csv"), "~nobody-of-this-name/groups.csv"):
        with pytest.raises(SimsearchError, match="is no file"):
            evaluate(four, EvalOptions(truth=missing))


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("a\0.png,x\n", "row 0 has a path that no file can have"),
        ('"a/1.png,x\na/2.png,x\n', "unexpected end"),
    ],
)
def test_a_table_with_a_path_that_is_none(four: Path, tmp_path: Path, lines: str, said: str) -> None:
    (tmp_path / "odd.csv").write_text(f"path,group\n{lines}")
    with pytest.raises(SimsearchError, match=f"odd.csv cannot be read as a table of photos: {said}"):
        evaluate(four, EvalOptions(truth=str(tmp_path / "odd.csv")))


def test_names_with_consecutive_numbers(tmp_path: Path) -> None:
    degrees = {
        "img007.png": 0.0,
        "img004.png": 1.0,
        "img008.png": 90.0,
        "img009.png": 91.0,
        "x.png": 45.0,
    }
    report = evaluate(on_a_circle(tmp_path, degrees), EvalOptions(truth=r"name:img(\d+)", group_size=4))
    assert [(group.name, group.pictures) for group in report.groups] == [("4-7", 2), ("8-11", 2)]
    assert report.distractors == 1
    assert report.config.truth == r"name:img(\d+)"
    assert report.config.group_size == 4


def test_names_with_a_word(tmp_path: Path) -> None:
    degrees = {"1/cat-1.png": 0.0, "2/cat-2.png": 1.0, "1/dog-1.png": 90.0, "2/dog-2.png": 91.0}
    report = evaluate(on_a_circle(tmp_path, degrees), EvalOptions(truth=r"name:^(cat|dog)-"))
    assert [group.name for group in report.groups] == ["cat", "dog"]


@pytest.mark.parametrize(
    ("truth", "size", "said"),
    [
        ("name:(", None, "no regular expression"),
        ("name:x", None, "0 groups in parentheses"),
        ("name:(x)(y)", None, "2 groups in parentheses"),
        ("name:(.+)", 4, "is no number"),
        (None, 4, "--truth name:REGEX"),
        ("x.csv", 4, "--truth name:REGEX"),
        ("name:(x)", 1, "at least two"),
    ],
)
def test_a_truth_that_cannot_be(four: Path, truth: str | None, size: int | None, said: str) -> None:
    with pytest.raises(EvalInvalid, match=said):
        evaluate(four, EvalOptions(truth=truth, group_size=size))


def test_a_truth_by_which_nothing_can_be_asked(four: Path) -> None:
    with pytest.raises(SimsearchError, match="No two of the 4 pictures belong together"):
        evaluate(four, EvalOptions(truth="name:(nothing)"))
    with pytest.raises(SimsearchError, match="no answer can be wrong"):
        evaluate(four, EvalOptions(truth="name:(png)"))


# Halves


def test_halves_share_no_class_and_leave_none_out(tmp_path: Path) -> None:
    # By the first byte of `printf %s a | sha256sum`: ca, even; b: 3e, even; c: 2e, even; e: 3f, odd.
    assert [half_of(word) for word in "abce"] == ["choose", "choose", "choose", "report"]
    degrees = {f"{word}/{n}.png": 20.0 * k + n for k, word in enumerate("abcdefgh") for n in (1, 2)}
    index = on_a_circle(tmp_path, degrees)
    halves = [evaluate(index, EvalOptions(half=half)) for half in ("choose", "report")]
    chosen, reported = ({group.name for group in half.groups} for half in halves)
    assert chosen | reported == set("abcdefgh")
    assert not chosen & reported
    assert [half.n for half in halves] == [2 * len(chosen), 2 * len(reported)]


def test_a_picture_of_both_halves_is_in_neither(tmp_path: Path) -> None:
    degrees = {"1.png": 0.0, "2.png": 1.0, "3.png": 10.0, "4.png": 90.0, "5.png": 91.0, "6.png": 45.0}
    index = on_a_circle(tmp_path, degrees)
    # 3 is of a and b (to choose) and of e (to report); 6 is of none, and in both halves.
    lines = ["1,a", "2,a", "3,a", "3,b", "1,b", "3,e", "4,e", "5,e"]
    truth = table(tmp_path, index, *(line.replace(",", ".png,") for line in lines))
    chosen = evaluate(index, EvalOptions(truth=truth, half="choose"))
    assert [(group.name, group.pictures) for group in chosen.groups] == [("a", 2)]
    assert (chosen.n, chosen.distractors) == (3, 1)
    reported = evaluate(index, EvalOptions(truth=truth, half="report"))
    assert [(group.name, group.pictures) for group in reported.groups] == [("e", 2)]
    assert (reported.n, reported.distractors) == (3, 1)


def test_a_half_in_which_nothing_can_be_asked(four: Path) -> None:
    # a and b are both to choose.
    with pytest.raises(SimsearchError, match="No two of the 0 pictures of the half to report belong"):
        evaluate(four, EvalOptions(half="report"))
