"""The visible reference: a torch module from uint8 pixels to unit vectors, which both runtimes come from."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from simsearch.errors import ExtraMissing, ModelUnknown, WeightsRefused
from simsearch.models.checkpoint import fits, load_into, read_checkpoint
from simsearch.models.registry import POOLINGS, get_backbone, list_backbones
from simsearch.spec import EmbeddingSpec

_GEM_POWER = 3.0
_TINY = 1e-6
_RELATIVES = (
    *("resnet18", "resnet34", "resnet101", "resnet152", "wide_resnet50_2", "wide_resnet101_2"),
    *("resnext50_32x4d", "resnext101_32x8d", "resnext101_64x4d", "densenet121", "vgg16"),
    *("mobilenet_v2", "mobilenet_v3_large", "efficientnet_b0", "convnext_tiny"),
)


class GlobalPool(nn.Module):
    """(n, C, H, W) -> (n, C, 1, 1) by the maximum, or by the generalised mean with power 3 ("gem").

    GeM: Radenovic et al., https://arxiv.org/abs/1711.02512
    """

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, maps: Tensor) -> Tensor:
        """Pool the feature maps."""
        if self.kind == "max":
            return maps.amax((2, 3), keepdim=True)
        powers = maps.float().clamp_min(_TINY).pow(_GEM_POWER)
        return powers.mean((2, 3), keepdim=True).pow(1.0 / _GEM_POWER)


class EmbeddingNetwork(nn.Module):
    """uint8 pixels (n, crop, crop, 3) -> float32 vectors (n, dim) of length 1."""

    mean: Tensor
    std: Tensor

    def __init__(self, features: nn.Module, spec: EmbeddingSpec) -> None:
        super().__init__()
        self.features = features
        self.register_buffer("mean", torch.tensor(spec.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(spec.std).view(1, 3, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        """Scale, normalise, run the backbone and divide each vector by its length."""
        scaled = pixels.permute(0, 3, 1, 2).float() / 255.0
        vectors: Tensor = self.features((scaled - self.mean) / self.std).flatten(1).float()
        return nn.functional.normalize(vectors, dim=1)


def build_network(spec: EmbeddingSpec, weights: Path) -> EmbeddingNetwork:
    """The network of `spec` with the parameters of the checkpoint `weights`, in eval mode on the CPU.

    Raises ModelUnknown, WeightsMissing, WeightsRefused.
    """
    record = get_backbone(spec.backbone)
    features = _headless(record.architecture, spec.pooling)
    tensors = read_checkpoint(weights)
    try:
        load_into(features, tensors, name=spec.backbone, path=weights)
    except WeightsRefused as exc:
        other = _recognise(tensors)
        raise WeightsRefused(f"{exc} {other}".rstrip()) from exc
    return EmbeddingNetwork(features, spec).eval()


def _headless(architecture: str, pooling: str) -> nn.Module:
    """The network of a registry record without its head and without values."""
    # On the meta device nothing is drawn at random, so the caller's generator stays as it was.
    with torch.device("meta"):
        network = _architecture(architecture)
    remove_head(network, pooling)
    return network


def _recognise(tensors: Mapping[str, Tensor]) -> str:
    """A sentence that names the network a refused checkpoint belongs to; empty when it is none of ours."""
    for record in list_backbones():
        if fits(_headless(record.architecture, "avg"), tensors):
            return f"It is one of {record.name}: use --model {record.name} with it."
    for name in _RELATIVES:
        if fits(_headless(f"torchvision:{name}", "avg"), tensors):
            return f"It is one of {name}."
    return ""


def remove_head(network: nn.Module, pooling: str) -> None:
    """Replace the last `nn.Linear` by Identity and, unless `pooling` is "avg", the global average pool.

    Raises ModelUnknown for a network that has no such layer.
    """
    if pooling not in POOLINGS:
        raise ModelUnknown(f"There is no pooling called {pooling!r}; use {', '.join(POOLINGS)}.")
    modules = dict(network.named_modules())
    linears = [name for name, module in modules.items() if isinstance(module, nn.Linear)]
    if not linears:
        raise ModelUnknown(f"{type(network).__name__} has no classifier (nn.Linear) to take off.")
    network.set_submodule(linears[-1], nn.Identity())
    if pooling == "avg":
        return
    pools = [
        name
        for name, module in modules.items()
        if isinstance(module, nn.AdaptiveAvgPool2d) and module.output_size in (1, (1, 1))
    ]
    if not pools:
        raise ModelUnknown(f"{type(network).__name__} has no global average pool; use the pooling 'avg'.")
    network.set_submodule(pools[-1], GlobalPool(pooling))


def _architecture(name: str) -> nn.Module:
    """The untrained network of a registry record, e.g. "torchvision:resnet50"."""
    origin, _, model = name.partition(":")
    network: nn.Module
    if origin == "torchvision":
        import torchvision

        network = torchvision.models.get_model(model, weights=None)
        return network
    try:
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as exc:
        raise ExtraMissing(
            f"{model} needs the package efficientnet-lite-pytorch: pip install efficientnet-lite-pytorch"
        ) from exc
    with contextlib.redirect_stdout(io.StringIO()):
        network = EfficientNet.from_name(model)
    return network
