"""Why two pictures are alike: the split is exact, lies where the network looked, finds what they share."""

from __future__ import annotations

import io
import json
import os
import random
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import picture, simsearch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from ui.ground import indexed

from simsearch import Index, find_similar, index_folder
from simsearch.engine.indexing import IndexingConfig
from simsearch.engine.search import QueryOptions
from simsearch.errors import ModelUnknown, PhotoUnreadable
from simsearch.framing import Framing, frame
from simsearch.models.attention.geometry import Area, looked_at
from simsearch.models.attention.likeness import split
from simsearch.models.attention.shares import ShareReader
from simsearch.models.backbone import EmbeddingNetwork, build_network
from simsearch.models.choice import ModelChoice
from simsearch.models.registry import build, get_backbone
from simsearch.quality.why.explain import Basis, basis_of_model, explain
from simsearch.quality.why.records import Side
from simsearch.quality.why.regions import strongest
from simsearch.report.quality.explanation.colours import coloured
from simsearch.report.quality.explanation.image import explanation_png
from simsearch.spec import EmbeddingSpec

LITE = "efficientnet_lite0"


def made_basis(folder: Path, name: str, pooling: str = "avg") -> Basis:
    """A backbone with random weights, which are written to a file."""
    torch.manual_seed(1)
    file = folder / f"{name}.pth"
    torch.save(build(get_backbone(name)).state_dict(), file)
    return basis_of_model(ModelChoice(name, str(file), pooling))


def pixels_for(spec: EmbeddingSpec) -> NDArray[np.uint8]:
    return np.stack([frame(picture(seed, (300, 300)), spec.framing) for seed in (1, 2)])


# The split


def test_a_cosine_is_split_into_places_by_hand() -> None:
    """(.6, 0) + (0, .8) = (.6, .8), and (1, 0) + nothing = (1, 0): the cosine .6 is of the first places."""
    one = np.array([[[0.6, 0], [0, 0.8]]], np.float32)
    other = np.array([[[1, 0], [0, 0]]], np.float32)
    likeness = split(one, other)
    assert likeness.score == pytest.approx(0.6)
    assert likeness.first == pytest.approx(np.array([[0.6, 0]]))
    assert likeness.second == pytest.approx(np.array([[0.6, 0]]))
    assert likeness.pairs == pytest.approx(np.array([[0.6, 0], [0, 0]]))


def test_a_centred_cosine_is_split_as_exactly() -> None:
    """Less the mean (.6, 0), half from each place: (.3, 0) + (-.3, .8) = (0, .8), and (.4, 0).

    They are square to each other: what the first place adds, the second takes.
    """
    one = np.array([[[0.6, 0], [0, 0.8]]], np.float32)
    other = np.array([[[1, 0], [0, 0]]], np.float32)
    likeness = split(one, other, np.array([0.6, 0], np.float32))
    assert likeness.score == pytest.approx(0, abs=1e-6)
    assert likeness.first == pytest.approx(np.array([[0.375, -0.375]]))


@pytest.mark.parametrize(
    ("name", "pooling", "module"),
    [
        ("resnet18", "avg", "layer4"),
        ("resnet18", "max", "layer4"),
        ("resnet18", "gem", "layer4"),
        ("mobilenet_v2", "avg", "features"),
        ("densenet121", "avg", "features"),
        ("convnext_tiny", "avg", "features"),
    ],
)
def test_shares_add_up_to_the_vector(tmp_path: Path, name: str, pooling: str, module: str) -> None:
    """For every way of pooling, for pooling without a module of its own, and with a norm behind it."""
    basis = made_basis(tmp_path, name, pooling)
    reader = ShareReader(basis.spec, basis.weights_path)
    pixels = pixels_for(basis.spec)
    shares = reader.read(pixels)
    assert reader.module == module
    assert shares.shape == (2, 7, 7, basis.spec.dim)
    network: EmbeddingNetwork = build_network(basis.spec, Path(str(basis.weights_path)))
    with torch.inference_mode():
        vectors = network(torch.from_numpy(pixels)).numpy()
    assert np.abs(shares.sum((1, 2)) - vectors).max() < 1e-5


def test_the_maximum_belongs_to_its_place(tmp_path: Path) -> None:
    """With max pooling each number of the vector comes from one cell, unless several tie."""
    basis = made_basis(tmp_path, "resnet18", "max")
    shares = ShareReader(basis.spec, basis.weights_path).read(pixels_for(basis.spec)).reshape(2, 49, 512)
    assert ((shares > 0).sum(1) <= 1).mean() > 0.99


def test_a_network_that_pools_no_map_is_refused(tmp_path: Path) -> None:
    basis = made_basis(tmp_path, "mobilenet_v3_small")
    reader = ShareReader(basis.spec, basis.weights_path)
    with pytest.raises(ModelUnknown, match="mobilenet_v3_small makes its vectors in another way"):
        reader.read(pixels_for(basis.spec))


# Geometry


@pytest.mark.parametrize(
    ("size", "area"),
    [
        # Half as large it is 200 x 100, of which the middle 100 x 100 is kept.
        ((400, 200), Area(100, 0, 200, 200)),
        ((200, 400), Area(0, 100, 200, 200)),
        # 80 of 100 pixels are kept.
        ((100, 100), Area(0, 0, 100, 100)),
        # Of 3200 x 100 the middle 1600 are enlarged, and of those the middle 100 are kept.
        ((3200, 100), Area(1550, 0, 100, 100)),
    ],
)
def test_what_the_network_looked_at(size: tuple[int, int], area: Area) -> None:
    assert looked_at(size, Framing(100, 100)) == area


def test_a_crop_leaves_out_a_border() -> None:
    assert looked_at((200, 200), Framing(100, 80)) == Area(20, 20, 160, 160)


@pytest.mark.parametrize("size", [(640, 480), (333, 501), (97, 2000), (4000, 61), (50, 50)])
@pytest.mark.parametrize("framing", [Framing(256, 224, "bicubic"), Framing(232, 224), Framing(64, 80)])
def test_an_object_is_seen_where_it_is(size: tuple[int, int], framing: Framing) -> None:
    """A bright square in a black picture is looked for in the frame, and from there in the picture."""
    area = looked_at(size, framing)
    side = max(2, round(min(area.width, area.height) / 10))
    at = (round(area.x + 0.3 * area.width), round(area.y + 0.6 * area.height))
    image = Image.new("RGB", size)
    image.paste("white", (*at, at[0] + side, at[1] + side))
    seen = frame(image, framing)[..., 0].astype(np.float64)
    rows, columns = (seen.sum(axis) / seen.sum() @ (np.arange(framing.crop) + 0.5) for axis in (1, 0))
    found = area.x + columns / framing.crop * area.width, area.y + rows / framing.crop * area.height
    pixel = max(1.0, area.width / framing.crop)
    assert found == pytest.approx((at[0] + side / 2, at[1] + side / 2), abs=pixel)


# Regions


def test_regions_are_the_cells_that_make_half() -> None:
    """.3 + .2 of 1.0 make half; they touch by a corner only, so that they are two boxes; -1 counts not."""
    cells = np.array([[0.3, 0.1, -1.0], [0.1, 0.2, 0.1], [0.1, 0.05, 0.05]])
    found = strongest(cells, Area(30, 0, 300, 300), (360, 300))
    assert [(box.x, box.y, box.width, box.height) for box in found] == [
        (30, 0, 100, 100),
        (130, 100, 100, 100),
    ]
    assert [box.share for box in found] == pytest.approx([0.3, 0.2])


def test_neighbours_are_one_region_within_the_picture() -> None:
    cells = np.array([[1.0, 1.0], [0.1, 0.1]])
    (box,) = strongest(cells, Area(-10, -10, 120, 120), (100, 100))
    assert (box.x, box.y, box.width, box.height) == (0, 0, 100, 50)
    assert box.share == pytest.approx(2 / 2.2)


def test_a_cell_smaller_than_a_pixel_is_told_as_one() -> None:
    # .4 is less than half of the whole, so the .3 beside it is taken too.
    (box,) = strongest(np.array([[0.2, 0.1], [0.4, 0.3]]), Area(0, 0, 1, 1), (1, 1))
    assert (box.x, box.y, box.width, box.height) == (0, 0, 1, 1)
    assert box.share == pytest.approx(0.7)
    assert strongest(np.array([[0.0, 1.0]]), Area(0, 0, 200, 100), (100, 100)) == ()


def test_nothing_speaks_for_the_score() -> None:
    assert strongest(np.array([[-1.0, 0.0]]), Area(0, 0, 10, 10), (10, 10)) == ()


# The score


@pytest.fixture(scope="module")
def photo_index(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("explained") / "index"
    index_folder([photos / "originals"], folder, IndexingConfig(ModelChoice(LITE)))
    return folder


@pytest.mark.parametrize("center", [False, True])
def test_it_is_the_score_that_a_query_reports(photos: Path, photo_index: Path, center: bool) -> None:
    one, other = (photos / "originals" / name for name in ("coffee.png", "chelsea.png"))
    with Index.open(photo_index) as index:
        (result,) = find_similar(one, index, options=QueryOptions(k=100, center=center))
        reported = {hit.path: hit.score for hit in result.hits}[str(other)]
        told = explain(one, other, index, center=center)
    assert told.score == pytest.approx(reported, abs=1e-4)
    assert told.center is center
    for side in (told.first, told.second):
        assert side.cells.sum() == pytest.approx(told.score)
    assert told.likeness.pairs.sum(1) == pytest.approx(told.first.cells.ravel())
    assert told.likeness.pairs.sum(0) == pytest.approx(told.second.cells.ravel())


def test_it_is_so_for_a_resnet_of_random_weights(tmp_path: Path) -> None:
    basis = made_basis(tmp_path, "resnet18")
    (tmp_path / "photos").mkdir()
    for seed in (1, 2):
        picture(seed, (300, 260)).save(tmp_path / "photos" / f"{seed}.png")
    index = tmp_path / "index"
    index_folder(
        [tmp_path / "photos"],
        index,
        IndexingConfig(ModelChoice("resnet18", str(tmp_path / "resnet18.pth"), runtime="torch")),
    )
    one, other = (tmp_path / "photos" / f"{seed}.png" for seed in (1, 2))
    ((hit,),) = [result.hits for result in find_similar(one, index)]
    told = explain(one, other, index)
    assert told.score == pytest.approx(hit.score, abs=1e-4)
    plain = explain(one, other, index, center=False)
    assert plain.score == pytest.approx(explain(one, other, basis=basis).score)
    assert (told.grid, told.module) == ((7, 7), "layer4")


# What is shared is found


def mass_within(side: Side, box: Area) -> float:
    """How much of what the strongest region adds lies in a box; cells there in part count in part."""
    rows, columns = side.cells.shape
    region = side.regions[0]
    inside = total = 0.0
    for (row, column), value in np.ndenumerate(side.cells):
        cell = side.looked_at.part(column / columns, row / rows, (column + 1) / columns, (row + 1) / rows)
        if shared(cell, Area(region.x, region.y, region.width, region.height)) > 0.5:
            total += max(value, 0.0)
            inside += max(value, 0.0) * shared(cell, box)
    return inside / total


def shared(cell: Area, box: Area) -> float:
    across = min(cell.x + cell.width, box.x + box.width) - max(cell.x, box.x)
    down = min(cell.y + cell.height, box.y + box.height) - max(cell.y, box.y)
    return max(0.0, across) * max(0.0, down) / (cell.width * cell.height)


Paste = tuple[Path, Path, tuple[int, int]]
CORNERS = [(0, 0), (224, 0), (0, 224), (224, 224)]


def found_pastes(pastes: Sequence[Paste], folder: Path, basis: Basis) -> list[float]:
    """A photo is pasted into another one, at a place and a quarter as large, and looked for."""
    masses = []
    for small, large, place in pastes:
        paste = ImageOps.fit(Image.open(small).convert("RGB"), (224, 224))
        paste.save(folder / "paste.png")
        whole = ImageOps.fit(Image.open(large).convert("RGB"), (448, 448))
        whole.paste(paste, place)
        whole.save(folder / "whole.png")
        told = explain(folder / "paste.png", folder / "whole.png", basis=basis)
        masses.append(mass_within(told.second, Area(*place, 224, 224)))
    return masses


def test_a_picture_pasted_into_another_is_found(photos: Path, tmp_path: Path) -> None:
    """By chance a quarter of the mass would lie in the quarter."""
    cat, *others = (
        photos / "originals" / name for name in ("chelsea.png", "moon.png", "motorcycle_right.png")
    )
    pastes = [(cat, other, corner) for other in others for corner in CORNERS]
    masses = found_pastes(pastes, tmp_path, basis_of_model(ModelChoice(LITE)))
    assert min(masses) >= 0.8


@pytest.mark.proof
def test_a_resnet50_finds_it_too(photos: Path, tmp_path: Path, checkpoint: Path) -> None:
    cat, moon = (photos / "originals" / name for name in ("chelsea.png", "moon.png"))
    basis = basis_of_model(ModelChoice("resnet50", str(checkpoint)))
    masses = found_pastes([(cat, moon, corner) for corner in CORNERS], tmp_path, basis)
    # Its cells look half a cell further to the left and up than they are drawn: see docs/explain.md.
    assert np.mean(masses) >= 0.8
    assert min(masses) >= 0.7


@pytest.mark.proof
@pytest.mark.parametrize("model", [LITE, "resnet50"])
def test_pastes_of_any_photos_are_found(photos: Path, tmp_path: Path, checkpoint: Path, model: str) -> None:
    """The figures of docs/explain.md: 24 pairs and places, drawn at random."""
    draw = random.Random(1)
    names = sorted((photos / "originals").iterdir())
    pastes: list[Paste] = []
    for _ in range(24):
        small, large = draw.sample(names, 2)
        pastes.append((small, large, draw.choice([*CORNERS, (112, 112)])))
    basis = basis_of_model(ModelChoice(model, str(checkpoint) if model == "resnet50" else None))
    masses = np.array(found_pastes(pastes, tmp_path, basis))
    print(f"{model}: mean {masses.mean():.2f}, {(masses >= 0.8).sum()} of {len(masses)} at .8 or more")
    assert masses.mean() >= 0.85


# Pictures


def test_colours_go_from_violet_to_yellow() -> None:
    assert coloured(np.array([-1.0, 0.0, 1.0, 2.0])).tolist() == [
        [68, 1, 84], [68, 1, 84], [253, 231, 37], [253, 231, 37],
    ]  # fmt: skip


def test_heat_is_drawn_where_the_cell_is(photos: Path) -> None:
    """One cell of 7 x 7 that adds all: the yellowest place is its middle, and nothing is drawn outside."""
    files = [photos / "originals" / name for name in ("coffee.png", "chelsea.png")]
    told = explain(*files, basis=basis_of_model(ModelChoice(LITE)))
    cells = np.zeros((7, 7))
    cells[1, 5] = 1
    told = replace(told, first=replace(told.first, cells=cells), second=replace(told.second, cells=cells))
    grey = [np.full((side.height, side.width, 3), 128, np.uint8) for side in (told.first, told.second)]
    drawn = np.asarray(Image.open(io.BytesIO(explanation_png(told, grey))).convert("RGB"), np.float64)
    # The first picture is 640 wide, from 16 on the left, below a line of 42.
    area, scale = told.first.looked_at, 640 / told.first.width
    height = round(told.first.height * scale)
    yellow = (drawn[..., 0] - drawn[..., 2])[42 : 42 + height, 16 : 16 + 640]
    row, column = np.unravel_index(int(yellow.argmax()), yellow.shape)
    middle = area.part(5 / 7, 1 / 7, 6 / 7, 2 / 7)
    assert column / scale == pytest.approx(middle.x + middle.width / 2, abs=3)
    assert row / scale == pytest.approx(middle.y + middle.height / 2, abs=3)
    outside = np.abs(yellow[:, : int(area.x * scale) - 1])
    assert outside.max() == 0


# The command


def test_the_command_tells_regions(photos: Path, photo_index: Path) -> None:
    files = ("coffee.png", "coffee.png")
    done = simsearch("explain", *files, "-i", photo_index, "--no-center", cwd=photos / "originals")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.decode().splitlines()
    assert lines[0] == "score 1.0000 (cosine, efficientnet_lite0)"
    assert lines[2] == str(photos / "originals" / "coffee.png")
    # 600 x 400 is resized by .64, and 224 of 256 pixels are kept.
    assert lines[3] == "  600 x 400, looked at 350 x 350 from 125,25"
    assert re.fullmatch(r" ?share +x,y,width,height +where *", lines[4])
    assert re.fullmatch(r" *\d+ % +\d+,\d+,\d+,\d+ +(middle|.* (left|middle|right)|top|bottom) *", lines[5])
    assert lines[-1].startswith("Boxes of the cells, of 7 x 7")


def test_the_command_writes_json_a_picture_and_a_page(
    photos: Path, photo_index: Path, tmp_path: Path
) -> None:
    name = os.fsdecode(b"caf\xe9 <b>.png")
    (tmp_path / name).write_bytes((photos / "originals" / "coffee.png").read_bytes())
    arguments: list[str | Path] = [
        "explain",
        name,
        photos / "originals" / "chelsea.png",
        "-i",
        photo_index,
        "--json",
    ]
    drawn = ["--png", "why.png", "--html", "why.html"]
    done = simsearch(*arguments, *drawn, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    with Index.open(photo_index) as index:
        centred = index.snapshot().centred
    assert (told["model"], told["grid"], told["center"], told["exact"]) == (LITE, [7, 7], centred, True)
    first, second = told["pictures"]
    assert os.fsencode(first["path"]) == os.fsencode(tmp_path / name)
    for side in (first, second):
        assert np.sum(side["cells"]) == pytest.approx(told["score"])
        assert 0.5 <= sum(region["share"] for region in side["regions"]) <= 0.75
        for region in side["regions"]:
            assert 0 <= region["x"] < region["x"] + region["width"] <= side["width"]
            assert 0 <= region["y"] < region["y"] + region["height"] <= side["height"]
    with Image.open(tmp_path / "why.png") as made:
        made.load()
        # Two of 640 and three gaps of 16; the higher picture has 640 x 427, and there are three lines.
        assert made.size == (1328, 427 + 3 * 26 + 3 * 16)
    page = (tmp_path / "why.html").read_text(encoding="utf-8")
    assert "<b>" not in page
    assert r"caf\xe9" in page
    addresses = re.findall(r"""(?:src|href|url)\s*[=(:]\s*["']?([a-z]+:)""", page.replace("&quot;", '"'))
    assert set(addresses) <= {"data:", "file:"}
    assert "http" not in page.replace("http-equiv", "")
    # Its own picture is written again, and no other.
    os.truncate(tmp_path / "why.png", 1000)
    assert simsearch(*arguments, "--png", "why.png", cwd=tmp_path).returncode == 0
    assert (tmp_path / "why.png").stat().st_size > 1000
    refused = simsearch(*arguments, "--png", name, cwd=tmp_path)
    assert refused.returncode == 1
    assert b"was not made by simsearch explain, so it is not replaced" in refused.stderr
    assert (tmp_path / name).read_bytes() == (photos / "originals" / "coffee.png").read_bytes()


def test_a_model_is_named_instead_of_an_index(photos: Path) -> None:
    folder = photos / "originals"
    done = simsearch("explain", folder / "coffee.png", folder / "moon.png", "--model", LITE)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"score 0.")
    for more, said in ((["-i", "x"], b"leave -i out"), (["--center"], b"--center is of an index")):
        wrong = simsearch("explain", "a", "b", "--model", LITE, *more)
        assert wrong.returncode == 2
        assert said in wrong.stderr


@pytest.mark.parametrize("bad", ["missing.jpg", "cut.jpg", "words.jpg"])
def test_a_file_that_cannot_be_read_is_told(photos: Path, tmp_path: Path, bad: str) -> None:
    whole = io.BytesIO()
    picture(1, (300, 200)).save(whole, "JPEG")
    (tmp_path / "cut.jpg").write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
    (tmp_path / "words.jpg").write_text("no picture at all")
    good = photos / "originals" / "coffee.png"
    for files in ((good, tmp_path / bad), (tmp_path / bad, good)):
        with pytest.raises(PhotoUnreadable, match=re.escape(f"{tmp_path / bad} is no picture that can be")):
            explain(*files, basis=basis_of_model(ModelChoice(LITE)))
    done = simsearch("explain", good, tmp_path / bad, "--model", LITE)
    assert done.returncode == 1
    assert done.stdout == b""
    assert done.stderr.decode().startswith(f"Error: {tmp_path / bad} is no picture that can be explained: ")


def test_hostile_files_are_told(photos: Path, shared_data: Path) -> None:
    hostile = sorted((shared_data / "hostile").iterdir())[:4]
    basis = basis_of_model(ModelChoice(LITE))
    for file in hostile:
        try:
            said = str(explain(photos / "originals" / "coffee.png", file, basis=basis).second.path)
        except PhotoUnreadable as exc:
            said = str(exc)
        assert str(file) in said


def test_vectors_made_elsewhere_are_told(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for seed in (1, 2):
        picture(seed).save(tmp_path / "photos" / f"{seed}.png")
    index = indexed(tmp_path / "photos", tmp_path / "index")
    with pytest.raises(ModelUnknown, match="model called 'made' that is not known here"):
        explain(tmp_path / "photos" / "1.png", tmp_path / "photos" / "2.png", index)
