"""Calibration: the float graph is run on a sample of photos, and what passes each convolution is counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from simsearch.errors import SimsearchError
from simsearch.models.embedder import Embedder
from simsearch.models.precision.int8 import float_graph
from simsearch.models.precision.quantise import Watched
from simsearch.models.precision.ranges import Histogram, Ranges
from simsearch.models.runners import available_threads, open_graph
from simsearch.spec import EmbeddingSpec

PERCENT = 99.99
"""Chosen by benchmarks/precision on photos that had no part in its verdict."""

JUDGED_EVERY = 4
LEAST_COSINE = 0.95
"""Below it, on average, int8 vectors are too far from the network's own to stand for them."""


def int8_spec(
    spec: EmbeddingSpec, weights_path: str, pixels: NDArray[np.uint8], note: Callable[[str], None]
) -> EmbeddingSpec:
    """The int8 kind of a float32 spec, fitted to `pixels`, uint8 (n, crop, crop, 3).

    Raises SimsearchError for a network that int8 does not suit, by what it makes of the same photos.
    """
    graph = float_graph(spec, weights_path, note)
    note(f"Fitting int8 arithmetic to {len(pixels)} of the photos (once)")
    fitted = replace(spec, precision=calibrate(graph, pixels).precision)
    kinds = [Embedder.for_spec(s, weights_path, device="cpu", note=note) for s in (spec, fitted)]
    judged = pixels[::JUDGED_EVERY]
    plain, quick = (embedder.embed(judged) for embedder in kinds)
    cosine = float((plain * quick).sum(axis=1).mean())
    if cosine < LEAST_COSINE:
        raise SimsearchError(
            f"int8 does not suit {spec.backbone}: its vectors of {len(judged)} photos have a mean cosine of "
            f"{cosine:.3f} to those of float32, and {LEAST_COSINE} is the least. Index without --precision."
        )
    return fitted


def calibrate(graph: bytes, pixels: NDArray[np.uint8]) -> Ranges:
    """The ranges that `pixels`, uint8 (n, crop, crop, 3), give the convolutions of a float graph."""
    watched = Watched(graph)
    return watched.ranges(count(watched, pixels), PERCENT)


def count(watched: Watched, pixels: NDArray[np.uint8]) -> dict[str, Histogram]:
    """A histogram of each watched tensor. Picture by picture, so that memory is flat."""
    session = open_graph(watched.graph, available_threads())
    counted = {name: Histogram() for name in watched.tensors}
    for picture in pixels:
        try:
            values = session.run(watched.tensors, {"pixels": picture[None]})
        except Exception as exc:  # onnxruntime's errors have no common base
            raise SimsearchError(f"onnxruntime failed on a photo of the calibration: {exc}.") from exc
        for name, tensor in zip(watched.tensors, values, strict=True):
            counted[name].add(tensor)
    return counted
