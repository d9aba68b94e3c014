"""torchvision's classifiers that end in a linear layer; `python -m benchmarks backbones` makes the table."""

from __future__ import annotations

import csv
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from simsearch.models.record import Backbone, Triple

if TYPE_CHECKING:
    from torch import nn

URL = "https://download.pytorch.org/models/"
WITHOUT_LINEAR = ("squeezenet1_0", "squeezenet1_1")
_TABLE = "torchvision.csv"
# Their weights were trained on TensorFlow's scale; torchvision's own builders say so with the weights.
_OTHER_INPUT = ("googlenet", "inception_v3")


@cache
def records() -> tuple[Backbone, ...]:
    """The backbones in the table; torchvision itself is not imported."""
    table = resources.files("simsearch.models.sources").joinpath(_TABLE)
    with table.open(encoding="utf-8") as stream:
        return tuple(from_row(row) for row in csv.DictReader(stream))


def from_row(row: dict[str, str]) -> Backbone:
    """The backbone of one row of the table."""
    return Backbone(
        name=row["name"],
        dim=int(row["dim"]),
        resize=int(row["resize"]),
        crop=int(row["crop"]),
        interpolation=row["interpolation"],
        mean=_triple(row["mean"]),
        std=_triple(row["std"]),
        architecture=f"torchvision:{row['name']}",
        source=f"torchvision, {row['weights']}",
        licence=row["licence"],
        megabytes=float(row["megabytes"]),
        file=row["file"],
        sha256=row["file"].rpartition("-")[2].partition(".")[0],
        url=URL + row["file"],
        runtime=row["runtime"],
        tensors=int(row["tensors"]),
    )


def _triple(text: str) -> Triple:
    red, green, blue = map(float, text.split())
    return red, green, blue


def build(backbone: Backbone) -> nn.Module:
    """The untrained network, as torchvision builds it for the weights of the record.

    See https://docs.pytorch.org/vision/stable/models.html
    """
    import torchvision

    name = backbone.architecture.partition(":")[2]
    options: dict[str, Any] = {}
    if name.startswith("vit_"):
        options["image_size"] = backbone.crop
    if name in _OTHER_INPUT:
        options |= {"aux_logits": False, "transform_input": True, "init_weights": False}
    network: nn.Module = torchvision.models.get_model(name, weights=None, **options)
    return network
