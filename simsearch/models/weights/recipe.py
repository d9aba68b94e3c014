"""How the pictures of a checkpoint are prepared, told in the file itself; torch is never imported."""

from __future__ import annotations

import json
import struct
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from simsearch.models.record import Backbone, Triple
from simsearch.spec import EmbeddingSpec

_KEY = "simsearch"
_LONGEST = 100_000_000


@dataclass(frozen=True, slots=True)
class Recipe:
    """The backbone of a checkpoint and its preprocessing, see `Backbone`."""

    model: str
    mean: Triple
    std: Triple
    resize: int
    crop: int
    interpolation: str

    @classmethod
    def of(cls, spec: EmbeddingSpec) -> Recipe:
        """That of embeddings."""
        return cls(spec.backbone, spec.mean, spec.std, spec.resize, spec.crop, spec.interpolation)

    def metadata(self) -> dict[str, str]:
        """What goes into the header of a .safetensors file."""
        return {_KEY: json.dumps(asdict(self))}

    def backbone(self, base: Backbone) -> Backbone:
        """`base`, the backbone called `model`, with this preprocessing."""
        return replace(
            base,
            mean=self.mean,
            std=self.std,
            resize=self.resize,
            crop=self.crop,
            interpolation=self.interpolation,
        )


def read_recipe(path: Path) -> Recipe | None:
    """The recipe in the header of a .safetensors file that simsearch wrote; None for any other file.

    See https://github.com/safetensors/safetensors#format
    """
    try:
        with path.open("rb") as stream:
            (size,) = struct.unpack("<Q", stream.read(8))
            if size > _LONGEST:
                return None
            header = json.loads(stream.read(size))
        values = json.loads(header["__metadata__"][_KEY])
        mean, std = (tuple(map(float, values.pop(name))) for name in ("mean", "std"))
        known = {field.name: values.get(field.name) for field in fields(Recipe)}
        recipe = Recipe(**{**known, "mean": mean, "std": std})
    except (OSError, struct.error, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return recipe if _is_sound(recipe) else None


def _is_sound(recipe: Recipe) -> bool:
    sizes = (recipe.resize, recipe.crop)
    numbers = (*recipe.mean, *recipe.std)
    return (
        isinstance(recipe.model, str)
        and recipe.interpolation in ("bilinear", "bicubic")
        and all(type(size) is int and 0 < size <= 1 << 12 for size in sizes)
        and recipe.resize >= recipe.crop
        and len(numbers) == 6
        and all(0 <= number <= 1 for number in numbers)
        and 0 not in recipe.std
    )
