"""imagehash's pHash and dHash, and PDQ by pdqhash: hashes of 64 and 256 bits, every pair compared."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import imagehash
import numpy as np
import pdqhash
from numpy.typing import NDArray
from PIL import Image

from benchmarks.peers.scripts.dedup.answering import Files, answer, by_bits, read

Hashed = Callable[[Image.Image], NDArray[np.uint8]]
"""A picture's hash, packed into bytes."""


def pdq(picture: Image.Image) -> NDArray[np.uint8]:
    """PDQ's 256 bits."""
    bits, _ = pdqhash.compute(np.asarray(picture))
    return np.packbits(bits)


def phash(picture: Image.Image) -> NDArray[np.uint8]:
    """imagehash's pHash."""
    return np.packbits(imagehash.phash(picture).hash)


def dhash(picture: Image.Image) -> NDArray[np.uint8]:
    """imagehash's dHash."""
    return np.packbits(imagehash.dhash(picture).hash)


WAYS: dict[str, tuple[Hashed, str]] = {
    "pdq": (pdq, "pdqhash"),
    "phash": (phash, "imagehash"),
    "dhash": (dhash, "imagehash"),
}


def forms(picture: Image.Image, count: int) -> Iterator[Image.Image]:
    """The picture as it is, or in its eight forms: four turns of it and of its mirror image."""
    yield picture
    if count == 1:
        return
    for turn in (Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270):
        yield picture.transpose(turn)
    mirror = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    yield from (mirror, picture.transpose(Image.Transpose.FLIP_TOP_BOTTOM))
    yield from (picture.transpose(Image.Transpose.TRANSPOSE), picture.transpose(Image.Transpose.TRANSVERSE))


def load(path: str) -> Image.Image:
    """A file as an RGB picture."""
    with Image.open(path) as image:
        return image.convert("RGB")


def scores(files: Files, hashed: Hashed, count: int) -> NDArray[Any]:
    """Equal bits of each query and the best form of each original."""
    queries = np.stack([hashed(load(path)) for path in files.queries])
    originals = [[hashed(form) for form in forms(load(path), count)] for path in files.originals]
    return by_bits(queries, np.asarray(originals, dtype=np.uint8))


def main(task: str, out: str, way: str, count: str) -> None:
    """Score all pairs of the task by one of the hashes."""
    files = read(task)
    hashed, package = WAYS[way]
    did = f"{way}, each query with {count} form{'s' * (count != '1')} of each original"
    answer(files, out, lambda: scores(files, hashed, int(count)), did, (package, "pillow"))


if __name__ == "__main__":
    main(*sys.argv[1:])
