"""Whole folders through the command line: odd and broken files, twins in all formats, and one huge photo."""

from __future__ import annotations

import io
import json
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from benchmarks.samples import make_small
from simsearch import Embedder, Index
from simsearch.media.pool import decode_here

Run = tuple[Path, dict[str, Any], int]
"""The index that `simsearch index --json` made, its report, and the most bytes that its processes held."""
Runs = Callable[[str], Run]
MOST_MEMORY, MOST_PIXELS = 2 << 30, 178_956_970
LITE0, HUGE = "efficientnet_lite0", 14_208
# The least cosines: the same pixels; other formats of a picture, with and without all its colours; enlarged.
SAME, TWIN, PALETTE, ENLARGED = 0.9999, 0.995, 0.98, 0.98
# A number from 0 to 8 stands large in the middle of each named orientation, and the network sees it.
NUMBERED, NUMBER_COVERED = 0.91, 0.99
COLOUR, LAB, LOSSY, FEW_COLOURS, GREY, ICON, ONE_BIT = 0.99, 0.98, 0.95, 0.87, 0.86, 0.53, 0.39
HOPPERS = {
    "bmp dcx dds iccprofile.tif iccprofile_binary.tif im jpg png pnm ppm psd pxr qoi ras rgb sgi tif": COLOUR,
    # Eight bits each of L*, a* and b* are coarser than eight of red, green and blue.
    "Lab.tif": LAB,
    # Compressed with visible loss, or dithered down to 256 colours of its own.
    "webp gif fli": LOSSY,
    # A fixed palette, whatever the picture.
    "p7 xpm": FEW_COLOURS,
    # Without its colours it is another picture to the network.
    "bw fits pfm spider": GREY,
    # 16 x 16 pixels, a sixty-fourth of the picture.
    "ico": ICON,
    # Black dots on white, whose density is all that is left of the shades.
    "msp xbm": ONE_BIT,
}
FILLED_UP = {"truncated.heic"}
"""libheif fills what is missing with green and raises no error, so for Pillow they are whole."""
NO_PICTURES = {
    # Image.open does not know these containers and raw textures either, and their suffixes claim nothing.
    "hostile": {"hopper.gd", "hopper.mic", "hopper.tar", "hopper.wal"},
    "heif": {"COPYRIGHT.txt", "README.txt"},
    "exif_orientation": set(),
}
REFUSED = {
    **dict.fromkeys(("cut.jpg", "cut.png", "cut.heic"), "truncated: "),
    "empty.jpg": "the file is empty",
    "page.png": "not a PNG: its content is no picture",
}
SUFFIXES = "png tif bmp dib ppm tga pcx sgi dds qoi im jp2 avif heic jpg ico icns gif blp"
NO_PHOTOS = {"BUFR", "EPS", "GRIB", "HDF5", "PDF", "WMF"} | {"MSP", "PALM", "SPIDER", "XBM"}
"""What Pillow writes besides: documents and data, and formats without colours or without a reader."""
ORACLE = f"""
import pillow_heif, resource, signal, sys
from PIL import Image, ImageFile
pillow_heif.register_heif_opener()
Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = None, False
resource.setrlimit(resource.RLIMIT_AS, (3 << 29, 3 << 29))
for name in sys.argv[1:]:
    signal.alarm(60)
    try:
        with Image.open(name) as image:
            whole = image.width * image.height <= {MOST_PIXELS}
            whole and image.load()
    except Exception:
        whole = False
    print("whole" if whole else "no", flush=True)
"""


def watched(folder: Path, index: Path, **env: str) -> Run:
    """Index a folder in a process of its own, and look at the memory of its whole tree every 50 ms."""
    command = [sys.executable, "-m", "simsearch", "index", str(folder), "-i", str(index), "--model", LITE0]
    until, peak, pipe = time.monotonic() + 1200, 0, subprocess.PIPE
    with subprocess.Popen([*command, "--json"], stdout=pipe, stderr=pipe, env=os.environ | env) as child:
        while True:
            try:
                stdout, stderr = child.communicate(timeout=0.05)
                break
            except subprocess.TimeoutExpired:
                peak = max(peak, memory_of_tree(child.pid))
                if time.monotonic() > until:
                    child.kill()
    assert (child.returncode, b"Traceback" in stderr) == (0, False), stderr
    return index, json.loads(stdout), peak


def memory_of_tree(root: int) -> int:
    """Bytes that a process and all that descend from it hold together."""
    parents: dict[int, int] = {}
    for place in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(place.parent.name)] = int(place.read_text().rpartition(")")[2].split()[1])
    tree = {root}
    while more := {pid for pid, parent in parents.items() if parent in tree} - tree:
        tree |= more
    return sum(map(memory_of, tree))


def memory_of(pid: int) -> int:
    """Bytes that a process holds, of shared pages its share; 0 when it has ended."""
    for name, key in (("smaps_rollup", "Pss:"), ("status", "VmRSS:")):
        with suppress(OSError):
            for line in Path(f"/proc/{pid}/{name}").read_text().splitlines():
                if line.startswith(key):
                    return int(line.split()[1]) * 1024
    return 0


def vectors_of(index: Path) -> dict[Path, NDArray[np.float32]]:
    """The vector of every path in an index."""
    with Index.open(index) as opened:
        photos = list(opened.photos())
        vectors = opened.vectors([photo.id for photo in photos])
    return {Path(path): vectors[row] for row, photo in enumerate(photos) for path in photo.paths}


def whole_files(files: list[Path]) -> set[Path]:
    """Those that Pillow, with pillow-heif, decodes in full; one that ends the process or hangs is not."""
    said: list[bytes] = []
    while left := files[len(said) :]:
        command = [sys.executable, "-W", "ignore", "-c", ORACLE, *map(str, left)]
        done = subprocess.run(command, capture_output=True, timeout=1800, check=False)
        said += [*done.stdout.split(), b"no"][: len(left)]
    return {p for p, s in zip(files, said, strict=True) if s == b"whole" and p.name not in FILLED_UP}


@pytest.fixture(scope="module")
def run_of(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Runs over the named folders, each once, the first with a network that is still to be prepared."""
    home = tmp_path_factory.mktemp("runs")
    return cache(lambda name: watched(shared_data / name, home / name, XDG_CACHE_HOME=str(home / "cache")))


@pytest.mark.parametrize("name", NO_PICTURES)
def test_what_is_whole_is_indexed_and_the_rest_is_named(shared_data: Path, run_of: Runs, name: str) -> None:
    index, report, peak = run_of(name)
    files = {path for path in (shared_data / name).rglob("*") if path.is_file()}
    skipped = {Path(item["path"]): item for item in report["skipped"]}
    indexed = set(vectors_of(index))
    assert indexed == whole_files(sorted(files))
    assert {path.name for path in files - indexed - skipped.keys()} == NO_PICTURES[name]
    assert [str(p) for p, item in skipped.items() if not item["reason"].strip() or item["transient"]] == []
    assert all(skipped[p]["reason"].startswith("truncated") for p in files if p.name in FILLED_UP)
    told = {count: report[count] for count in ("added", "updated", "moved", "unchanged", "ignored")}
    assert report["scanned"] == len(files) == sum(told.values()) + len(skipped)
    assert (told["added"], told["ignored"]) == (len(indexed), len(NO_PICTURES[name]))
    assert 0 < peak < MOST_MEMORY


def test_one_picture_in_nine_orientations(shared_data: Path, run_of: Runs, tmp_path: Path) -> None:
    (covered := tmp_path / "covered").mkdir()
    for path in (shared_data / "exif_orientation").iterdir():
        with Image.open(path) as image:
            across, down = image.width // 2, image.height // 2
            image.paste("grey", (across - 120, down - 120, across + 120, down + 120))
            image.save(covered / path.name, quality=95, exif=image.info.get("exif", b""))
    named, hidden = run_of("exif_orientation")[0], watched(covered, tmp_path / "index")[0]
    for index, bound in ((named, NUMBERED), (hidden, NUMBER_COVERED)):
        for kind in ("Landscape", "Portrait"):
            alike = np.stack([v for path, v in vectors_of(index).items() if path.name.startswith(kind)])
            assert len(alike) == 9
            assert (alike @ alike.T).min() >= bound, kind


def test_one_picture_in_many_formats(shared_data: Path, run_of: Runs) -> None:
    found = vectors_of(run_of("hostile")[0])
    hoppers = {path.name[7:]: vector for path, vector in found.items() if path.name.startswith("hopper.")}
    bounds = {suffix: bound for suffixes, bound in HOPPERS.items() for suffix in suffixes.split()}
    cosines = {suffix: float(vector @ hoppers["png"]) for suffix, vector in hoppers.items()}
    assert cosines.keys() == bounds.keys()
    assert {suffix: cosine for suffix, cosine in cosines.items() if cosine < bounds[suffix]} == {}


def write_twins(folder: Path, photo: Image.Image) -> dict[str, tuple[str, float]]:
    """Write a picture in many ways; for each file the one that it must resemble, and how closely."""
    made: dict[str, tuple[str, float]] = {}

    def write(name: str, image: Image.Image, like: str = "twin.png", bound: float = TWIN, **how: Any) -> None:
        image.save(folder / name, **{"quality": 95, **how})
        made[name] = (like, bound)

    # The square that the network sees, since an icon would squash the whole.
    square = ImageOps.fit(photo, (photo.height, photo.height))
    coloured = dict.fromkeys(("gif", "blp"), photo.quantize(256))
    for suffix in SUFFIXES.split():
        image = coloured.get(suffix) or (square if suffix in ("ico", "icns") else photo)
        write(f"twin.{suffix}", image, bound=PALETTE if suffix in coloured else TWIN)
    write("twin.webp", photo, lossless=True)
    write("frames.mpo", photo, save_all=True, append_images=[square])
    write("cmyk.jpg", photo.convert("CMYK"))
    for tag, opposite in enumerate((1, 2, 3, 4, 5, 8, 7, 6), start=1):
        tilted, exif = photo.copy(), Image.Exif()
        tilted.getexif()[0x0112], exif[0x0112] = opposite, tag
        ImageOps.exif_transpose(tilted, in_place=True)
        write(f"tag{tag}.jpg", tilted, exif=exif.tobytes())
        write(f"tag{tag}.heic", tilted, exif=exif.tobytes())
    grey, white, clear = photo.convert("L"), photo.copy(), photo.quantize(255)
    write("grey.png", grey, like="grey.png")
    write("grey16.png", Image.fromarray(np.asarray(grey, np.uint16) * 257), like="grey.png")
    corner = (0, 0, photo.width // 3, photo.height // 2)
    white.paste("white", corner)
    clear.paste(255, corner)
    write("white.png", white, like="white.png")
    write("clear.png", clear, like="white.png", bound=PALETTE, transparency=255)
    (folder / "JPEG.HEIC").write_bytes((folder / "twin.jpg").read_bytes())
    return made | {"JPEG.HEIC": ("twin.jpg", SAME)}


@pytest.mark.filterwarnings("ignore:IM image format")
def test_twins_of_all_kinds_are_near_and_oddities_are_named(photos: Path, tmp_path: Path) -> None:
    pillow_heif.register_heif_opener()
    written = {Image.registered_extensions()[f".{suffix}"] for suffix in f"{SUFFIXES} webp mpo".split()}
    assert written | NO_PHOTOS == Image.SAVE.keys()
    (folder := tmp_path / "twins").mkdir()
    with Image.open(photos / "originals" / "coffee.png") as image:
        made = write_twins(folder, image.convert("RGB"))
    for suffix in ("jpg", "png", "heic"):
        data = (folder / f"twin.{suffix}").read_bytes()
        (folder / f"cut.{suffix}").write_bytes(data[: len(data) * 6 // 10])
    (folder / "empty.jpg").touch()
    (folder / "page.png").write_text("<!DOCTYPE html><title>Not found</title>")
    (folder / "notes.txt").write_text("no picture")
    (folder / "again").symlink_to(".")
    (folder / "loop.jpg").symlink_to("loop.jpg")
    os.mkfifo(folder / "pipe.jpg")
    os.mknod(folder / "socket.jpg", stat.S_IFSOCK | 0o600)
    index, report, _ = watched(folder, tmp_path / "index")
    skipped = {Path(item["path"]).name: item["reason"] for item in report["skipped"]}
    assert skipped.keys() == REFUSED.keys()
    assert [name for name, reason in skipped.items() if not reason.startswith(REFUSED[name])] == []
    # JPEG.HEIC is the one file whose bytes another one has.
    assert (report["added"], report["embedded"], report["ignored"]) == (len(made), len(made) - 1, 1)
    assert report["scanned"] == len(made) + len(REFUSED) + 1
    found = {path.name: vector for path, vector in vectors_of(index).items()}
    assert found.keys() == made.keys()
    cosines = {name: float(found[name] @ found[like]) for name, (like, _) in made.items()}
    assert {name: cosine for name, cosine in cosines.items() if cosine < made[name][1]} == {}


def test_a_broken_photo_in_a_batch_shifts_no_vector(tmp_path: Path) -> None:
    make_small(tmp_path / "photos", 40)
    files = sorted((tmp_path / "photos").rglob("*.jpg"), key=bytes)
    broken = files.pop(6)
    broken.write_bytes(broken.read_bytes()[:-400])
    index, report, _ = watched(tmp_path / "photos", tmp_path / "index")
    assert (report["added"], report["embedded"]) == (39, 39)
    assert [(s["path"], s["reason"][:9]) for s in report["skipped"]] == [(str(broken), "truncated")]
    embedder, found = Embedder(LITE0), vectors_of(index)
    alone = [embedder.embed(decode_here(f, embedder.spec.framing).pixels[None])[0] for f in files]
    cosines = np.stack([found[file] for file in files]) @ np.stack(alone).T
    assert np.diag(cosines).min() >= SAME > cosines[~np.eye(len(files), dtype=bool)].max()


def huge_jpeg(photo: Image.Image) -> bytes:
    """A picture enlarged to a square of HUGE x HUGE, as a baseline JPEG."""
    strips, scale = [], photo.height / HUGE
    for top in range(0, HUGE, 128):
        box = (0, top * scale, photo.width, (top + 128) * scale)
        enlarged, strip = photo.resize((HUGE, 128), Image.Resampling.BICUBIC, box), io.BytesIO()
        enlarged.save(strip, "JPEG", quality=70, subsampling="4:2:0", restart_marker_rows=1)
        strips.append(strip.getvalue())
    # Strips of eight rows of blocks, a restart marker after each row, can be laid end to end with marker 7
    # in between, so that 200 million pixels are never in memory together.
    start = strips[0].index(b"\xff\xda") + 14
    height = strips[0].index(b"\xff\xc0") + 5
    head = strips[0][:height] + HUGE.to_bytes(2, "big") + strips[0][height + 2 : start]
    return head + b"\xff\xd7".join(strip[start:-2] for strip in strips) + b"\xff\xd9"


def test_two_hundred_million_pixels_are_near_their_small_twin(photos: Path, tmp_path: Path) -> None:
    # More than may be decoded in full, so only the reduced decode lets it through.
    assert MOST_PIXELS < 200_000_000 < HUGE * HUGE
    (folder := tmp_path / "photos").mkdir()
    with Image.open(photos / "originals" / "astronaut.png") as image:
        image.save(folder / "small.png")
        (folder / "huge.jpg").write_bytes(huge_jpeg(image))
    index, report, _ = watched(folder, tmp_path / "index")
    assert (report["added"], report["skipped"]) == (2, [])
    with Index.open(index) as opened:
        assert (HUGE, HUGE) in {(photo.width, photo.height) for photo in opened.photos()}
    one, other = vectors_of(index).values()
    assert one @ other >= ENLARGED
