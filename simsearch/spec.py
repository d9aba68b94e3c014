"""EmbeddingSpec: what makes two vectors comparable."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from typing import Any

from simsearch.errors import FormatUnknown
from simsearch.framing import Framing

FLOAT32 = "float32"
NAMED = "named:"
MOST = 1 << 20
"""How the backbone of vectors begins that were made elsewhere."""


@dataclass(frozen=True, slots=True)
class EmbeddingSpec:
    """Everything that decides what an embedding is; runtime and device are not part of it.

    Attributes:
        backbone: name of the network without its classifier, e.g. "resnet50".
        weights_sha256: hex SHA-256 of the checkpoint file's bytes.
        dim: length of a vector.
        pooling: "avg", "max" or "gem" over the last feature map.
        resize, crop: pixels, see `Framing`.
        interpolation: "bilinear" or "bicubic".
        mean, std: per RGB channel, on pixels scaled to 0..1.
        reduced_decode: see `Framing`.
        precision: "float32", "bfloat16", or "int8:" and the ranges of its convolutions in hex, which decide
            the vectors (see `simsearch.models.precision.ranges`).
    """

    backbone: str
    weights_sha256: str
    dim: int
    pooling: str
    resize: int
    crop: int
    interpolation: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    reduced_decode: int = 2
    precision: str = FLOAT32

    @classmethod
    def named(cls, name: str, dim: int) -> EmbeddingSpec:
        """The spec of vectors that were made elsewhere, by a model that is known by a name alone."""
        return cls(NAMED + name, "", dim, "", 1, 1, "bilinear", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), 0)

    @property
    def framing(self) -> Framing:
        """The part of the spec that turns a picture into pixels."""
        return Framing(self.resize, self.crop, self.interpolation, self.reduced_decode)

    @property
    def arithmetic(self) -> str:
        """The precision by its name alone: "float32", "bfloat16" or "int8"."""
        return self.precision.partition(":")[0]

    @property
    def title(self) -> str:
        """What a person calls it: the backbone, and the arithmetic where it is not float32."""
        return self.backbone if self.precision == FLOAT32 else f"{self.backbone} in {self.arithmetic}"

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, no blanks."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    @property
    def id(self) -> str:
        """Hex SHA-256 of the canonical JSON."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    @classmethod
    def from_json(cls, text: str) -> EmbeddingSpec:
        """The spec that `to_json` wrote. Raises FormatUnknown on anything else."""
        try:
            values: dict[str, Any] = json.loads(text)
            if set(values) != {field.name for field in fields(cls)}:
                raise ValueError("unexpected fields")
            values["mean"], values["std"] = tuple(values["mean"]), tuple(values["std"])
            spec = cls(**values)
            spec._check()
            return spec
        except (ValueError, TypeError, RecursionError) as exc:
            raise FormatUnknown(
                f"The index describes its embeddings in a way this version does not know ({exc}); "
                "update simsearch, or index the photos again into a new index."
            ) from exc

    def _check(self) -> None:
        texts = (self.backbone, self.weights_sha256, self.pooling, self.interpolation, self.precision)
        counts = (self.dim, self.resize, self.crop, self.reduced_decode)
        floats = (*self.mean, *self.std)
        if not all(isinstance(text, str) for text in texts) or len(floats) != 6:
            raise ValueError("unexpected values")
        if not all(type(count) is int and 0 <= count <= MOST for count in counts) or not self.dim:
            raise ValueError("unexpected numbers")
        if not all(type(value) in (int, float) for value in floats):
            raise ValueError("unexpected mean or std")
