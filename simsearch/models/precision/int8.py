"""The graph of an int8 spec, from the cache of the float graph or from the weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from simsearch.errors import WeightsMissing
from simsearch.models.onnx_graph import export, graph_path, is_measured, keep_graph, read_graph, sealed
from simsearch.models.precision.ranges import Ranges
from simsearch.models.weights.files import find
from simsearch.spec import FLOAT32, EmbeddingSpec

Note = Callable[[str], None]


def int8_graph(spec: EmbeddingSpec, weights_path: str | None, note: Note) -> bytes:
    """The sealed graph of an int8 spec, made of the float graph and the ranges that the spec carries.

    Raises WeightsMissing where neither the float graph nor the weights are here.
    """
    graph = float_graph(replace(spec, precision=FLOAT32), weights_path, note)
    from simsearch.models.precision.quantise import quantised

    return sealed(quantised(graph, Ranges.of_precision(spec.precision)), spec)


def float_graph(spec: EmbeddingSpec, weights_path: str | None, note: Note) -> bytes:
    """The sealed graph of a float32 spec, from the cache or exported now. Raises WeightsMissing.

    One that an older version prepared is made again where the weights are here.
    """
    path = graph_path(spec)
    cached = read_graph(path, spec)
    if cached is not None and is_measured(cached):
        return cached
    try:
        weights = find(spec, weights_path)
    except WeightsMissing:
        if cached is not None:
            return cached
        raise
    from simsearch.models.backbone import build_network

    network = build_network(spec, weights)
    note(f"Preparing {spec.backbone} for this machine (once)")
    graph = export(network, spec)
    keep_graph(graph, path, note)
    return graph
