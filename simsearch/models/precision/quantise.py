"""The graph of 8-bit convolutions, from the float graph and the ranges; the one module that edits ONNX.

Inputs and outputs of a convolution become unsigned bytes, one scale a tensor, and so do sums between them;
weights become signed bytes, one scale an output channel; all else stays float32. It is written as
QuantizeLinear and DequantizeLinear around each convolution, which onnxruntime turns into integer arithmetic:
https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simsearch.errors import SimsearchError
from simsearch.models.precision.ranges import Histogram, Range, Ranges

_ACTIVATIONS = ("Relu", "Clip")


@dataclass(frozen=True, slots=True)
class _Layer:
    """A convolution of the graph: its node, and the tensors that its range is taken of."""

    node: Any
    entry: str
    exit: str


class Watched:
    """A float graph whose convolutions can be watched: `graph` has their inputs and outputs as outputs.

    Raises SimsearchError for a network without convolutions.
    """

    def __init__(self, graph: bytes) -> None:
        model = _parsed(graph)
        self._layers = _layers(model)
        self.tensors = list(dict.fromkeys(name for item in self._layers for name in (item.entry, item.exit)))
        kept = {output.name for output in model.graph.output}
        for name in self.tensors:
            if name not in kept:
                model.graph.output.add().name = name
        self.graph: bytes = model.SerializeToString()

    def ranges(self, counted: dict[str, Histogram], percent: float) -> Ranges:
        """The ranges at that percentile."""
        found = {name: counted[name].range(percent) for name in self.tensors}
        return Ranges(tuple((*found[item.entry], *found[item.exit]) for item in self._layers))


def quantised(graph: bytes, ranges: Ranges) -> bytes:
    """The graph with 8-bit convolutions. Raises SimsearchError for ranges of another network."""
    model = _parsed(graph)
    layers = _layers(model)
    if len(layers) != len(ranges.layers):
        raise SimsearchError(
            f"The int8 arithmetic of these vectors is that of {len(ranges.layers)} convolutions, and this "
            f"network has {len(layers)}; index the photos again into a new index."
        )
    _Quantiser(model).quantise(layers, ranges)
    # The seal of the float graph is none of this one.
    model.ClearField("metadata_props")
    result: bytes = model.SerializeToString()
    return result


def _parsed(graph: bytes) -> Any:
    import onnx

    return onnx.load_from_string(graph)


def _layers(model: Any) -> list[_Layer]:
    """The convolutions by the names of their weights; an activation right behind belongs to one.

    Those names come from the checkpoint, while the order and the names of nodes are the exporter's.
    """
    users = Counter(name for node in model.graph.node for name in node.input)
    behind = {node.input[0]: node for node in model.graph.node if node.op_type in _ACTIVATIONS}
    values = {item.name for item in model.graph.initializer}
    layers = []
    for node in model.graph.node:
        if node.op_type == "Conv" and values.issuperset(node.input[1:]):
            result = node.output[0]
            follower = behind.get(result) if users[result] == 1 else None
            layers.append(_Layer(node, node.input[0], follower.output[0] if follower else result))
    if not layers:
        raise SimsearchError("This network has no convolution that int8 arithmetic could make quicker.")
    return sorted(layers, key=lambda layer: str(layer.node.input[1]))


class _Quantiser:
    """Puts quantised tensors into a model, each once."""

    def __init__(self, model: Any) -> None:
        import onnx

        self._onnx = onnx
        self._graph = model.graph
        self._values = {item.name: item for item in model.graph.initializer}
        self._scales: dict[str, float] = {}
        self._first: list[Any] = []
        self._behind: dict[str, list[Any]] = {}

    def quantise(self, layers: list[_Layer], ranges: Ranges) -> None:
        """Put bytes into the place of every tensor that the layers take or give, for all who use it."""
        for layer, (low, high, lowest, highest) in zip(layers, ranges.layers, strict=True):
            self._tensor(layer.entry, (low, high))
            self._tensor(layer.exit, (lowest, highest))
            self._parameters(layer.node)
        for node in self._graph.node:
            for place, name in enumerate(node.input):
                if name in self._scales:
                    node.input[place] = f"{name}_back"
        self._write()

    def _tensor(self, name: str, range_: Range) -> None:
        if name in self._scales:
            return
        low, high = range_
        scale = np.float32((high - low) / 255.0)
        zero = np.uint8(np.clip(round(-low / float(scale)), 0, 255))
        pair = [self._add(f"{name}_scale", np.asarray(scale)), self._add(f"{name}_zero", np.asarray(zero))]
        make = self._onnx.helper.make_node
        self._behind[name] = [
            make("QuantizeLinear", [name, *pair], [f"{name}_u8"]),
            make("DequantizeLinear", [f"{name}_u8", *pair], [f"{name}_back"]),
        ]
        self._scales[name] = float(scale)

    def _parameters(self, node: Any) -> None:
        """Weights as signed bytes; the bias as whole multiples of what a product of two bytes is worth."""
        weights = self._array(node.input[1])
        highest = np.abs(weights).reshape(len(weights), -1).max(axis=1)
        scales = np.where(highest > 0, highest / 127.0, 1.0).astype(np.float32)
        steps = weights / scales.reshape(-1, *[1] * (weights.ndim - 1))
        whole = np.clip(np.rint(steps), -127, 127).astype(np.int8)
        node.input[1] = self._stored(f"{node.output[0]}_weights", whole, scales)
        if len(node.input) > 2:
            fine = (scales * np.float64(self._scales[node.input[0]])).astype(np.float32)
            limits = np.iinfo(np.int32)
            steps = np.rint(self._array(node.input[2]).astype(np.float64) / fine)
            bias = np.clip(steps, limits.min, limits.max).astype(np.int32)
            node.input[2] = self._stored(f"{node.output[0]}_bias", bias, fine)

    def _array(self, name: str) -> NDArray[Any]:
        values: NDArray[Any] = self._onnx.numpy_helper.to_array(self._values[name])
        return values

    def _stored(self, name: str, whole: NDArray[Any], scales: NDArray[np.float32]) -> str:
        """Keep whole numbers; the name of their product with the scales."""
        zeros = np.zeros(len(scales), dtype=whole.dtype)
        parts = {f"{name}_whole": whole, f"{name}_scale": scales, f"{name}_zero": zeros}
        names = [self._add(*part) for part in parts.items()]
        self._first.append(self._onnx.helper.make_node("DequantizeLinear", names, [name], axis=0))
        return name

    def _add(self, name: str, values: NDArray[Any]) -> str:
        self._graph.initializer.append(self._onnx.numpy_helper.from_array(values, name))
        return name

    def _write(self) -> None:
        """Every new node right behind the tensor that it takes, and no value that nobody uses any more."""
        nodes = list(self._first)
        for item in self._graph.input:
            nodes.extend(self._behind.get(item.name, []))
        for node in self._graph.node:
            nodes.append(node)
            for name in node.output:
                nodes.extend(self._behind.get(name, []))
        used = {name for node in nodes for name in node.input}
        values = [item for item in self._graph.initializer if item.name in used]
        for field, items in (("node", nodes), ("initializer", values)):
            copies = [type(item).FromString(item.SerializeToString()) for item in items]
            self._graph.ClearField(field)
            getattr(self._graph, field).extend(copies)
        self._graph.ClearField("value_info")
