"""Pictures changed at random as torchvision does it, each by a number of its own."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.transforms import v2

from simsearch.training.pictures.frames import Pixels

SCALE = (0.35, 1.0)
JITTER = 0.2


class Augmentation:
    """A part of a picture, perhaps mirrored, with other brightness, contrast and saturation.

    `scale` is the share of the picture's area. The parts are of 3:4 to 4:3, resized to `crop` x `crop`
    pixels by the interpolation of the embeddings; everything is done on uint8.
    See https://docs.pytorch.org/vision/stable/transforms.html
    """

    def __init__(self, crop: int, interpolation: str) -> None:
        self._change = v2.Compose(
            [
                v2.RandomResizedCrop(
                    crop, scale=SCALE, interpolation=v2.InterpolationMode(interpolation), antialias=True
                ),
                v2.RandomHorizontalFlip(),
                v2.ColorJitter(JITTER, JITTER, JITTER),
            ]
        )

    def __call__(self, pixels: Pixels, number: int) -> Tensor:
        """uint8 (H, W, 3) -> uint8 (3, crop, crop); the same number always makes the same change."""
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(number)
            changed: Tensor = self._change(torch.from_numpy(pixels.copy()).permute(2, 0, 1))
        return changed
