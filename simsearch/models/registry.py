"""The backbones that are known by name, whoever builds them."""

from __future__ import annotations

import difflib
from functools import cache
from typing import TYPE_CHECKING

from simsearch.errors import ModelUnknown
from simsearch.models.record import Backbone
from simsearch.models.sources import lite, timm, torchvision
from simsearch.spec import NAMED

if TYPE_CHECKING:
    from torch import nn

PREFERRED = "resnet50"


@cache
def list_backbones() -> tuple[Backbone, ...]:
    """Every backbone known by name, the preferred one first; those of timm come on top, as "timm/NAME"."""
    records = torchvision.records()
    preferred = [record for record in records if record.name == PREFERRED]
    return (*preferred, *lite.RECORDS, *(record for record in records if record.name != PREFERRED))


def get_backbone(name: str) -> Backbone:
    """The backbone called `name`. Raises ModelUnknown; ExtraMissing for "timm/NAME" without timm."""
    if name.startswith(NAMED):
        raise ModelUnknown(
            f"The vectors called {name.removeprefix(NAMED)!r} were made elsewhere, by a model not known "
            "here: photos that are indexed can be searched by, new ones only come in by simsearch import."
        )
    if name.startswith(timm.PREFIX):
        return timm.record(name)
    for backbone in list_backbones():
        if backbone.name == name:
            return backbone
    if name in torchvision.WITHOUT_LINEAR:
        raise ModelUnknown(f"{name} has no linear classifier (nn.Linear) to take off, so it gives no vector.")
    names = [backbone.name for backbone in list_backbones()]
    near = difflib.get_close_matches(name.lower().replace("-", "_"), names, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise ModelUnknown(
        f"There is no model called {name!r}.{hint} See them with: simsearch models (and timm/NAME for timm's)"
    )


def build(backbone: Backbone) -> nn.Module:
    """The untrained network of a backbone, with its head. Raises ExtraMissing."""
    origin = backbone.architecture.partition(":")[0]
    builders = {"torchvision": torchvision.build, "efficientnet-lite": lite.build, "timm": timm.build}
    return builders[origin](backbone)


def usual_runtime(name: str) -> str:
    """What runs a backbone on the CPU, "onnx" or "torch", as far as is known without building it."""
    return next((record.runtime for record in list_backbones() if record.name == name), "onnx")
