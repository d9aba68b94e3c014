"""The close look at two pictures: points, homographies, masks, the ten numbers and what they come to."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from conftest import picture
from PIL import Image, ImageOps

from dedup.ground import Turn, as_picture, loaded, prepared, turned
from simsearch.dedup.features.collect import Collector
from simsearch.dedup.features.store import FeatureStore
from simsearch.dedup.stages.judging import DIFFERENT, Cuts, PairJudge, counted, cuts_of
from simsearch.dedup.verify import forms
from simsearch.dedup.verify.align import NAMES, numbers, resized
from simsearch.dedup.verify.classifier import Classifier, expanded, shipped
from simsearch.dedup.verify.forms import whole_frame
from simsearch.dedup.verify.judge import judge
from simsearch.dedup.verify.match import Placed, matches, mirrored, place, plausible, rooted
from simsearch.dedup.verify.prepare import Prepared

WHOLE = Placed(np.eye(3), mirrored=False, inliers=100, share=1.0)


@pytest.fixture(scope="module")
def coffee(photos: Path) -> Image.Image:
    return loaded(photos / "originals" / "coffee.png")


@pytest.fixture(scope="module")
def chelsea(photos: Path) -> Image.Image:
    return loaded(photos / "originals" / "chelsea.png")


def told(one: Prepared, other: Prepared, placed: Placed = WHOLE) -> dict[str, float]:
    values = numbers(one, other, placed)
    assert values is not None
    return dict(zip(NAMES, values.tolist(), strict=True))


def test_rooted_descriptors_are_unit_vectors_of_roots() -> None:
    row = np.zeros((1, 128), np.uint8)
    row[0, :4] = [1, 4, 4, 16]
    assert rooted(row)[0, :5].tolist() == pytest.approx([0.2, 0.4, 0.4, 0.8, 0.0])
    assert np.isfinite(rooted(np.zeros((2, 128), np.uint8))).all()


def test_mirroring_twice_changes_nothing() -> None:
    rows = np.random.default_rng(0).random((5, 128), dtype=np.float32)
    assert not np.array_equal(mirrored(rows), rows)
    np.testing.assert_array_equal(mirrored(mirrored(rows)), rows)


def test_mirrored_descriptors_are_those_of_the_mirrored_picture(coffee: Image.Image) -> None:
    one, other = prepared(coffee), prepared(ImageOps.mirror(coffee))
    rows, columns = matches(one.points, other.mirror)
    assert len(rows) > 100
    width = one.size[0]
    moved = np.abs(one.features.places[rows] * [-1, 1] + [width - 1, 0] - other.features.places[columns]).max(
        axis=1
    )
    assert (moved < 1).mean() > 0.9
    straight, _ = matches(one.points, other.points)
    assert len(straight) < len(rows) / 4


def test_a_row_is_matched_at_most_once_and_only_when_clear() -> None:
    base = np.eye(128, dtype=np.float32)[:8]
    rows, columns = matches(base, base[::-1].copy())
    assert sorted(rows.tolist()) == list(range(8))
    assert columns.tolist() == [7 - row for row in rows]
    twice = np.concatenate([base, base])
    assert len(matches(base, twice)[0]) == 0, "two equally good matches are none"
    assert len(set(matches(twice, base)[1].tolist())) == len(matches(twice, base)[1]) == 8
    assert len(matches(base[:4], base)[0]) == 0, "four matches always fit some homography"


@pytest.mark.parametrize("box", [(100, 60, 400, 300), (0, 0, 256, 341), (200, 100, 500, 340)])
def test_a_crop_is_placed_where_it_was_cut_out(coffee: Image.Image, box: tuple[int, int, int, int]) -> None:
    cut = coffee.crop(box)
    one, other = prepared(cut), prepared(coffee)
    rows, columns = matches(one.points, other.points)
    placed = place(one.features.places[rows], other.features.places[columns], one.size)
    assert placed is not None
    assert placed.inliers >= 20
    corners = np.array([[0, 0, 1], [one.size[0], one.size[1], 1]]) @ placed.matrix.T
    found = corners[:, :2] / corners[:, 2:]
    scale = other.size[0] / coffee.width
    np.testing.assert_allclose(found, np.array([box[:2], box[2:]]) * scale, atol=1.5)


def test_no_edit_bends_a_photo_beyond_recognition() -> None:
    size = (192, 128)
    assert plausible(np.eye(3), size)
    assert plausible(np.diag([8.0, 8.0, 1.0]), size)
    assert not plausible(np.diag([8.1, 8.1, 1.0]), size)
    assert not plausible(np.diag([1 / 8.1, 1 / 8.1, 1.0]), size)
    assert plausible(np.diag([3.0, 1.0, 1.0]), size)
    assert not plausible(np.diag([3.1, 1.0, 1.0]), size)
    folded = np.array([[1, 0, 0], [0, 1, 0], [-1 / 96, 0, 1]])
    assert not plausible(folded, size)
    assert not plausible(-np.eye(3), size)


def test_a_resized_frame_is_laid_centre_on_centre() -> None:
    matrix = resized((96, 64), (192, 128))
    # Pixel 0 of the small one covers pixels 0 and 1, whose middle is 0.5; the last, 95, covers 190 and 191.
    assert (matrix @ [0, 0, 1]).tolist() == pytest.approx([0.5, 0.5, 1])
    assert (matrix @ [95, 63, 1]).tolist() == pytest.approx([190.5, 126.5, 1])


def test_a_picture_is_laid_on_itself(coffee: Image.Image) -> None:
    one = prepared(coffee)
    found = told(one, one)
    assert found["log1p_inliers"] == pytest.approx(math.log(101))
    assert found["inlier_share"] == 1
    for name in ("correlation", "structure_mean", "structure_median", "structure_share", "fine_correlation"):
        assert found[name] == pytest.approx(1, abs=1e-4), name
    assert found["containment_most"] == pytest.approx(1, abs=0.02)
    assert found["containment_least"] == pytest.approx(1, abs=0.05)
    assert 0 < found["log_compared"] <= math.log(one.grey.size)


def test_a_negative_is_the_opposite(coffee: Image.Image) -> None:
    found = told(prepared(coffee), prepared(ImageOps.invert(coffee)))
    assert found["correlation"] == pytest.approx(-1, abs=1e-3)
    assert found["fine_correlation"] == pytest.approx(-1, abs=0.02)
    assert found["structure_mean"] < -0.5
    assert found["structure_share"] == 0
    assert found["containment_most"] == 0


def test_light_and_contrast_leave_structure_alone(coffee: Image.Image) -> None:
    dull = coffee.point([round(value * 0.5 + 60) for value in range(256)] * 3)
    found = told(prepared(coffee), prepared(dull))
    assert found["correlation"] > 0.99
    assert found["structure_mean"] > 0.95


def test_half_of_a_picture_is_contained_and_contains_half(chelsea: Image.Image) -> None:
    half = chelsea.crop((0, 0, chelsea.width // 2, chelsea.height))
    one, other = prepared(half), prepared(chelsea)
    scale = (other.size[1] / chelsea.height) / (one.size[1] / half.height)
    placed = Placed(np.diag([scale, scale, 1.0]), mirrored=False, inliers=50, share=1.0)
    found = told(one, other, placed)
    assert found["correlation"] > 0.97
    assert found["containment_most"] > 0.9
    textures = other.texture[:, : other.size[0] // 2].sum() / other.texture.sum()
    assert found["containment_least"] == pytest.approx(float(textures), abs=0.08)
    assert told(other, one, Placed(np.linalg.inv(placed.matrix), False, 50, 1.0)) == pytest.approx(found)


def test_two_plain_pictures_are_not_compared() -> None:
    plain = prepared(Image.new("RGB", (300, 200), "grey"))
    assert numbers(plain, plain, WHOLE) is None
    assert judge(plain, plain, shipped()).score == 0


@pytest.mark.parametrize("form", [None, *Turn], ids=lambda form: form.name if form else "SAME")
def test_all_eight_forms_are_recognised_and_can_be_undone(coffee: Image.Image, form: Turn | None) -> None:
    # Cut, so that no form of it looks like another.
    image = coffee.crop((0, 0, 400, 300))
    other = turned(image, form)
    one, two = prepared(image), prepared(other)
    for found in (judge(one, two, shipped()).placed, whole_frame(one, two)):
        assert found is not None
        back = ImageOps.mirror(other) if found.mirrored else other
        back = back.rotate(-forms.turned(found), expand=True)
        assert np.array_equal(np.asarray(back), np.asarray(image))
    assert judge(one, two, shipped()).score > 0.99
    whole = whole_frame(one, two)
    assert whole is not None
    assert told(one, two, whole)["correlation"] > 0.98


def framed(image: Image.Image, colour: str = "black") -> Image.Image:
    """A picture in a frame that takes more of the whole than it does."""
    return ImageOps.expand(image.resize((300, 200)), 120, colour)


@pytest.mark.parametrize("colour", ["black", "white", "teal"])
def test_a_shared_frame_is_no_likeness(coffee: Image.Image, chelsea: Image.Image, colour: str) -> None:
    one, other = prepared(framed(coffee, colour)), prepared(framed(chelsea, colour))
    height, width = one.grey.shape
    inner = one.mask[height // 2 - 15 : height // 2 + 15, width // 2 - 20 : width // 2 + 20]
    assert inner.mean() > 0.9
    assert one.mask[:20].max() == one.mask[:, :20].max() == 0
    found = judge(one, other, shipped())
    assert shipped().probable > found.score
    # The frames themselves are equal, pixel by pixel, and most of the whole.
    assert (one.grey == other.grey).mean() > 0.6
    assert judge(one, prepared(coffee), shipped()).score > shipped().threshold


def test_a_photo_without_a_frame_is_looked_at_whole(photos: Path) -> None:
    assert prepared(loaded(photos / "originals" / "gravel.png")).mask.mean() == 1


def test_two_photos_are_not_copies(coffee: Image.Image, chelsea: Image.Image) -> None:
    found = judge(prepared(coffee), prepared(chelsea), shipped())
    assert found.score < 0.05
    assert judge(prepared(picture(1)), prepared(picture(2)), shipped()).score < shipped().probable


def test_another_view_of_one_scene_is_similar_and_no_copy(photos: Path) -> None:
    left, right = (
        prepared(loaded(photos / "originals" / f"motorcycle_{side}.png")) for side in ("left", "right")
    )
    found = judge(left, right, shipped())
    cuts = cuts_of(shipped(), None)
    assert found.inliers > 50
    assert cuts.level(found.score, found.inliers) == "similar"


def test_the_terms_are_numbers_squares_and_products() -> None:
    values = np.zeros(10)
    values[0], values[3] = 2, -3
    terms = expanded(values)
    assert terms.shape == (65,)
    assert terms[:10].tolist() == values.tolist()
    assert sorted(terms[10:][terms[10:] != 0].tolist()) == [-6, 4, 9]
    assert expanded(np.full(10, 99.0))[0] == 4, "far outside nothing was learned"


def test_a_probability_is_that_of_a_logistic_regression() -> None:
    weights = np.zeros(65)
    weights[1] = 2
    made = Classifier("by hand", np.ones(10), np.full(10, 2.0), weights, 0.5, 0.9, 0.5)
    values = np.ones(10)
    values[1] = 3  # One deviation over the mean: 2 * 1 + 0.5.
    assert made.probability(values) == pytest.approx(1 / (1 + math.exp(-2.5)))
    assert made.probability(np.ones(10)) == pytest.approx(1 / (1 + math.exp(-0.5)))


def test_levels_begin_at_the_cuts() -> None:
    cuts = Cuts(0.9, 0.5)
    given = [(1.0, 0), (0.9, 0), (0.89, 99), (0.5, 0), (0.49, 15), (0.49, 14), (0.0, 0)]
    assert [cuts.level(*pair) for pair in given] == [
        "near", "near", "probably", "probably", "similar", DIFFERENT, DIFFERENT,
    ]  # fmt: skip


def test_a_threshold_that_is_given_counts() -> None:
    classifier = shipped()
    assert cuts_of(classifier, None) == Cuts(classifier.threshold, classifier.probable)
    assert cuts_of(classifier, 0.999) == Cuts(0.999, classifier.probable)
    assert cuts_of(classifier, 0.001) == Cuts(0.001, 0.001)


def test_pairs_are_judged_once_and_kept(photos: Path, tmp_path: Path) -> None:
    names = ("originals/coffee.png", "recompressed/coffee.jpg", "originals/rocket.jpg")
    pictures = [as_picture(number, photos / name) for number, name in enumerate(names)]
    asked = [(0, 1), (0, 2), (2, 1)]

    def run(folder: Path | None) -> list[tuple[int, int, str]]:
        with FeatureStore(folder, "j") as store, Collector(store, max_pixels=10**8) as collector:
            collector.hashes(pictures)
            pairs = PairJudge(pictures, (collector, store), shipped(), Cuts(0.7, 0.3))(asked)
            scores = {pair.score for pair in pairs}
            kept.append([*store.scores(1).values(), *store.scores(2).values()])
            assert scores == {score for score, _ in kept[-1]}
        return [(pair.first, pair.second, pair.level) for pair in pairs]

    kept: list[list[tuple[float, int]]] = []
    expected = [(0, 1, "near"), (0, 2, DIFFERENT), (1, 2, DIFFERENT)]
    assert run(tmp_path) == run(tmp_path) == run(None) == expected
    assert kept[0] == kept[1] == kept[2]
    assert len(kept[0]) == 3


def test_pairs_are_counted_aloud() -> None:
    told: list[tuple[str, int, int]] = []
    assert len(list(counted(iter([WHOLE] * 250), 250, lambda *said: told.append(said)))) == 250  # type: ignore[arg-type, list-item]
    assert told == [("comparing", 100, 250), ("comparing", 200, 250), ("comparing", 250, 250)]
