"""imagededup: its DHash and PHash, its CNN as it comes, and its CNN method with ResNet-50 for its network."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from imagededup.handlers.search.retrieval import get_cosine_similarity
from imagededup.methods import CNN, DHash, PHash
from numpy.typing import NDArray

from benchmarks.peers.scripts.dedup.answering import Files, answer, by_bits, read
from benchmarks.peers.scripts.photos.imagededup_run import resnet


def by_hash(files: Files, method: Any) -> NDArray[Any]:
    """Equal bits of imagededup's hashes, which it tells as hexadecimal digits."""

    def hashes(paths: list[str]) -> NDArray[np.uint8]:
        found = [bytes.fromhex(method.encode_image(image_file=path)) for path in paths]
        return np.frombuffer(b"".join(found), dtype=np.uint8).reshape(len(paths), -1)

    return by_bits(hashes(files.queries), hashes(files.originals)[:, None])


def by_network(files: Files, cnn: Any) -> NDArray[Any]:
    """Cosines by its own function, which takes all files with all."""
    import torch

    with torch.no_grad():
        vectors = np.concatenate([cnn.encode_image(image_file=path) for path in files.all])
    cosines = get_cosine_similarity(vectors.reshape(len(files.all), -1), verbose=False)
    place = {path: n for n, path in enumerate(files.all)}
    rows, columns = ([place[path] for path in paths] for paths in (files.queries, files.originals))
    return np.asarray(cosines[np.ix_(rows, columns)], dtype=np.float32)


def main(task: str, out: str, way: str, checkpoint: str = "") -> None:
    """Score all pairs of the task by one of its methods."""
    files = read(task)
    if way in ("dhash", "phash"):
        method = (DHash if way == "dhash" else PHash)(verbose=False)
        answer(files, out, lambda: by_hash(files, method), f"its {way}", ("imagededup",))
        return
    config = {"model_config": resnet(checkpoint)} if way == "resnet50" else {}
    did = "cosine of ResNet-50" if config else "cosine of its own mobilenet_v3_small"
    answer(files, out, lambda: by_network(files, CNN(verbose=False, **config)), did, ("imagededup", "torch"))


if __name__ == "__main__":
    main(*sys.argv[1:])
