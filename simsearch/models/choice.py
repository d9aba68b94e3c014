"""What a person asked for (model, weights, pooling, device, runtime), and what that comes to."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from simsearch.errors import ModelUnknown
from simsearch.models.record import POOLINGS, Backbone
from simsearch.models.registry import PREFERRED, get_backbone
from simsearch.models.runners import check_runtime
from simsearch.models.weights.fetch import FetchFailed, locate_or_fetch
from simsearch.models.weights.files import locate, read_digest
from simsearch.models.weights.library import find_imported
from simsearch.models.weights.recipe import read_recipe
from simsearch.spec import EmbeddingSpec

Note = Callable[[str], None]

ALWAYS_HERE = "efficientnet_lite2"


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """What a person asked for: model name or "auto", checkpoint file, pooling, device, runtime, precision.

    The precision is "float32", "bfloat16" or "int8"; None is float32, or that of the index there is.
    """

    model: str = "auto"
    weights: str | None = None
    pooling: str = "avg"
    device: str = "auto"
    runtime: str = "auto"
    precision: str | None = None

    @classmethod
    def from_environment(
        cls,
        model: str | None = None,
        weights: str | None = None,
        *,
        pooling: str = "avg",
        device: str = "auto",
        runtime: str = "auto",
    ) -> ModelChoice:
        """A choice whose gaps are filled from $SIMSEARCH_MODEL and $SIMSEARCH_WEIGHTS.

        The weights of the environment belong to the model of the environment (to "auto" without one), so
        they are not given to another model that was asked for by name.
        """
        usual = os.environ.get("SIMSEARCH_MODEL") or "auto"
        if weights is None and model in (None, usual):
            weights = os.environ.get("SIMSEARCH_WEIGHTS") or None
        return cls(model or usual, weights, pooling, device, runtime)


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """A choice that was settled: the spec, its weights file, and what was used instead of what, if so."""

    spec: EmbeddingSpec
    weights_path: str
    fallback: str | None


def named_backbone(name: str) -> Backbone:
    """The backbone called `name`, with the weights and preprocessing a person imported under it, if any.

    Raises ModelUnknown, ExtraMissing.
    """
    imported = find_imported(name)
    return imported.backbone(get_backbone(imported.model)) if imported is not None else get_backbone(name)


def _preferred() -> Backbone:
    """ResNet-50 with torchvision's own weights; with those imported as resnet50 where only they are here."""
    official = get_backbone(PREFERRED)
    named = named_backbone(PREFERRED)
    return named if locate(official) is None and locate(named) is not None else official


def resolve(choice: ModelChoice, *, note: Note | None = None) -> ResolvedModel:
    """Settle model and weights without importing torch; "auto" may download ResNet-50's weights once.

    A checkpoint of `simsearch finetune` tells its model and preprocessing itself.

    Raises ModelUnknown, WeightsMissing, DeviceUnavailable (for a runtime that does not exist).
    """
    note = note or logging.getLogger("simsearch").warning
    if choice.pooling not in POOLINGS:
        raise ModelUnknown(f"There is no pooling called {choice.pooling!r}; use {', '.join(POOLINGS)}.")
    check_runtime(choice.runtime, choice.device)
    backbone = _preferred() if choice.model == "auto" else named_backbone(choice.model)
    fallback = None
    if choice.weights is not None:
        weights = read_digest(Path(os.path.expanduser(choice.weights)))
        recipe = read_recipe(weights.path)
        if recipe is not None and (choice.model == "auto" or recipe.model == backbone.name):
            backbone = recipe.backbone(get_backbone(recipe.model))
    else:
        try:
            weights = locate_or_fetch(backbone, note)
        except FetchFailed as exc:
            if choice.model != "auto":
                raise
            fallback = f"{exc.reason} {ALWAYS_HERE} is used instead. For {PREFERRED}: {exc.advice}."
            backbone = get_backbone(ALWAYS_HERE)
            weights = locate_or_fetch(backbone, note)
            note(fallback)
    return ResolvedModel(backbone.spec(weights.sha256, choice.pooling), str(weights.path), fallback)
