"""A backbone with a new head, and the two ways in which it learns: the head alone, then all layers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from simsearch.models.backbone import load_features
from simsearch.spec import EmbeddingSpec
from simsearch.training.records import DECAY

SCALE = 16.0


class Directions(nn.Linear):
    """A head that compares as a search does: `SCALE` times the cosine with the direction of each class.

    By a plain linear layer the classes of a good backbone are told apart at once, nearly without a loss, and
    there is nothing left to learn from; cosines stay between -1 and 1, so that pictures of one class go on
    coming closer. Wang et al., https://arxiv.org/abs/1704.06369; Zhai and Wu,
    https://arxiv.org/abs/1811.12649
    """

    def __init__(self, dim: int, classes: int) -> None:
        super().__init__(dim, classes, bias=False)

    def forward(self, vectors: Tensor) -> Tensor:
        """float32 (n, dim) -> (n, classes)."""
        towards = nn.functional.normalize(self.weight, dim=1)
        return SCALE * nn.functional.linear(nn.functional.normalize(vectors, dim=1), towards)


class Learner(nn.Module):
    """Pixels -> one number a class, and the vectors on the way there; built frozen.

    Args:
        spec, weights: the backbone, as for `simsearch.models.backbone.build_network`, which raises the same.
        classes: how many the new head tells apart.
        seed: draws the head's first values.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, spec: EmbeddingSpec, weights: Path, classes: int, seed: int) -> None:
        super().__init__()
        self.features = load_features(spec, weights)
        with torch.random.fork_rng(devices=[]):
            # A generator takes 64 bits.
            torch.default_generator.manual_seed(seed % (1 << 63))
            self.head = Directions(spec.dim, classes)
        self.register_buffer("mean", torch.tensor(spec.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(spec.std).view(1, 3, 1, 1))
        self.freeze()

    def freeze(self) -> None:
        """Only the head learns; the backbone is in eval mode, so that its statistics stay as well."""
        self.eval()
        self.features.requires_grad_(False)

    def learn_all(self) -> None:
        """All layers learn, dropout is on, and batch normalisation keeps its statistics.

        Its scales and shifts learn; means and variances of batches of sixteen would be worse than those of
        the pictures that the backbone was trained on.
        """
        self.train()
        self.features.requires_grad_(True)
        for module in self.features.modules():
            if isinstance(module, _BatchNorm):
                module.eval()

    def raw(self, pixels: Tensor) -> Tensor:
        """uint8 (n, 3, crop, crop) -> float32 (n, dim), what the head sees."""
        vectors: Tensor = self.features((pixels.float() / 255.0 - self.mean) / self.std)
        return vectors.flatten(1).float()

    def forward(self, pixels: Tensor) -> Tensor:
        """uint8 (n, 3, crop, crop) -> float32 (n, classes)."""
        logits: Tensor = self.head(self.raw(pixels))
        return logits

    def vectors(self, pixels: Tensor) -> Tensor:
        """uint8 (n, 3, crop, crop) -> float32 (n, dim) of length 1, as an index keeps them."""
        return nn.functional.normalize(self.raw(pixels), dim=1)

    def optimizer(self, head_rate: float, backbone_rate: float) -> torch.optim.AdamW:
        """AdamW at one rate for the head and another for the backbone; only matrices decay.

        Loshchilov and Hutter, https://arxiv.org/abs/1711.05101
        """
        groups = [
            {"params": list(_of_rank(part, matrices)), "lr": rate, "weight_decay": DECAY * matrices}
            for part, rate in ((self.head, head_rate), (self.features, backbone_rate))
            for matrices in (True, False)
        ]
        groups = [group for group in groups if group["params"]]
        for group in groups:
            group["highest"] = group["lr"]
        return torch.optim.AdamW(groups)


def _of_rank(module: nn.Module, matrices: bool) -> Iterator[nn.Parameter]:
    return (value for value in module.parameters() if (value.ndim > 1) is matrices)


def set_rates(optimizer: torch.optim.Optimizer, step: int, warm: int, steps: int) -> None:
    """The learning rates of a step: a straight rise over `warm` steps, then half a cosine down to 0.

    Loshchilov and Hutter, https://arxiv.org/abs/1608.03983
    """
    if step < warm:
        share = (step + 1) / warm
    else:
        share = 0.5 * (1.0 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))
    for group in optimizer.param_groups:
        group["lr"] = share * group["highest"]
