"""Checkpoints of many layouts -> the parameters of one network, or a refusal in words."""

from __future__ import annotations

import re
import warnings
import zipfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from simsearch.errors import WeightsMissing, WeightsRefused

_WRAPPERS = (
    "state_dict",
    "model_state_dict",
    "state_dict_ema",
    "model_ema",
    "model",
    "network",
    "net",
    "weights",
)
COUNTER = "num_batches_tracked"
_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)")


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The named tensors of a .pth or .safetensors file, unwrapped, as they are stored.

    Code in a pickle is never run. Raises WeightsMissing when the file cannot be opened, WeightsRefused
    when it holds anything but tensors or is damaged.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(9)
    except OSError as exc:
        raise WeightsMissing(f"The weights file {path} cannot be read: {exc.strerror or exc}.") from exc
    # A safetensors file begins with the length of its JSON header, then the header itself.
    values = _read_safetensors(path) if head[8:9] == b"{" else _read_pickle(path, head)
    for _ in range(3):
        inner = next((values[name] for name in _WRAPPERS if isinstance(values.get(name), Mapping)), None)
        if inner is None:
            break
        values = inner
    tensors = {_modern(str(name)): value for name, value in values.items() if isinstance(value, Tensor)}
    odd = next((name for name, t in tensors.items() if t.layout != torch.strided or t.is_meta), None)
    if odd is not None:
        raise WeightsRefused(f"{path} holds {odd} as a sparse or empty tensor; save it as a dense one.")
    if not tensors:
        raise WeightsRefused(
            f"{path} holds no named tensors; save the network with torch.save(model.state_dict(), FILE)."
        )
    return tensors


def _modern(name: str) -> str:
    """The name of a parameter today; torchvision's own DenseNet checkpoints still say norm.1 for norm1."""
    return _OLD_DENSENET.sub(r"\1\2", name)


def _read_safetensors(path: Path) -> Mapping[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(path))
    except (SafetensorError, OSError, ValueError, KeyError) as exc:
        raise WeightsRefused(f"{path} is not a whole safetensors file: {exc}.") from exc


def _read_pickle(path: Path, head: bytes) -> Mapping[str, Any]:
    if not head.startswith((b"PK", b"\x80")):
        reason = "it begins like another kind of file" if head else "it is empty"
        raise WeightsRefused(f"{path} is not a whole PyTorch checkpoint: {reason}.")
    if head.startswith(b"PK") and _is_packed(path):
        raise WeightsRefused(
            f"{path} holds compressed parts, which torch.save does not write and which may be a bomb; "
            "save the network again with torch.save(model.state_dict(), FILE)."
        )
    try:
        with warnings.catch_warnings(action="ignore"):
            values = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as exc:  # a damaged pickle can raise nearly anything
        raise WeightsRefused(_why_unreadable(path, str(exc))) from exc
    if not isinstance(values, Mapping):
        raise WeightsRefused(
            f"{path} holds a {type(values).__name__}, not a mapping of named tensors; save the network with "
            "torch.save(model.state_dict(), FILE)."
        )
    return values


def _is_packed(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError):
        # torch says what is wrong with it.
        return False


def _why_unreadable(path: Path, text: str) -> str:
    advice = "save the network again with torch.save(model.state_dict(), FILE)."
    found = re.search(r"GLOBAL ([\w.]+)", text)
    if found or "Unsupported" in text or "TorchScript" in text:
        what = f" ({found[1]})" if found else ""
        return (
            f"{path} holds more than plain tensors: loading it could run Python code{what}, so it was not "
            f"loaded. If you trust it, {advice}"
        )
    return f"{path} is not a whole PyTorch checkpoint: {text.partition(chr(10))[0][:120] or 'it is damaged'}."


@dataclass(frozen=True)
class Headless:
    """A network whose head, the layer called `head`, was replaced by Identity."""

    network: nn.Module
    head: str


@dataclass(frozen=True)
class _Fit:
    """How the tensors of a checkpoint meet the parameters of a network, by the network's names.

    `head` is how the checkpoint's names of the head begin.
    """

    expected: Mapping[str, Tensor]
    found: Mapping[str, Tensor]
    strangers: tuple[str, ...]
    layout: str
    head: str

    def problem(self) -> str | None:
        """The first reason why the checkpoint is not one of this network, in words."""
        missing = [key for key in self.expected if key not in self.found]
        if missing:
            return f"{len(missing)} of {len(self.expected)} parameters are missing, the first is {missing[0]}"
        for key, value in self.found.items():
            if value.shape != self.expected[key].shape:
                return f"{key} has the shape {tuple(value.shape)}, not {tuple(self.expected[key].shape)}"
        if self.strangers:
            return f"it has {len(self.strangers)} parameters too many, the first is {self.strangers[0]}"
        for key, value in self.found.items():
            if value.is_floating_point() != self.expected[key].is_floating_point():
                return f"{key} holds {value.dtype} (a quantised network?)"
        return None


def load_into(headless: Headless, tensors: Mapping[str, Tensor], *, name: str, path: Path) -> str:
    """Give a network without its head the parameters in `tensors`, as float32.

    Layouts that are understood: the network's own names below any prefix ("module.", "model.backbone."),
    and the numbered names of `nn.Sequential(*network.children())`. A head is passed over; every other
    parameter must be there, of the right shape and finite.

    Returns: the layout that was recognised, in words. Raises WeightsRefused.
    """
    network = headless.network
    fit = _fit(headless, tensors)
    problem = fit.problem()
    if problem:
        raise WeightsRefused(f"{path} is not a checkpoint of {name}: {problem}.")
    state = {key: v.to(torch.float32) if v.is_floating_point() else v for key, v in fit.found.items()}
    broken = next((key for key, value in state.items() if not bool(torch.isfinite(value).all())), None)
    if broken:
        raise WeightsRefused(f"{path} holds values that are not finite numbers (in {broken}); it is damaged.")
    own = network.state_dict()
    state |= {key: torch.tensor(0) for key in own if key.endswith(COUNTER)}
    # MNASNet reads its layout's version from what rides along with a state dict.
    own.clear()
    own.update(state)
    network.load_state_dict(own, strict=True, assign=True)
    return fit.layout


def read_head(headless: Headless, tensors: Mapping[str, Tensor]) -> tuple[Tensor, Tensor] | None:
    """The weights (classes, dim) and the bias (classes,) of the head, float32, or None.

    It is None where there are no finite ones of a linear layer; a layer without a bias has zeros.
    """
    head = _fit(headless, tensors).head
    weights, bias = tensors.get(f"{head}weight"), tensors.get(f"{head}bias")
    if weights is None or weights.ndim != 2 or not weights.is_floating_point():
        return None
    bias = torch.zeros(len(weights)) if bias is None else bias
    if bias.shape != weights.shape[:1]:
        return None
    weights, bias = weights.float(), bias.float()
    return (weights, bias) if bool(torch.isfinite(weights).all() and torch.isfinite(bias).all()) else None


def fits(headless: Headless, tensors: Mapping[str, Tensor]) -> bool:
    """Whether `load_into` would find every parameter of this network, and none too many."""
    return _fit(headless, tensors).problem() is None


def _fit(headless: Headless, tensors: Mapping[str, Tensor]) -> _Fit:
    network = headless.network
    expected = {key: value for key, value in network.state_dict().items() if not key.endswith(COUNTER)}
    layouts = ({key: key for key in expected}, _numbered_names(network, expected))
    names, prefix = max(
        ((layout, _best_prefix(layout, tensors)) for layout in layouts),
        key=lambda pair: sum(pair[1] + key in tensors for key in pair[0]),
    )
    found = {own: tensors[prefix + key] for key, own in names.items() if prefix + key in tensors}
    numbered = names is not layouts[0]
    head = f"{prefix}{_numbered(network, headless.head) if numbered else headless.head}."
    others = {key: value for key, value in tensors.items() if not key.startswith(head)}
    layout = _in_words(numbered, prefix, len(others) < len(tensors), tensors)
    return _Fit(expected, found, tuple(_strangers(names, prefix, others)), layout, head)


def _in_words(numbered: bool, prefix: str, head: bool, tensors: Mapping[str, Tensor]) -> str:
    names = "the numbered names of nn.Sequential" if numbered else "the network's own names"
    below = f" below the prefix {prefix!r}" if prefix else ""
    kinds = sorted({str(t.dtype).removeprefix("torch.") for t in tensors.values() if t.is_floating_point()})
    return f"{names}{below}, {'with' if head else 'without'} its head, {' and '.join(kinds)}"


def _numbered_names(network: nn.Module, expected: Mapping[str, Tensor]) -> dict[str, str]:
    children = dict(network.named_children())
    return {_numbered(network, key): key for key in expected if key.partition(".")[0] in children}


def _numbered(network: nn.Module, name: str) -> str:
    """The name of a parameter or layer below one of the children, with that child's number for its name."""
    first, dot, rest = name.partition(".")
    return f"{[child for child, _ in network.named_children()].index(first)}{dot}{rest}"


def _best_prefix(names: Mapping[str, str], tensors: Mapping[str, Tensor]) -> str:
    """The prefix below which most of `names` lie."""
    votes: Counter[str] = Counter()
    for key in tensors:
        start = 0
        while True:
            if key[start:] in names:
                votes[key[:start]] += 1
            dot = key.find(".", start)
            if dot < 0:
                break
            start = dot + 1
    return votes.most_common(1)[0][0] if votes else ""


def _strangers(names: Mapping[str, str], prefix: str, tensors: Mapping[str, Tensor]) -> list[str]:
    """Keys inside the network's own blocks that it does not have: the mark of a deeper relative."""
    blocks = {key.partition(".")[0] for key in names}
    return [
        key
        for key in tensors
        if key.startswith(prefix)
        and key[len(prefix) :].partition(".")[0] in blocks
        and key[len(prefix) :] not in names
        and not key.endswith(COUNTER)
    ]
