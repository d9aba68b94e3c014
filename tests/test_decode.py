"""Bytes to upright pixels: made pictures whose right answer is known, and collections of odd files."""

from __future__ import annotations

import io
import os
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from conftest import picture
from numpy.typing import NDArray
from PIL import Image
from raws import dng

from benchmarks.samples import originals
from simsearch.errors import PhotoUnreadable
from simsearch.framing import Fitting, Framing
from simsearch.media.decode import DecodeLimits, decode, open_upright
from simsearch.media.files import FileUnreadable, read_file
from simsearch.media.formats import HEAD, recognise
from simsearch.media.pool import DecodePool, decode_here
from simsearch.media.thumbs import thumbnail
from simsearch.records import Decoded, NotAnImage, Unreadable

WHOLE = Fitting(0)

Pixels = NDArray[np.uint8]
RESNET, LITE0 = Framing(232, 224), Framing(256, 224, "bicubic")
SAVED: dict[str, dict[str, object]] = {
    "JPEG": {"quality": 98, "subsampling": 0},
    "PNG": {},
    "WEBP": {"lossless": True},
    "TIFF": {},
    "AVIF": {"quality": 98, "subsampling": "4:4:4"},
    "HEIF": {"quality": 98, "chroma": 444},
    "GIF": {},
    "JPEG2000": {},
    "BMP": {},
}
# What a camera does to the upright picture before it writes the tag; 6 means "turn me to the right".
TILTS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def saved(image: Image.Image, format: str, **options: object) -> bytes:
    if format == "HEIF":
        import pillow_heif

        pillow_heif.register_heif_opener()
    out = io.BytesIO()
    image.save(out, format, **(SAVED.get(format, {}) | options))
    return out.getvalue()


def whole(data: bytes, name: bytes = b"") -> Pixels:
    return decode(data, WHOLE, name=name)[1]


def reason(data: bytes, name: bytes = b"", limits: DecodeLimits | None = None) -> str:
    with pytest.raises(PhotoUnreadable) as caught:
        decode(data, RESNET, limits, name=name)
    return str(caught.value)


def corners(red: str = "red") -> Image.Image:
    """60 x 40, no two corners alike: red, green / blue, white."""
    image = Image.new("RGB", (60, 40), "white")
    image.paste(red, (0, 0, 30, 20))
    image.paste((0, 255, 0), (30, 0, 60, 20))
    image.paste("blue", (0, 20, 30, 40))
    return image


def apart(one: Pixels, other: Pixels) -> float:
    """Mean difference of a sample, 0..255."""
    assert one.shape == other.shape
    return float(np.abs(one.astype(int) - other.astype(int)).mean())


@pytest.mark.parametrize("orientation", TILTS)
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
def test_every_orientation_comes_upright_once(format: str, orientation: int) -> None:
    tilt = TILTS[orientation]
    image = corners() if tilt is None else corners().transpose(tilt)
    exif = Image.Exif()
    exif[0x0112] = orientation
    facts, pixels = decode(saved(image, format, exif=exif.tobytes()), WHOLE)
    assert (facts.width, facts.height, facts.format) == (60, 40, format)
    assert apart(pixels, np.asarray(corners())) < 4


@pytest.mark.parametrize("format", SAVED)
def test_formats_give_back_what_was_saved(format: str) -> None:
    facts, pixels = decode(saved(corners(), format), WHOLE)
    assert (facts.width, facts.height, facts.format, facts.taken_at) == (60, 40, format, None)
    assert pixels.dtype == np.uint8
    assert apart(pixels, np.asarray(corners())) < 4


def grey(mode: str, value: float) -> Image.Image:
    return Image.new(mode, (8, 8), value)


@pytest.mark.parametrize(
    ("image", "format", "expected"),
    [
        (grey("I;16", 32896), "PNG", 128),
        (grey("I;16", 32896), "TIFF", 128),
        (grey("I", 32896), "TIFF", 128),
        (grey("I", 32896), "PPM", 128),
        (grey("I;16", 65535), "PNG", 255),
        (grey("I;16", 0), "PNG", 0),
        (grey("F", 0.5), "TIFF", 128),
        (grey("F", 200.0), "TIFF", 200),
        (grey("F", 1000.0), "TIFF", 0),
        (grey("F", float("nan")), "TIFF", 0),
        (grey("1", 1), "PNG", 255),
        (grey("L", 77), "PNG", 77),
    ],
)
def test_grey_of_any_depth(image: Image.Image, format: str, expected: int) -> None:
    pixels = whole(saved(image, format))
    assert pixels.shape == (8, 8, 3)
    assert np.abs(pixels.astype(int) - expected).max() <= 1


def test_sixteen_bits_of_a_heif_and_of_a_portable_map() -> None:
    data = b"P5 4 4 65535\n" + (32896).to_bytes(2, "big") * 16
    assert (whole(data) == 128).all()
    colour = b"P6 4 4 65535\n" + b"".join(v.to_bytes(2, "big") for v in (65535, 32896, 0)) * 16
    assert np.abs(whole(colour).astype(int) - [255, 128, 0]).max() <= 1


def test_floats_past_the_usual_ranges_are_stretched_and_holes_are_filled() -> None:
    values = np.array([[-100.0, 0.0], [155.0, np.nan]], np.float32)
    found = whole(saved(Image.fromarray(values), "TIFF"))[..., 0]
    assert found.tolist() == [[0, 100], [255, 0]]


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_cmyk(format: str) -> None:
    # No cyan, all magenta, all yellow, no black: red. Pillow writes JPEG's as Adobe does, inverted.
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    assert apart(whole(saved(image, format)), np.full((16, 16, 3), (255, 0, 0), np.uint8)) < 4


def test_transparency_lies_on_white() -> None:
    clear, half = (255, 0, 0, 0), (0, 0, 0, 128)
    for format in ("PNG", "WEBP", "TIFF", "HEIF", "AVIF"):
        image = Image.new("RGBA", (32, 16), clear)
        image.paste(half, (16, 0, 32, 16))
        pixels = whole(saved(image, format)).astype(int)
        assert np.abs(pixels[:, :12] - 255).max() <= 3, format
        assert np.abs(pixels[:, 20:] - 127).max() <= 4, format
    assert (whole(saved(Image.new("LA", (4, 4), (0, 0)), "PNG")) == 255).all()


def test_transparent_colours_of_palettes_and_keys_lie_on_white() -> None:
    palette = Image.new("P", (4, 2), 1)
    palette.putpalette([0, 0, 255, 255, 0, 0])
    palette.paste(0, (0, 0, 2, 2))
    for format in ("PNG", "GIF"):
        pixels = whole(saved(palette, format, transparency=0))
        assert (pixels[:, :2] == 255).all(), format
        assert (pixels[:, 2:] == (255, 0, 0)).all(), format
    keyed = saved(Image.new("RGB", (4, 4), (9, 9, 9)), "PNG", transparency=(9, 9, 9))
    assert (whole(keyed) == 255).all()


def test_lab_is_converted() -> None:
    # L* = 54.3, a* = 80.8, b* = 69.9 is sRGB's red under D50; L* is kept as 0..255, a* and b* plus 128.
    data = saved(Image.new("LAB", (8, 8), (138, 209, 198)), "TIFF")
    assert apart(whole(data), np.full((8, 8, 3), (255, 0, 0), np.uint8)) < 6


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP", "TIFF"])
def test_the_first_frame_counts(format: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    data = saved(frames[0], format, save_all=True, append_images=frames[1:])
    assert (whole(data) == (255, 0, 0)).all()


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "HEIF", "AVIF"])
def test_a_truncated_picture_is_refused(format: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    data = saved(Image.fromarray(noise), format)
    # All but the last 40 bytes, since those of PNG and GIF hold no pixel.
    for part in (0.05, 0.3, 0.6, 0.9, 1 - 40 / len(data)):
        assert reason(data[: int(len(data) * part)]).startswith(("truncated", "damaged")), part


def test_what_stands_behind_a_heic_does_no_harm() -> None:
    data = saved(corners(), "HEIF")
    for tail in (b"\0" * 64, b"SEFH" + b"\xff" * 60, b"end"):
        assert (whole(data + tail) == whole(data)).all()


def test_content_decides_before_the_name() -> None:
    data = saved(corners(), "JPEG")
    assert (whole(data, b"photo.heic") == whole(data, b"photo.jpg")).all()
    assert recognise(data[:HEAD], b"notes.txt")


def test_refusals_say_why() -> None:
    assert reason(b"Dear diary,\n", b"a.jpg") == "not a JPEG: its content is no picture"
    assert reason(b"", b"a.png") == "the file is empty"
    assert reason(b"\xff\xd8\xff", b"a.jpg") == "damaged: it cannot be opened as JPEG"
    assert reason(b"\0" * 99, b"a.NEF").startswith("damaged RAW file: ")
    assert reason(b"\0\0\0\x0cJXL \r\n\x87\n" + b"\0" * 99) == "JPEG XL is not read by this version"


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"Dear diary,\n", "a.txt"),
        (b"import os\n", "a.py"),
        (b'{"a": 1}', "a.json"),
        (b"%PDF-1.7\n", "a.pdf"),
        (b"PK\x03\x04" + b"\0" * 99, "a.zip"),
        (b"\0\0\0\x20ftypisom" + b"\0" * 99, "a.mp4"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "a.svg"),
        (b"", "a"),
        (b"\0" * 4096, "a.bin"),
        (b"BM is short for many things", "a.md"),
    ],
)
def test_other_files_are_no_pictures(head: bytes, name: str) -> None:
    assert not recognise(head, name.encode())


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_broken_exif_is_survived() -> None:
    for exif in (b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0" + b"\xff" * 40):
        data = saved(corners(), "JPEG", exif=exif)
        assert apart(whole(data), np.asarray(corners())) < 4


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("2023:06:01 12:30:59", "2023-06-01T12:30:59"),
        ("0000:00:00 00:00:00", None),
        ("2023:00:00 00:00:00", None),
        ("2023:02:30 12:30:59", None),
        ("yesterday", None),
    ],
)
def test_time_of_the_photo(written: str, told: str | None) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[36867] = written
    assert decode(saved(corners(), "JPEG", exif=exif), WHOLE)[0].taken_at == told


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_the_preview_of_a_raw_file_comes_upright(orientation: int) -> None:
    tilt = TILTS[orientation]
    stored, upright = picture(3, (1024, 768)), picture(3, (1024, 768))
    if tilt is not None:
        stored = upright.transpose(tilt)
    facts, pixels = decode(dng(stored, stored, orientation=orientation), WHOLE, name=b"a.dng")
    assert (facts.width, facts.height, facts.format, facts.taken_at) == (1024, 768, "RAW", None)
    assert apart(pixels, np.asarray(upright)) < 4


@pytest.mark.parametrize("preview", [None, (160, 120)])
def test_a_raw_file_without_a_preview_of_some_size_is_developed(preview: tuple[int, int] | None) -> None:
    photo = corners().resize((1200, 800))
    data = dng(photo, photo.resize(preview) if preview else None)
    facts, pixels = decode(data, WHOLE, name=b"a.dng")
    assert (facts.width, facts.height, pixels.shape) == (1200, 800, (400, 600, 3))
    for (y, x), strongest in {(100, 150): 0, (100, 450): 1, (300, 150): 2}.items():
        assert int(pixels[y, x].argmax()) == strongest


@pytest.mark.parametrize("share", [0.4, 0.75, 0.9, 0.999])
def test_a_raw_file_that_was_cut_is_refused_though_its_preview_is_whole(share: float) -> None:
    photo = picture(3, (1024, 768))
    data = dng(photo, photo)
    assert reason(data[: int(len(data) * share)], b"a.dng").startswith("truncated: ")


def test_a_raw_file_is_known_without_its_name(tmp_path: Path) -> None:
    photo, small = picture(3, (1024, 768)), Image.new("RGB", (160, 120), "red")
    data = dng(photo, photo)
    assert decode(data, WHOLE)[0].format == "RAW"
    (tmp_path / "a.tif").write_bytes(data)
    made = thumbnail(tmp_path / "a.tif", side=128)
    assert made is not None
    with Image.open(io.BytesIO(made)) as image:
        assert image.size == (128, 96)
    # Never the small one, whoever looks.
    for source in (dng(photo, small), tmp_path / "b.dng"):
        (tmp_path / "b.dng").write_bytes(dng(photo, small))
        made = thumbnail(source, side=128)
        assert made is not None
        with Image.open(io.BytesIO(made)) as image:
            assert np.asarray(image).std() > 10
    plain = saved(corners(), "TIFF")
    assert decode(plain, WHOLE)[0].format == "TIFF"


def test_a_raw_file_without_rawpy_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rawpy", None)
    told = reason(dng(corners(), None), b"a.dng")
    assert told == 'RAW file: its preview needs rawpy (pip install "simsearch[raw]")'


def test_limit_of_pixels() -> None:
    limits = DecodeLimits(max_pixels=2_000_000)
    small, big = Image.new("RGB", (2000, 1000)), Image.new("RGB", (2000, 1001))
    decode(saved(small, "PNG"), RESNET, limits)
    assert reason(saved(big, "PNG"), limits=limits).startswith("2000 x 1001 pixels are more than the limit")
    # A JPEG that its reduced decode brings under the limit is no bomb.
    facts, _ = decode(saved(big, "JPEG"), RESNET, limits)
    assert (facts.width, facts.height) == (2000, 1001)


@pytest.mark.filterwarnings("error")
def test_our_limit_is_the_only_one() -> None:
    # 400 million pixels, past the number at which Pillow itself refuses.
    data = saved(Image.new("1", (20_000, 20_000)), "PNG")
    assert "20000 x 20000 pixels are more than the limit" in reason(data)
    jpeg = saved(Image.new("L", (16_000, 12_000), 99), "JPEG")
    _, pixels = decode(jpeg, RESNET)
    assert (pixels == 99).all()


def test_a_big_jpeg_is_decoded_small_and_comes_out_close() -> None:
    rough = picture(3, (3000, 2000))
    data = saved(rough, "JPEG")
    _, image = open_upright(data, DecodeLimits(), keep=2 * 232)
    # The largest of 1/1, 1/2, 1/4, 1/8 that keeps 464 on the shorter side: 2000 / 4 = 500.
    assert image.size == (750, 500)
    facts, reduced = decode(data, RESNET)
    _, full = decode(data, Framing(232, 224, reduced_decode=0))
    assert (facts.width, facts.height) == (3000, 2000)
    assert apart(reduced, full) < 1


@pytest.mark.parametrize(("framing", "mode"), [(RESNET, "bilinear"), (LITE0, "bicubic")])
def test_framing_equals_torchvision_pixel_for_pixel(framing: Framing, mode: str) -> None:
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms import functional as reference

    full = Framing(framing.resize, framing.crop, framing.interpolation, reduced_decode=0)
    assert len(originals()) >= 10
    for path in originals():
        with Image.open(path) as image:
            if image.mode not in ("RGB", "L"):
                continue
            rgb = image.convert("RGB")
        resized = reference.resize(rgb, [framing.resize], InterpolationMode(mode))
        expected = np.asarray(reference.center_crop(resized, [framing.crop]))
        _, found = decode(path.read_bytes(), full)
        assert np.array_equal(found, expected), path.name


def test_thin_strips_are_framed() -> None:
    for size in ((3000, 1), (1, 3000), (1, 1)):
        _, pixels = decode(saved(Image.new("RGB", size, "red"), "PNG"), RESNET)
        assert pixels.shape == (224, 224, 3)
        assert (pixels == (255, 0, 0)).all()


def test_one_file_decoded_here(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(saved(corners(), "JPEG"))
    found, same = decode_here(path, RESNET), decode_here(path.read_bytes(), RESNET)
    assert (found.pixels == same.pixels).all()
    assert found.digest == same.digest
    with pytest.raises(PhotoUnreadable, match=r"gone\.jpg cannot be read: No such file"):
        decode_here(tmp_path / "gone.jpg", RESNET)
    path.write_bytes(b"text")
    with pytest.raises(PhotoUnreadable, match=r"a\.jpg is no picture .*: not a JPEG"):
        decode_here(path, RESNET)


def test_only_regular_files_that_hold_still_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, words in (("pipe", "not a regular file"), ("gone", "No such file"), ("", "not a regular file")):
        with pytest.raises(FileUnreadable, match=words) as caught:
            read_file(os.fsencode(tmp_path / name), 1 << 20)
        assert caught.value.transient
    (tmp_path / "big").write_bytes(b"x" * (1 << 20) + b"x")
    with pytest.raises(FileUnreadable, match="larger than 1 MiB") as caught:
        read_file(os.fsencode(tmp_path / "big"), 1 << 20)
    assert not caught.value.transient


def test_a_file_that_is_written_meanwhile_is_left_for_the_next_run(tmp_path: Path) -> None:
    path = tmp_path / "growing.ppm"
    path.write_bytes(saved(Image.new("RGB", (5000, 4000), "red"), "PPM"))
    stop = threading.Event()

    def write_on() -> None:
        with path.open("ab", buffering=0) as file:
            while not stop.is_set():
                file.write(b"x")

    writer = threading.Thread(target=write_on)
    writer.start()
    with DecodePool(1, RESNET) as pool:
        outcome = pool.read(bytes(path))
        stop.set()
        writer.join()
        assert isinstance(outcome, Unreadable)
        assert (outcome.reason, outcome.transient) == ("changed while it was read", True)
        assert isinstance(pool.read(bytes(path)), Decoded)


def test_what_a_decoder_warns_of_is_not_said_beside_a_thumbnail(tmp_path: Path) -> None:
    path = tmp_path / "a.ico"
    Image.new("RGB", (32, 32), "red").save(path, sizes=[(32, 32)])
    data = bytearray(path.read_bytes())
    # The directory says 16 x 16, of which Pillow warns.
    data[6:8] = bytes((16, 16))
    path.write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert thumbnail(path) is not None


def test_thumbnails_are_small_upright_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    source, store = tmp_path / "a.jpg", tmp_path / "thumbs.db"
    source.write_bytes(saved(picture(1, (800, 400)), "JPEG", exif=exif))
    made = thumbnail(source, side=100, store=store)
    assert made is not None
    with Image.open(io.BytesIO(made)) as image:
        assert (image.format, image.size, dict(image.getexif())) == ("JPEG", (50, 100), {})
    monkeypatch.chdir(tmp_path)
    assert thumbnail(source, side=100, store=Path("thumbs.db")) == made
    assert thumbnail(source, side=100, store=tmp_path / "no" / "thumbs.db") == made
    assert thumbnail(tmp_path / "gone.jpg") is None
    assert thumbnail(b"text") is None


# --- the named collections ---

EXCEPTIONS = {
    "truncated.heic": "libheif fills what is missing with one colour; the file ends inside its mdat box",
}
"""Files that Pillow or pillow-heif opens without an error, and why they are refused all the same."""


def oracle(path: Path) -> bool:
    """Whether Pillow, with pillow-heif, decodes the file in full."""
    import pillow_heif

    pillow_heif.register_heif_opener()
    try:
        with Image.open(path) as image:
            image.load()
    except Exception:
        return False
    return True


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("folder", "least"), [("hostile", 120), ("heif", 50), ("exif_orientation", 18)])
def test_what_pillow_decodes_is_decoded_and_nothing_else(
    shared_data: Path, folder: str, least: int, capfd: pytest.CaptureFixture[str]
) -> None:
    decoded = 0
    with DecodePool(1, RESNET) as pool:
        for path in sorted(p for p in (shared_data / folder).rglob("*") if p.is_file()):
            outcome = pool.read(bytes(path))
            if oracle(path) and path.name not in EXCEPTIONS:
                assert isinstance(outcome, Decoded), (path.name, outcome)
                assert outcome.pixels.shape == (224, 224, 3)
                decoded += 1
            elif isinstance(outcome, Unreadable):
                assert outcome.reason
                assert not outcome.transient, (path.name, outcome)
            else:
                assert isinstance(outcome, NotAnImage), (path.name, outcome)
    assert decoded >= least


def test_orientations_of_the_named_photos(shared_data: Path) -> None:
    for kind, size in (("Landscape", (1800, 1200)), ("Portrait", (1200, 1800))):
        found = []
        for n in range(9):
            data = (shared_data / "exif_orientation" / f"{kind}_{n}.jpg").read_bytes()
            facts, pixels = decode(data, RESNET)
            assert (facts.width, facts.height) == size, (kind, n)
            found.append(pixels)
        assert max(apart(found[0], other) for other in found) < 4


@pytest.mark.filterwarnings("ignore:IM image format")
def test_the_same_picture_in_many_formats(shared_data: Path) -> None:
    def at(name: str) -> Pixels:
        return decode((shared_data / "hostile" / name).read_bytes(), RESNET, name=name.encode())[1]

    for name in ("hopper.qoi", "hopper.rgb", "hopper.ras", "hopper.im", "hopper16.rgb"):
        assert apart(at(name), at("hopper.ppm")) < 3, name


def test_a_truncated_heic_is_refused(shared_data: Path) -> None:
    data = (shared_data / "heif" / "heif_truncated" / "truncated.heic").read_bytes()
    assert reason(data) == "truncated: the file ends before its picture does"
