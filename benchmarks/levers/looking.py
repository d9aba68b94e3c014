"""Pictures -> vectors in each way that is compared: sizes of input, what of the picture, poolings."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from simsearch.framing import frame
from simsearch.models.backbone import EmbeddingNetwork, without_head
from simsearch.models.choice import ResolvedModel
from simsearch.models.registry import get_backbone
from simsearch.models.runners import available_threads, open_graph
from simsearch.models.weights.checkpoint import load_into, read_checkpoint
from simsearch.spec import EmbeddingSpec

Vectors = NDArray[np.float32]
Look = Callable[[Image.Image], NDArray[np.uint8]]

POWERS = (1.0, 2.0, 3.0, 4.0)
POOLINGS = ("avg", "gem 2", "gem 3", "gem 4", "max")
SIZES = (1.0, 288 / 224, 320 / 224)
BATCH = 16
TINY = 1e-6


class _Poolings(nn.Module):
    """(n, C, H, W) -> (n, len(POOLINGS) * C, 1, 1): the mean, generalised means and the maximum."""

    def forward(self, maps: Tensor) -> Tensor:
        floor = maps.clamp_min(TINY)
        pooled = [maps.mean((2, 3), keepdim=True)]
        pooled += [floor.pow(p).mean((2, 3), keepdim=True).pow(1 / p) for p in POWERS[1:]]
        return torch.cat([*pooled, maps.amax((2, 3), keepdim=True)], dim=1)


def inputs(spec: EmbeddingSpec) -> dict[str, tuple[int, Look]]:
    """The side of the input and what makes it of a picture, by name; the first is the product's own."""

    def central(factor: float, flipped: bool = False) -> tuple[int, Look]:
        crop = round(spec.crop * factor / 32) * 32 if factor != 1 else spec.crop
        framing = replace(spec.framing, resize=round(spec.resize * crop / spec.crop), crop=crop)
        return crop, lambda picture: _turned(frame(picture, framing), flipped)

    def whole(factor: float) -> tuple[int, Look]:
        side = central(factor)[0]
        return side, lambda picture: np.asarray(picture.resize((side, side), Image.Resampling.BICUBIC))

    middle, large = (round(factor * 224) for factor in SIZES[1:])
    return {
        "centre": central(1),
        "centre, mirrored": central(1, flipped=True),
        f"centre, {middle}": central(SIZES[1]),
        f"centre, {large}": central(SIZES[2]),
        "whole": whole(1),
        f"whole, {large}": whole(SIZES[2]),
    }


def looked(
    model: ResolvedModel, pictures: Sequence[Image.Image], names: Sequence[str] | None = None
) -> Iterator[tuple[str, str, Vectors]]:
    """(input, pooling, unit vectors float32 (n, dim)) of all pictures, for each input and pooling."""
    network = _network(model)
    for name, (side, look) in inputs(model.spec).items():
        if names is not None and name not in names:
            continue
        session = _session(network, side)
        parts = []
        for start in range(0, len(pictures), BATCH):
            pixels = np.stack([look(picture) for picture in pictures[start : start + BATCH]])
            (pooled,) = session.run(["vectors"], {"pixels": pixels})
            parts.append(pooled)
        together = np.concatenate(parts).reshape(len(pictures), len(POOLINGS), -1)
        for number, pooling in enumerate(POOLINGS):
            yield name, pooling, unit(together[:, number])


def unit(vectors: NDArray[np.floating]) -> Vectors:
    """Each row divided by its length."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, TINY), dtype=np.float32)


def _turned(pixels: NDArray[np.uint8], flipped: bool) -> NDArray[np.uint8]:
    return np.ascontiguousarray(pixels[:, ::-1]) if flipped else pixels


class _Unscaled(EmbeddingNetwork):
    """The network without the division by the length, which here is that of each pooling."""

    def forward(self, pixels: Tensor) -> Tensor:
        scaled = pixels.permute(0, 3, 1, 2).float() / 255.0
        pooled: Tensor = self.features((scaled - self.mean) / self.std)
        return pooled.flatten(1)


def _network(model: ResolvedModel) -> nn.Module:
    headless = without_head(get_backbone(model.spec.backbone))
    load_into(headless, read_checkpoint(Path(model.weights_path)), name=model.spec.backbone, path=Path())
    pools = [
        name
        for name, module in headless.network.named_modules()
        if isinstance(module, nn.AdaptiveAvgPool2d) and module.output_size in (1, (1, 1))
    ]
    headless.network.set_submodule(pools[-1], _Poolings())
    return _Unscaled(headless.network, model.spec).eval()


def _session(network: nn.Module, side: int) -> Any:
    with TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()), torch.inference_mode():
        file = Path(folder, "network.onnx")
        torch.onnx.export(
            network,
            (torch.zeros((2, side, side, 3), dtype=torch.uint8),),
            str(file),
            input_names=["pixels"],
            output_names=["vectors"],
            dynamic_axes={"pixels": {0: "n"}, "vectors": {0: "n"}},
            dynamo=False,
        )
        return open_graph(file.read_bytes(), available_threads())
