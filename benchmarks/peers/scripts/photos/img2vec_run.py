"""img2vec_pytorch: ResNet-50 in lists of 32 pictures, its weights found where torchvision keeps downloads."""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path

from img2vec_pytorch import Img2Vec
from PIL import Image
from torchvision.models import ResNet50_Weights

from benchmarks.peers.scripts.photos.telling import photos_in, tell

BATCH = 32


def main(folder: str, checkpoint: str) -> None:
    """Embed the folder and tell how long it took."""
    started = time.perf_counter()
    kept = Path(os.environ["TORCH_HOME"], "hub", "checkpoints", Path(ResNet50_Weights.DEFAULT.url).name)
    kept.parent.mkdir(parents=True)
    shutil.copy(checkpoint, kept)
    network, paths, count = Img2Vec(cuda=False, model="resnet50"), photos_in(folder), 0
    for start in range(0, len(paths), BATCH):
        pictures = []
        for path in paths[start : start + BATCH]:
            with Image.open(path) as image:
                pictures.append(image.convert("RGB"))
        count += len(network.get_vec(pictures))
    did = f"ResNet-50, eager float32, lists of {BATCH}"
    tell(count, time.perf_counter() - started, did, "img2vec-pytorch", "torch")


if __name__ == "__main__":
    main(*sys.argv[1:])
