"""The usual loop: torchvision's ResNet-50 in eager float32 behind a DataLoader with a worker a core."""

from __future__ import annotations

import sys
import time

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision.models import ResNet50_Weights, resnet50

from benchmarks.peers.scripts.photos.telling import photos_in, tell, threads

BATCH = 32


class Photos(Dataset[torch.Tensor]):
    """The photos of a folder, decoded and brought to size by the transforms that belong to the weights."""

    def __init__(self, folder: str) -> None:
        self.paths = photos_in(folder)
        self.transforms = ResNet50_Weights.IMAGENET1K_V2.transforms()

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> torch.Tensor:
        with Image.open(self.paths[number]) as image:
            pixels: torch.Tensor = self.transforms(image.convert("RGB"))
            return pixels


def main(folder: str, checkpoint: str) -> None:
    """Embed the folder and tell how long it took."""
    started = time.perf_counter()
    torch.set_num_threads(threads())
    network = resnet50()
    network.load_state_dict(torch.load(checkpoint, weights_only=True))
    network.fc = torch.nn.Identity()
    network.eval()
    batches = DataLoader(Photos(folder), batch_size=BATCH, num_workers=threads())
    with torch.inference_mode():
        vectors = np.concatenate([network(batch).numpy() for batch in batches])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    did = f"ResNet-50, eager float32, batches of {BATCH}, {threads()} workers"
    tell(len(vectors), time.perf_counter() - started, did, "torch", "torchvision", "pillow")


if __name__ == "__main__":
    main(*sys.argv[1:])
