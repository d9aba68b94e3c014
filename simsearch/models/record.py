"""Backbone: a network without its classifier, as data."""

from __future__ import annotations

from dataclasses import dataclass

from simsearch.spec import EmbeddingSpec

POOLINGS = ("avg", "max", "gem")

Triple = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Backbone:
    """A network without its classifier, as data.

    Attributes:
        name: what `--model` takes.
        dim: length of its vectors.
        resize, crop, interpolation: see `simsearch.framing.Framing`.
        mean, std: per RGB channel, on pixels scaled to 0..1.
        architecture: who builds it and under which name, e.g. "torchvision:resnet50".
        source: where the weights come from, in words.
        licence: of the weights.
        megabytes: size of the weights file (1 MB = 10**6 bytes); 0 where it is not known.
        file: name of the weights file.
        sha256: how the hex SHA-256 of that file begins; empty where it is not known.
        url: where the file is fetched, or None.
        package: the installed package whose folder `models` carries the file, or None.
        hub: the repository of the Hugging Face hub that has the file, or None.
        place: the absolute path of a checkpoint that was imported, or None.
        runtime: what the network was tested with on the CPU: "onnx", or "torch" where it cannot be exported.
        tensors: how many named tensors it has without its head; 0 where it was not counted.
    """

    name: str
    dim: int
    resize: int
    crop: int
    interpolation: str
    mean: Triple
    std: Triple
    architecture: str
    source: str
    licence: str
    megabytes: float
    file: str
    sha256: str
    url: str | None = None
    package: str | None = None
    hub: str | None = None
    place: str | None = None
    runtime: str = "onnx"
    tensors: int = 0

    def spec(self, weights_sha256: str, pooling: str = "avg") -> EmbeddingSpec:
        """The `EmbeddingSpec` of this backbone with the weights of that hex SHA-256."""
        return EmbeddingSpec(
            backbone=self.name,
            weights_sha256=weights_sha256,
            dim=self.dim,
            pooling=pooling,
            resize=self.resize,
            crop=self.crop,
            interpolation=self.interpolation,
            mean=self.mean,
            std=self.std,
        )
