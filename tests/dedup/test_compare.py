"""Two files side by side, through the public face and the command line."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from conftest import picture, simsearch
from PIL import Image

from dedup.ground import loaded
from simsearch.dedup.compare import compare
from simsearch.dedup.verify.classifier import shipped
from simsearch.errors import PhotoUnreadable


@pytest.fixture(scope="module")
def coffee(photos: Path) -> Path:
    return photos / "originals" / "coffee.png"


def test_same_bytes(coffee: Path, tmp_path: Path) -> None:
    (tmp_path / "copy.dat").write_bytes(coffee.read_bytes())
    found = compare(coffee, tmp_path / "copy.dat")
    assert (found.level, found.score, found.mirrored, found.turned) == ("bytes", 1.0, False, 0)
    assert (found.first, found.second) == (str(coffee), str(tmp_path / "copy.dat"))
    assert found.threshold == shipped().threshold
    assert compare(coffee, coffee).level == "bytes"


def test_same_pixels_in_another_format(coffee: Path, tmp_path: Path) -> None:
    with Image.open(coffee) as image:
        image.save(tmp_path / "a.bmp")
        changed = image.convert("RGB")
    found = compare(coffee, tmp_path / "a.bmp")
    assert (found.level, found.score) == ("pixels", 1.0)
    changed.putpixel((0, 0), (255, 0, 255))
    changed.save(tmp_path / "b.png")
    assert compare(coffee, tmp_path / "b.png").level == "near"


def test_plain_pictures_may_have_the_same_pixels(tmp_path: Path) -> None:
    for name, colour in (("a.png", "navy"), ("b.bmp", "navy"), ("c.png", "teal")):
        Image.new("RGB", (300, 200), colour).save(tmp_path / name)
    assert compare(tmp_path / "a.png", tmp_path / "b.bmp").level == "pixels"
    found = compare(tmp_path / "a.png", tmp_path / "c.png")
    assert (found.level, found.score) == ("different", 0.0)


@pytest.mark.parametrize("kind", ["cropped", "mirrored"])
def test_an_edited_copy_is_near_whichever_comes_first(photos: Path, coffee: Path, kind: str) -> None:
    edited = photos / kind / "coffee.jpg"
    one, other = compare(coffee, edited), compare(edited, coffee)
    assert one.level == other.level == "near"
    assert one.score == other.score >= one.threshold
    assert (one.mirrored, one.turned) == (other.mirrored, other.turned) == (kind == "mirrored", 0)


@pytest.mark.parametrize(
    ("how", "mirrored", "turned", "back"),
    [
        # Pillow turns against the clock; what was turned by 90° that way has to be turned by 90° with it.
        (Image.Transpose.ROTATE_90, False, 90, 270),
        (Image.Transpose.FLIP_TOP_BOTTOM, True, 180, 180),
        (Image.Transpose.TRANSPOSE, True, 270, 270),
    ],
)
def test_it_is_told_how_the_second_has_to_be_turned(
    coffee: Path, tmp_path: Path, how: Image.Transpose, mirrored: bool, turned: int, back: int
) -> None:
    loaded(coffee, 400).transpose(how).save(tmp_path / "turned.jpg", quality=90)
    found = compare(coffee, tmp_path / "turned.jpg")
    assert (found.level, found.mirrored, found.turned) == ("near", mirrored, turned)
    assert compare(tmp_path / "turned.jpg", coffee).turned == back


def test_other_shots_are_similar_and_others_different(photos: Path, coffee: Path) -> None:
    left, right = (photos / "originals" / f"motorcycle_{side}.png" for side in ("left", "right"))
    assert compare(left, right).level == "similar"
    found = compare(coffee, left)
    assert found.level == "different"
    assert found.score < 0.05


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("cut.png", None, "truncated"),
        ("empty.jpg", b"", "the file is empty"),
        ("notes.txt", b"words", "no picture"),
        ("gone.jpg", ..., "No such file"),
    ],
)
def test_what_is_no_picture_is_an_error_with_its_name(
    coffee: Path, tmp_path: Path, name: str, content: object, reason: str
) -> None:
    path = tmp_path / name
    if content is None:
        path.write_bytes(coffee.read_bytes()[:-5000])
    elif isinstance(content, bytes):
        path.write_bytes(content)
    with pytest.raises(PhotoUnreadable, match=reason) as caught:
        compare(coffee, path)
    assert str(path) in str(caught.value)
    with pytest.raises(PhotoUnreadable, match=reason):
        compare(path, path)


def test_a_pipe_in_the_place_of_a_file_does_not_hang(coffee: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(PhotoUnreadable, match="not a regular file"):
        compare(coffee, tmp_path / "pipe.png")


def test_any_name_will_do(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path)
    names = [os.path.join(folder, name) for name in (b"\xff\xfe.png", b"a\nb.png")]
    for name in names:
        picture(1, (300, 200)).save(os.fsdecode(name))
    assert compare(names[0], names[1]).level == "bytes"
    assert compare(os.fsdecode(names[0]), Path(os.fsdecode(names[1]))).level == "bytes"


def test_the_command_needs_no_index_and_no_model(photos: Path, coffee: Path, tmp_path: Path) -> None:
    env = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "XDG_DATA_HOME": str(tmp_path / "data")}
    done = simsearch("compare", coffee, photos / "cropped" / "coffee.jpg", "--json", cwd=tmp_path, **env)
    assert (done.returncode, json.loads(done.stdout)["level"]) == (3, "near")
    done = simsearch("compare", coffee, photos / "cropped" / "moon.jpg", cwd=tmp_path, **env)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"different" in done.stdout
    assert list(tmp_path.iterdir()) == []
