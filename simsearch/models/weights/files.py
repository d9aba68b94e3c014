"""Weights files: where they lie on this machine, known by their SHA-256; torch is never imported."""

from __future__ import annotations

import hashlib
import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

from simsearch.errors import WeightsMissing
from simsearch.models.record import Backbone
from simsearch.models.registry import get_backbone
from simsearch.models.sources import timm
from simsearch.models.weights.library import copies_of
from simsearch.spec import EmbeddingSpec


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """A file of weights: absolute path and hex SHA-256 of its bytes."""

    path: Path
    sha256: str


def read_digest(path: Path) -> WeightsFile:
    """The file at `path` with its SHA-256. Raises WeightsMissing when it cannot be read."""
    if not os.path.isfile(path):
        raise WeightsMissing(f"There is no weights file {path}; check the path that was given.")
    try:
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as exc:
        raise WeightsMissing(f"The weights file {path} cannot be read: {exc.strerror or exc}.") from exc
    return WeightsFile(path.absolute(), digest)


def usual_place(backbone: Backbone) -> Path | None:
    """Where the weights of `backbone` belong: torchvision's cache, the hub's, a package, an import's.

    None when that package is not installed. The package is found, not
    imported: it would import torch.
    """
    if backbone.place is not None:
        return Path(backbone.place)
    if backbone.hub is not None:
        return timm.place(backbone.hub)
    if backbone.package is None:
        return hub_folder() / backbone.file if backbone.url is not None else None
    found = importlib.util.find_spec(backbone.package)
    if found is None or not found.submodule_search_locations:
        return None
    return Path(found.submodule_search_locations[0]) / "models" / backbone.file


def locate(backbone: Backbone) -> WeightsFile | None:
    """The weights of `backbone` if they lie in their usual place and are whole, else None."""
    found = _readable(usual_place(backbone))
    return found if found is not None and found.sha256.startswith(backbone.sha256) else None


def _readable(place: Path | None) -> WeightsFile | None:
    """The file at `place`; None where there is none, or none that this user may read."""
    try:
        return read_digest(place) if place is not None else None
    except WeightsMissing:
        return None


def find(spec: EmbeddingSpec, remembered: str | None) -> Path:
    """The file with the SHA-256 of `spec`: the path remembered, an import, the usual place of its backbone.

    Raises WeightsMissing, which names the places, and ModelUnknown.
    """
    places: list[Path] = []

    def tried(place: Path) -> bool:
        places.append(place)
        found = _readable(place)
        return found is not None and found.sha256 == spec.weights_sha256

    if remembered and tried(Path(remembered)):
        return Path(remembered)
    for copy in copies_of(spec.weights_sha256):
        if tried(copy):
            return copy
    usual = usual_place(get_backbone(spec.backbone))
    if usual is not None and tried(usual):
        return usual
    raise WeightsMissing(
        f"These vectors come from {spec.backbone} with the weights of SHA-256 {spec.weights_sha256}, and no "
        f"such file is at {' or '.join(map(str, places)) or 'any known place'}; put it back, or give it with "
        "--weights FILE."
    )


def hub_folder() -> Path:
    """The folder where torchvision keeps what it downloads.

    See https://docs.pytorch.org/docs/stable/hub.html#where-are-my-downloaded-models-saved
    """
    home = os.environ.get("TORCH_HOME")
    if not home:
        cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        home = os.path.join(cache, "torch")
    return Path(home).expanduser() / "hub" / "checkpoints"
