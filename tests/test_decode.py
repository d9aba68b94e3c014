"""Pixels that a reader can work out, from every kind of file, and the refusal of what is cut or bent."""

from __future__ import annotations

import io
import os
import warnings
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from conftest import picture
from numpy.typing import NDArray
from PIL import Image

from simsearch.errors import PhotoUnreadable
from simsearch.framing import Framing, frame
from simsearch.media.decode import DecodeLimits, decode
from simsearch.media.formats import recognise

FRAMING = Framing(232, 224, "bilinear", 2)


def saved(image: Image.Image, format: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def pixels(data: bytes, name: bytes = b"") -> NDArray[np.int64]:
    return decode(data, None, name=name)[1].astype(np.int64)


def quarters() -> Image.Image:
    """Red, green / blue, yellow, on 48 x 32: no turn or mirror looks like another."""
    image = Image.new("RGB", (48, 32), "red")
    image.paste("lime", (24, 0, 48, 16))
    image.paste("blue", (0, 16, 24, 32))
    image.paste("yellow", (24, 16, 48, 32))
    return image


STORED = {  # what has to be stored so that, turned as EXIF says, it is upright
    1: lambda i: i,
    2: lambda i: i.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    3: lambda i: i.transpose(Image.Transpose.ROTATE_180),
    4: lambda i: i.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
    5: lambda i: i.transpose(Image.Transpose.TRANSPOSE),
    6: lambda i: i.transpose(Image.Transpose.ROTATE_90),
    7: lambda i: i.transpose(Image.Transpose.TRANSVERSE),
    8: lambda i: i.transpose(Image.Transpose.ROTATE_270),
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP", "JPEG"])
def test_every_orientation_comes_upright_once(orientation: int, format: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = (
        {"lossless": True}
        if format == "WEBP"
        else {"quality": 100, "subsampling": 0}
        if format == "JPEG"
        else {}
    )
    data = saved(STORED[orientation](quarters()), format, exif=exif, **options)
    facts, found = decode(data, None)
    assert (facts.width, facts.height) == (48, 32)
    expected = np.asarray(quarters()).astype(int)
    assert np.abs(found.astype(int) - expected).mean() < (8 if format == "JPEG" else 0.01)


def test_heic_is_turned_once_and_a_jpeg_of_that_name_is_a_jpeg() -> None:
    pillow_heif.register_heif_opener()
    exif = Image.Exif()
    exif[0x0112] = 6
    data = saved(STORED[6](quarters()), "HEIF", quality=100, exif=exif.tobytes())
    facts, found = decode(data, None, name=b"x.heic")
    assert facts.format == "HEIF"
    assert (facts.width, facts.height) == (48, 32)
    assert np.abs(found.astype(int) - np.asarray(quarters()).astype(int)).mean() < 12
    jpeg = saved(picture(1), "JPEG")
    assert np.array_equal(pixels(jpeg, b"IMG.HEIC"), pixels(jpeg, b"IMG.JPG"))


def test_a_broken_exif_block_costs_only_the_orientation() -> None:
    data = saved(picture(1), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff garbage")
    assert np.array_equal(pixels(data), pixels(saved(picture(1), "JPEG")))


@pytest.mark.parametrize("format", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_are_scaled_and_not_white(format: str) -> None:
    middle = Image.fromarray(np.full((8, 8), 32896, dtype=np.uint16))
    assert np.unique(pixels(saved(middle, format))).tolist() == [128]


def test_big_endian_sixteen_bits_and_32_bit_and_floats() -> None:
    big = saved(Image.fromarray(np.full((8, 8), 32896, dtype=">u2")), "TIFF")
    assert np.unique(pixels(big)).tolist() == [128]
    wide = np.zeros((8, 8), dtype=np.int32)
    wide[:, 4:] = 65535
    assert np.unique(pixels(saved(Image.fromarray(wide), "TIFF"))).tolist() == [0, 255]
    half = np.full((8, 8), 0.5, dtype=np.float32)
    assert np.unique(pixels(saved(Image.fromarray(half), "TIFF"))).tolist() == [128]


def test_what_is_transparent_lies_on_white() -> None:
    glass = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    assert np.unique(pixels(saved(glass, "PNG"))).tolist() == [255]
    grey = Image.new("LA", (8, 8), (0, 0))
    assert np.unique(pixels(saved(grey, "PNG"))).tolist() == [255]
    palette = Image.new("P", (8, 8), 0)
    palette.putpalette([0, 0, 0, 9, 9, 9])
    assert np.unique(pixels(saved(palette, "PNG", transparency=0))).tolist() == [255]
    assert np.unique(pixels(saved(palette, "PNG"))).tolist() == [0]


def test_cmyk_and_one_bit_and_lab_and_grey() -> None:
    cmyk = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    for format in ("JPEG", "TIFF"):
        red = pixels(saved(cmyk, format)).reshape(-1, 3).mean(0)
        assert red[0] > 230
        assert red[1:].max() < 60
    assert np.unique(pixels(saved(Image.new("1", (8, 8), 1), "PNG"))).tolist() == [255]
    lab = pixels(saved(Image.new("LAB", (8, 8), (255, 128, 128)), "TIFF"))
    assert lab.min() >= 250
    assert np.unique(pixels(saved(Image.new("L", (8, 8), 77), "PNG"))).tolist() == [77]


def test_the_first_frame_is_taken() -> None:
    frames = [Image.new("RGB", (8, 8), c) for c in ("white", "black")]
    for format in ("GIF", "WEBP", "TIFF", "PNG"):
        data = saved(frames[0], format, save_all=True, append_images=frames[1:])
        assert pixels(data).min() >= 250


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "HEIF", "AVIF", "JPEG2000"])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_cut_files_are_refused(format: str, share: float) -> None:
    pillow_heif.register_heif_opener()
    rng = np.random.default_rng(0)
    data = saved(Image.fromarray(rng.integers(0, 256, (256, 256, 3), dtype=np.uint8)), format)
    decode(data, FRAMING)
    with pytest.raises(PhotoUnreadable):
        decode(data[: int(len(data) * share)], FRAMING)


def test_refusals_say_why() -> None:
    for data, name, words in (
        (b"", b"a.jpg", "empty"),
        (b"just words", b"a.jpg", "not a JPEG"),
        (b"II*\0\x10\0\0\0CR\x02\0", b"a.cr2", "RAW file"),
    ):
        with pytest.raises(PhotoUnreadable, match=words):
            decode(data, FRAMING, name=name)
    with pytest.raises(PhotoUnreadable, match="96 x 72 pixels are more than the limit"):
        decode(saved(picture(1), "PNG"), FRAMING, DecodeLimits(max_pixels=1000))


def test_a_large_jpeg_is_decoded_small_and_stays_close() -> None:
    large = picture(3, (2400, 1800))
    data = saved(large, "JPEG", quality=95)
    limits = DecodeLimits(max_pixels=2_000_000)
    facts, small = decode(data, FRAMING, limits)
    assert (facts.width, facts.height) == (2400, 1800)
    full = frame(Image.open(io.BytesIO(data)), FRAMING)
    assert np.abs(small.astype(int) - full.astype(int)).mean() < 2
    with pytest.raises(PhotoUnreadable, match="limit"):
        decode(data, None, limits)


def test_the_time_of_the_photo_is_read() -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[36867] = "2023:05:06 07:08:09"
    facts, _ = decode(saved(picture(1), "JPEG", exif=exif), FRAMING)
    assert facts.taken_at == "2023-05-06T07:08:09"


@pytest.mark.parametrize(("resize", "crop", "kind"), [(232, 224, "bilinear"), (256, 224, "bicubic")])
def test_framing_equals_torchvision_pixel_for_pixel(photos: Path, resize: int, crop: int, kind: str) -> None:
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms import functional as F

    for path in sorted((photos / "originals").iterdir()):
        image = Image.open(path).convert("RGB")
        expected = F.center_crop(
            F.resize(image, [resize], InterpolationMode(kind), antialias=True), [crop, crop]
        )
        assert np.array_equal(frame(image, Framing(resize, crop, kind)), np.asarray(expected)), path.name


def test_a_very_thin_strip_takes_no_gigabytes() -> None:
    assert frame(Image.new("RGB", (1, 50_000), "red"), FRAMING).shape == (224, 224, 3)


def in_full(path: Path) -> bool:
    """Whether Pillow or pillow-heif decodes a file in full, by themselves."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(path) as image:
                image.load()
        except Exception:
            return False
    return True


def test_all_that_pillow_decodes_in_full_is_decoded(shared_data: Path) -> None:
    pillow_heif.register_heif_opener()
    files = sorted(
        p
        for d in ("hostile", "heif", "exif_orientation")
        for p in (shared_data / d).rglob("*")
        if p.is_file()
    )
    missed, decoded = [], 0
    for path in files:
        data, name = path.read_bytes(), os.fsencode(path.name)
        try:
            if not recognise(data[:4096], name):
                raise PhotoUnreadable("no image")
            decode(data, FRAMING, name=name)
            decoded += 1
        except PhotoUnreadable as error:
            if in_full(path) and path.name != "truncated.heic":
                missed.append(f"{path.name}: {error}")
    assert missed == []
    assert decoded > 150


def test_one_picture_in_all_orientations(shared_data: Path) -> None:
    for kind in ("Landscape", "Portrait"):
        paths = sorted((shared_data / "exif_orientation").glob(f"{kind}_*.jpg"))
        found = [decode(path.read_bytes(), FRAMING)[1].astype(int) for path in paths]
        assert len(found) == 9
        assert max(np.abs(other - found[0]).mean() for other in found) < 6
