"""Pixels -> the shares of places: vectors, one for each cell of the last map, that add up to the whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from simsearch.errors import ModelUnknown, SimsearchError
from simsearch.models.backbone import EmbeddingNetwork, build_network
from simsearch.models.runners import available_threads
from simsearch.models.weights.files import find
from simsearch.spec import EmbeddingSpec

_POWER = 3.0
_TINY = 1e-6
_CLOSE = 1e-3
"""So far a vector may be from the sum of its shares, in any of its numbers; vectors have length 1."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a module was given or gave: its name and the map, float (n, C, h, w)."""

    module: str
    maps: Tensor


class ShareReader:
    """Reads out of a network which share each place of a picture has in its vector.

    The map is the output of the last module whose pooled output is the vector: `layer4` of a ResNet. It is
    taken by a forward hook while pictures go through, and the sum of the shares is compared with what came
    out at the end. It runs on the CPU in float32, whatever the precision of the spec.

    Raises ModelUnknown, WeightsMissing, WeightsRefused, ExtraMissing.
    """

    def __init__(self, spec: EmbeddingSpec, weights_path: str | None) -> None:
        self.spec = spec
        weights = find(spec, weights_path)
        # Torch knows nothing of a container's quota; this holds for the whole process.
        torch.set_num_threads(min(torch.get_num_threads(), available_threads()))
        self._network = build_network(spec, weights)
        self.module = ""

    @torch.inference_mode()
    def read(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8 (n, crop, crop, 3) -> float32 (n, h, w, dim); the sum over h and w has length 1.

        Afterwards `module` is the name of the module that made the map. Raises ModelUnknown for a network
        whose vector is not a pooled map, such as a vision transformer.
        """
        outputs, inputs, normed, end = _passed_through(self._network, pixels)
        vectors = end.flatten(1).float()
        for seen in (*reversed(outputs), *reversed(inputs)):
            parts = _parts(seen.maps.float(), self.spec.pooling)
            for norm in (None, *normed):
                shares = parts if norm is None else _normed(parts, norm)
                if _is_sum(shares, vectors):
                    self.module = seen.module
                    return _of_unit(shares, vectors)
        raise ModelUnknown(
            f"{self.spec.title} makes its vectors in another way than by pooling a map of the picture, so "
            "its scores cannot be split into places. Those of resnet50 or efficientnet_lite2 can be."
        )


def _passed_through(
    network: EmbeddingNetwork, pixels: NDArray[np.uint8]
) -> tuple[list[_Seen], list[_Seen], list[nn.LayerNorm], Tensor]:
    """The maps that modules gave and were given, the norms of vectors, and the vectors at the end."""
    outputs: list[_Seen] = []
    inputs: list[_Seen] = []
    normed: list[nn.LayerNorm] = []
    ends: list[Tensor] = []

    def heard(name: str, module: nn.Module, given: tuple[Any, ...], made: Any) -> None:
        # The tensors themselves, not copies: what changes them in place has not come yet.
        outputs.extend(_Seen(name, made) for made in (made,) if _is_map(made))
        inputs.extend(_Seen(name, one) for one in given if _is_map(one))
        if isinstance(module, nn.LayerNorm) and given and _is_vector(given[0]):
            normed.append(module)

    hooks = [
        module.register_forward_hook(lambda module, given, made, name=name: heard(name, module, given, made))
        for name, module in network.features.named_modules()
        if name
    ]
    hooks.append(network.features.register_forward_hook(lambda _, __, made: ends.append(made)))
    try:
        network(torch.from_numpy(np.require(pixels, requirements=["C", "W"])))
    except RuntimeError as exc:
        raise SimsearchError(
            f"{type(network.features).__name__} failed on {len(pixels)} pictures: {exc}."
        ) from exc
    finally:
        for hook in hooks:
            hook.remove()
    return outputs, inputs, normed, ends[-1]


def _is_map(value: Any) -> bool:
    return isinstance(value, Tensor) and value.ndim == 4 and value.shape[2] * value.shape[3] > 1


def _is_vector(value: Any) -> bool:
    return isinstance(value, Tensor) and (value.ndim == 2 or tuple(value.shape[2:]) == (1, 1))


def _parts(maps: Tensor, pooling: str) -> Tensor:
    """The part (n, C, h, w) that each place has in the pooled vector, which is the sum of them.

    A pooling that doubles when the map doubles is the sum of each number times its derivative (Euler's
    theorem on homogeneous functions). That is f / n for the mean; for the generalised mean m with power p it
    is m f^p / sum f^p; the maximum of a channel belongs to the place where it is, and in equal parts to
    several.
    """
    if pooling == "max":
        most = maps.amax((2, 3), keepdim=True)
        at = (maps == most).float()
        return most * at / at.sum((2, 3), keepdim=True)
    if pooling == "gem":
        powers = maps.clamp_min(_TINY).pow(_POWER)
        mean = powers.mean((2, 3), keepdim=True)
        return mean.pow(1.0 / _POWER) * powers / powers.sum((2, 3), keepdim=True)
    return maps / (maps.shape[2] * maps.shape[3])


def _normed(parts: Tensor, norm: nn.LayerNorm) -> Tensor:
    """Parts of a vector -> those of its LayerNorm, with the deviation that the whole vector has.

    The bias belongs to no place and is given to all in equal parts. ConvNeXt has this behind its pooling.
    """
    if norm.normalized_shape != (parts.shape[1],):
        return parts
    whole = parts.sum((2, 3), keepdim=True)
    deviation = (whole.var(1, keepdim=True, unbiased=False) + norm.eps).sqrt()
    made = (parts - parts.mean(1, keepdim=True)) / deviation
    if norm.weight is not None:
        made = made * norm.weight.view(1, -1, 1, 1)
    if norm.bias is not None:
        made = made + norm.bias.view(1, -1, 1, 1) / (parts.shape[2] * parts.shape[3])
    return made


def _is_sum(parts: Tensor, vectors: Tensor) -> bool:
    if parts.shape[:2] != vectors.shape:
        return False
    length = vectors.norm(dim=1, keepdim=True).clamp_min(_TINY)
    return bool(((parts.sum((2, 3)) - vectors).abs() / length).max() < _CLOSE)


def _of_unit(parts: Tensor, vectors: Tensor) -> NDArray[np.float32]:
    shares = parts / vectors.norm(dim=1).clamp_min(1e-12).view(-1, 1, 1, 1)
    return np.ascontiguousarray(shares.permute(0, 2, 3, 1).numpy(), dtype=np.float32)
