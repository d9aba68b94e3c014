"""A checkpoint of one's own -> recognised, checked, copied, and known by a name from then on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from simsearch.errors import WeightsRefused
from simsearch.models.backbone import EmbeddingNetwork, check_output, recognise, without_head
from simsearch.models.record import Backbone, Triple
from simsearch.models.registry import get_backbone, list_backbones
from simsearch.models.weights.checkpoint import load_into, read_checkpoint
from simsearch.models.weights.files import locate, read_digest, usual_place
from simsearch.models.weights.library import Imported, forget, keep, put
from simsearch.models.weights.recipe import read_recipe

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Preparation:
    """How the pictures of an odd checkpoint are prepared; None is as its backbone has it."""

    mean: Triple | None = None
    std: Triple | None = None
    resize: int | None = None
    crop: int | None = None
    interpolation: str | None = None


@dataclass(frozen=True, slots=True)
class WeightsReport:
    """What was imported: the record, what was recognised in words, and where the copy lies.

    `official` means that the file is the one which the backbone's own download would bring.
    """

    imported: Imported
    dim: int
    tensors: int
    layout: str
    path: str
    official: bool


def import_weights(
    source: Path,
    *,
    model: str | None = None,
    name: str | None = None,
    preparation: Preparation | None = None,
) -> WeightsReport:
    """Copy a checkpoint to where it is found by name.

    Args:
        source: a .pth or .safetensors file of any layout that `simsearch.models.weights.checkpoint` knows.
        model: the backbone that it belongs to; recognised by its parameters when left out.
        name: what it is called from now on; the backbone's own name when left out, so that `--model` with
            that name means this checkpoint.
        preparation: what differs from the backbone's own preprocessing, or from what the file tells of itself
            where `simsearch finetune` wrote it.

    Raises WeightsMissing, WeightsRefused, ModelUnknown.
    """
    weights = read_digest(source)
    tensors = read_checkpoint(source)
    base = _base(source, model, tensors)
    change = preparation or Preparation()
    base = replace(base, crop=change.crop or base.crop)
    known = named_alike(name, base)
    if known is not None:
        raise WeightsRefused(
            f"{name} is the name of another network, and {source} is a checkpoint of {base.name}; take "
            "another --name."
        )
    headless = without_head(base)
    layout = load_into(headless, tensors, name=base.name, path=source)
    check_output(EmbeddingNetwork(headless.network, base.spec(weights.sha256)).eval(), base.dim, base.crop)
    imported = Imported(
        name=_checked(name or base.name),
        model=base.name,
        file=f"{(name or base.name).replace('/', '%')}-{weights.sha256[:8]}{source.suffix}",
        sha256=weights.sha256,
        mean=change.mean or base.mean,
        std=change.std or base.std,
        resize=change.resize or base.resize,
        crop=change.crop or base.crop,
        interpolation=change.interpolation or base.interpolation,
        origin=str(source.absolute()),
    )
    _check(imported)
    official = name is None and change == Preparation() and _is_official(base, weights.sha256)
    if official:
        path = _put_in_usual_place(source, base)
        forget(base.name)
    else:
        path = keep(source, imported)
    return WeightsReport(imported, base.dim, len(tensors), layout, str(path), official)


def _base(source: Path, model: str | None, tensors: Mapping[str, Tensor]) -> Backbone:
    """The backbone that a checkpoint belongs to: as told, as the file tells of itself, or as recognised."""
    recipe = read_recipe(source)
    if recipe is not None and model in (None, recipe.model):
        return recipe.backbone(get_backbone(recipe.model))
    base = get_backbone(model) if model is not None else recognise(tensors)
    if base is None:
        raise WeightsRefused(
            f"{source} is no checkpoint of a network known by name ({len(tensors)} tensors, the first is "
            f"{next(iter(tensors))}). If it is one, say which with --model; see: simsearch models"
        )
    return base


def named_alike(name: str | None, base: Backbone) -> Backbone | None:
    """Another network that is known by this name."""
    known = (record for record in list_backbones() if record.name == name and record.name != base.name)
    return next(known, None)


def _is_official(base: Backbone, sha256: str) -> bool:
    return base.url is not None and bool(base.sha256) and sha256.startswith(base.sha256)


def _put_in_usual_place(source: Path, base: Backbone) -> Path:
    place = usual_place(base)
    if place is None:
        raise WeightsRefused(f"There is no place for the weights of {base.name} on this machine.")
    if locate(base) is None:
        put(source, place)
    return place


def _checked(name: str) -> str:
    if not re.fullmatch(r"(timm/)?[A-Za-z0-9][\w.-]*", name) or name == "auto":
        raise WeightsRefused(f"{name!r} cannot be a model's name; use letters, digits, '_', '-' and '.'.")
    return name


def _check(imported: Imported) -> None:
    if imported.resize < imported.crop:
        raise WeightsRefused(f"A picture of {imported.resize} pixels cannot be cropped to {imported.crop}.")
    for what, values in (("mean", imported.mean), ("std", imported.std)):
        if any(not 0 <= value <= 1 for value in values) or (what == "std" and 0 in values):
            raise WeightsRefused(f"The {what} {values} is not one of pixels scaled to 0..1; divide by 255.")
