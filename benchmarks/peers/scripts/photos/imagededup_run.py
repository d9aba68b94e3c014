"""imagededup: its CNN as it comes, its CNN with ResNet-50 for its network, or its perceptual hashes."""

from __future__ import annotations

import sys
import time
from typing import Any

from imagededup.methods import CNN, PHash
from imagededup.utils import CustomModel

from benchmarks.peers.scripts.photos.telling import tell, threads


def resnet(checkpoint: str) -> Any:
    """ResNet-50 without its last layer, with the transforms of its weights, as imagededup wants it."""
    import torch
    from torchvision.models import ResNet50_Weights, resnet50

    network = resnet50()
    network.load_state_dict(torch.load(checkpoint, weights_only=True))
    network.fc = torch.nn.Identity()
    transforms = ResNet50_Weights.IMAGENET1K_V2.transforms()
    return CustomModel(name="resnet50", model=network.eval(), transform=transforms)


def main(folder: str, way: str, checkpoint: str = "") -> None:
    """Encode the folder and tell how long it took."""
    started = time.perf_counter()
    if way == "phash":
        found, did = PHash(verbose=False).encode_images(folder, num_enc_workers=threads()), "decode+hash"
    elif way == "resnet50":
        cnn = CNN(verbose=False, model_config=resnet(checkpoint))
        found, did = cnn.encode_images(folder, num_enc_workers=threads()), "ResNet-50, eager float32"
    else:
        cnn = CNN(verbose=False)
        found, did = cnn.encode_images(folder, num_enc_workers=threads()), "its own mobilenet_v3_small"
    tell(len(found), time.perf_counter() - started, did, "imagededup", "torch")


if __name__ == "__main__":
    main(*sys.argv[1:])
