"""Photos for the demo and the tests, made from those that come inside scikit-image and scikit-learn.

    python -m benchmarks.samples OUT              originals, crops, and three other kinds of copies
    python -m benchmarks.samples OUT --small N    N small distinct photos, cut out of the originals

The originals lie in the data folders of those two packages and come under the terms stated there (public
domain and Creative Commons for the most part); they are copied from the installed packages, never fetched.
The same versions of the packages give the same bytes, and a file that is right already is left alone.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import io
import random
import sys
from collections.abc import Iterator
from pathlib import Path

from PIL import Image, ImageOps

SOURCES = {
    "skimage": (
        "data",
        (
            "astronaut.png",
            "brick.png",
            "camera.png",
            "chelsea.png",
            "clock_motion.png",
            "coffee.png",
            "coins.png",
            "grass.png",
            "gravel.png",
            "hubble_deep_field.jpg",
            "ihc.png",
            "moon.png",
            "motorcycle_left.png",
            "motorcycle_right.png",
            "page.png",
            "retina.jpg",
            "rocket.jpg",
        ),
    ),
    "sklearn": ("datasets/images", ("china.jpg", "flower.jpg")),
}
SIDE = 96
PER_FOLDER = 500


def originals() -> list[Path]:
    """The sample photos of the installed packages. Raises FileNotFoundError where none is there."""
    found = []
    for package, (folder, names) in SOURCES.items():
        # Found, not imported: the packages take a second to load and are only looked into.
        spec = importlib.util.find_spec(package)
        for home in (spec.submodule_search_locations or []) if spec else []:
            found += [path for name in names if (path := Path(home, folder, name)).is_file()]
    if not found:
        raise FileNotFoundError(
            "No sample photos: scikit-image and scikit-learn are not installed. "
            "Install them with: pip install -e '.[demo]'"
        )
    return found


def make_samples(out: Path) -> dict[str, int]:
    """Fill `out` with the originals and four kinds of copies; returns how many files of each kind."""
    counts: dict[str, int] = {}
    for source in originals():
        _write(out / "originals" / source.name, source.read_bytes())
        counts["originals"] = counts.get("originals", 0) + 1
        picture = _load(source)
        for kind, data in _copies(picture, random.Random(source.name)):
            _write(out / kind / f"{source.stem}.jpg", data)
            counts[kind] = counts.get(kind, 0) + 1
    return counts


def make_small(out: Path, count: int) -> None:
    """Fill `out` with `count` JPEGs of 96 x 96 pixels, no two with the same bytes, 500 to a folder."""
    pictures = [_load(path) for path in originals()]
    seen: set[bytes] = set()
    chance = random.Random(count)
    while len(seen) < count:
        data = _jpeg(_cut(chance.choice(pictures), chance), 85)
        digest = hashlib.sha256(data).digest()
        if digest not in seen:
            number = len(seen)
            seen.add(digest)
            _write(out / f"{number // PER_FOLDER:03d}" / f"{number:06d}.jpg", data)


def _copies(picture: Image.Image, chance: random.Random) -> Iterator[tuple[str, bytes]]:
    width, height = picture.size
    share = chance.uniform(0.6, 0.8) ** 0.5
    kept = (round(width * share), round(height * share))
    left, top = chance.randint(0, width - kept[0]), chance.randint(0, height - kept[1])
    cropped = picture.crop((left, top, left + kept[0], top + kept[1]))
    yield "cropped", _jpeg(cropped, 90)
    yield "recompressed", _jpeg(picture, chance.randint(30, 60))
    yield "half-size", _jpeg(picture.resize((width // 2, height // 2), Image.Resampling.LANCZOS), 90)
    yield "mirrored", _jpeg(ImageOps.mirror(picture), 90)


def _cut(picture: Image.Image, chance: random.Random) -> Image.Image:
    side = chance.randint(SIDE, min(picture.size))
    left, top = chance.randint(0, picture.width - side), chance.randint(0, picture.height - side)
    small = picture.resize((SIDE, SIDE), Image.Resampling.BILINEAR, (left, top, left + side, top + side))
    return ImageOps.mirror(small) if chance.random() < 0.5 else small


def _load(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")


def _jpeg(picture: Image.Image, quality: int) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def _write(path: Path, data: bytes) -> None:
    if path.is_file() and path.read_bytes() == data:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def main() -> int:
    """Make what the arguments ask for, say on stderr what it was, and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.samples", description="Make a folder of sample photos."
    )
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--small", type=int, metavar="N", help="make N small distinct photos instead")
    arguments = parser.parse_args()
    try:
        if arguments.small is not None:
            make_small(arguments.out, arguments.small)
            made = f"{arguments.small} small photos"
        else:
            counts = make_samples(arguments.out)
            made = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    except OSError as exc:
        print(f"Error: {exc}", file=sys.stderr)
        return 1
    print(f"{arguments.out}: {made}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
