"""The visible reference: a torch module from uint8 pixels to unit vectors, which both runtimes come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from simsearch.errors import ModelUnknown, SimsearchError, WeightsRefused
from simsearch.models.record import POOLINGS, Backbone
from simsearch.models.registry import build, get_backbone, list_backbones
from simsearch.models.weights.checkpoint import COUNTER, Headless, fits, load_into, read_checkpoint
from simsearch.spec import EmbeddingSpec

_GEM_POWER = 3.0
_TINY = 1e-6
_NO_LENGTH = 1e-12
# Auxiliary classifiers of googlenet and inception_v3, and a head of several layers.
_MOST_EXTRA = 40


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
    """uint8 pixels (n, crop, crop, 3) -> float32 vectors (n, dim) of length 1; always in eval mode.

    In train mode batch normalisation would take its statistics from the batch at hand, so that a picture's
    vector would hang on what else is embedded with it, and each pass would change the network.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, features: nn.Module, spec: EmbeddingSpec) -> None:
        super().__init__()
        self.features = features
        self.register_buffer("mean", torch.tensor(spec.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(spec.std).view(1, 3, 1, 1))
        self.train(False)

    def train(self, mode: bool = True) -> EmbeddingNetwork:
        """Stays in eval mode. Raises SimsearchError when train mode is asked for."""
        if mode:
            raise SimsearchError(
                "A network that makes embeddings stays in eval mode: in train mode the vector of a picture "
                "depends on the others of its batch. To train a backbone use: simsearch finetune"
            )
        return super().train(False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Scale, normalise, run the backbone and divide each vector by its length."""
        return self.measured(pixels)[0]

    def measured(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """The vectors (n, dim), and (n, 1) how long each was: their product is what a classifier takes."""
        scaled = pixels.permute(0, 3, 1, 2).float() / 255.0
        vectors: Tensor = self.features((scaled - self.mean) / self.std).flatten(1).float()
        lengths = torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
        return vectors / lengths.clamp_min(_NO_LENGTH), lengths


class Measured(nn.Module):
    """uint8 pixels -> float32 (n, dim + 1): the vectors of a network, and behind each how long it was."""

    def __init__(self, network: EmbeddingNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> Tensor:
        """Run the network."""
        return torch.cat(self.network.measured(pixels), dim=1)


def build_network(spec: EmbeddingSpec, weights: Path) -> EmbeddingNetwork:
    """The network of `spec` with the parameters of the checkpoint `weights`, in eval mode on the CPU.

    Raises ModelUnknown, WeightsMissing, WeightsRefused, ExtraMissing.
    """
    network = EmbeddingNetwork(load_features(spec, weights), spec)
    if spec.backbone.startswith("timm/"):
        check_output(network, spec.dim, spec.crop)
    return network


def load_features(spec: EmbeddingSpec, weights: Path) -> nn.Module:
    """The network of `spec` without its head, float32 (n, 3, crop, crop) -> (n, dim), as it was built.

    Raises ModelUnknown, WeightsMissing, WeightsRefused, ExtraMissing.
    """
    # Some networks are built for one size of picture, which an imported checkpoint may have changed.
    headless = without_head(replace(get_backbone(spec.backbone), crop=spec.crop), spec.pooling)
    tensors = read_checkpoint(weights)
    try:
        load_into(headless, tensors, name=spec.backbone, path=weights)
    except WeightsRefused as exc:
        other = recognise(tensors)
        told = f" It is one of {other.name}: use --model {other.name} with it." if other is not None else ""
        raise WeightsRefused(f"{exc}{told}") from exc
    return headless.network


def check_output(network: EmbeddingNetwork, dim: int, crop: int) -> None:
    """Refuse a network that makes no vector (1, dim) of a picture of `crop` pixels.

    Its last linear layer is then not its one way out (two heads, a head on a grid), or it is built for
    pictures of another size. Raises ModelUnknown.
    """
    try:
        with torch.inference_mode():
            shape = tuple(network(torch.zeros((1, crop, crop, 3), dtype=torch.uint8)).shape)
    except (RuntimeError, AssertionError, ValueError, TypeError):
        shape = ()
    if shape != (1, dim):
        raise ModelUnknown(
            f"{type(network.features).__name__} gives no vector of {dim} numbers for a picture of {crop} x "
            f"{crop} pixels: it does not end in one linear classifier, or wants another size."
        )


def without_head(backbone: Backbone, pooling: str = "avg") -> Headless:
    """The network of a backbone without its head and without values."""
    network = _hollow(backbone)
    if network is None:
        # The caller's generator stays as it was.
        with torch.random.fork_rng(devices=[]):
            network = build(backbone)
    return Headless(network, remove_head(network, pooling))


def _hollow(backbone: Backbone) -> nn.Module | None:
    """The network on the meta device, where nothing is drawn at random and nothing is filled.

    None for one that computes while it is built (RegNet its widths, some a table that no checkpoint holds).
    """
    try:
        with torch.device("meta"):
            network = build(backbone)
    except (NotImplementedError, RuntimeError):
        return None
    stored = network.state_dict().keys()
    return network if all(name in stored for name, _ in network.named_buffers()) else None


def recognise(tensors: Mapping[str, Tensor]) -> Backbone | None:
    """The backbone, of those known by name, whose parameters these are; None when it is none of them.

    Only networks with as many tensors as the checkpoint, or somewhat fewer (heads, auxiliary branches),
    are built to be compared.
    """
    count = sum(not key.endswith(COUNTER) for key in tensors)
    megabytes = sum(value.numel() * 4 for value in tensors.values()) / 1e6
    close = [
        record
        for record in list_backbones()
        if count - _MOST_EXTRA <= record.tensors <= count and record.megabytes < 4 * megabytes + 20
    ]
    for record in sorted(close, key=lambda record: (count - record.tensors, record.megabytes)):
        if fits(without_head(record), tensors):
            return record
    return None


def remove_head(network: nn.Module, pooling: str) -> str:
    """Replace the last `nn.Linear` by Identity and, unless `pooling` is "avg", the global average pool.

    Returns: the name of that layer. Raises ModelUnknown for a network that has no such layer.
    """
    if pooling not in POOLINGS:
        raise ModelUnknown(f"There is no pooling called {pooling!r}; use {', '.join(POOLINGS)}.")
    modules = dict(network.named_modules())
    linears: list[str] = [name for name, module in modules.items() if isinstance(module, nn.Linear)]
    if not linears:
        raise ModelUnknown(f"{type(network).__name__} has no classifier (nn.Linear) to take off.")
    network.set_submodule(linears[-1], nn.Identity())
    if pooling == "avg":
        return linears[-1]
    pools = [
        name
        for name, module in modules.items()
        if isinstance(module, nn.AdaptiveAvgPool2d) and module.output_size in (1, (1, 1))
    ]
    if not pools:
        raise ModelUnknown(f"{type(network).__name__} has no global average pool; use the pooling 'avg'.")
    network.set_submodule(pools[-1], GlobalPool(pooling))
    return linears[-1]
