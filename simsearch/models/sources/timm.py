"""timm's networks, as "timm/NAME": records from its own configurations, weights from the Hugging Face hub."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simsearch.errors import ExtraMissing, ModelUnknown
from simsearch.models.record import Backbone, Triple

if TYPE_CHECKING:
    from torch import nn

PREFIX = "timm/"
_FILE = "model.safetensors"


def record(name: str) -> Backbone:
    """The backbone "timm/NAME" or "timm/NAME.TAG". Raises ModelUnknown, ExtraMissing.

    See https://huggingface.co/docs/timm/reference/models
    """
    timm = _timm()
    own = name.removeprefix(PREFIX)
    try:
        config = timm.get_pretrained_cfg(own)
    except (RuntimeError, ValueError, KeyError):
        config = None
    if config is None or not timm.is_model(own):
        near = difflib.get_close_matches(own, timm.list_models(), n=1)
        hint = f" Did you mean {PREFIX}{near[0]}?" if near else ""
        raise ModelUnknown(f"timm has no model called {own!r}.{hint}")
    data = timm.data.resolve_data_config(pretrained_cfg=config.to_dict())
    crop = int(data["input_size"][-1])
    return Backbone(
        name=name,
        dim=_dim(timm, own),
        resize=max(crop, int(crop / data["crop_pct"])),
        crop=crop,
        interpolation="bilinear" if data["interpolation"] == "bilinear" else "bicubic",
        mean=_triple(data["mean"]),
        std=_triple(data["std"]),
        architecture=f"timm:{own}",
        source=f"timm, huggingface.co/{config.hf_hub_id}" if config.hf_hub_id else "timm, without weights",
        licence=config.license or "not said",
        megabytes=0.0,
        file=_FILE,
        sha256="",
        url=_url(config.hf_hub_id) if config.hf_hub_id else None,
        hub=config.hf_hub_id,
    )


def build(backbone: Backbone) -> nn.Module:
    """The untrained network, with its head."""
    network: nn.Module = _timm().create_model(backbone.architecture.partition(":")[2], pretrained=False)
    return network


def place(hub: str) -> Path:
    """Where the weights file of a repository lies: in the hub's own cache if it is there, else in ours."""
    _timm()
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(hub, _FILE)
    if isinstance(found, str):
        return Path(found)
    import platformdirs

    cache = Path(platformdirs.user_cache_dir("simsearch", appauthor=False))
    return cache / "timm" / f"{hub.rpartition('/')[2]}.safetensors"


def _url(hub: str) -> str:
    endpoint = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    return f"{endpoint.rstrip('/')}/{hub}/resolve/main/{_FILE}"


def _timm() -> Any:
    try:
        import timm
        import timm.data
    except ImportError as exc:
        raise ExtraMissing('Models called timm/NAME need timm: pip install "simsearch[timm]"') from exc
    return timm


def _dim(timm: Any, name: str) -> int:
    import torch
    from torch import nn

    with torch.device("meta"):
        network = timm.create_model(name, pretrained=False)
    linears = [module for module in network.modules() if isinstance(module, nn.Linear)]
    if not linears:
        raise ModelUnknown(f"{PREFIX}{name} has no linear classifier (nn.Linear) to take off.")
    return int(linears[-1].in_features)


def _triple(values: Any) -> Triple:
    red, green, blue = (float(value) for value in values)
    return red, green, blue
