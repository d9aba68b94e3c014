"""The classifier that the embedding leaves off: from the checkpoint, kept beside the prepared networks.

A vector is v = p / |p|, p what the classifier takes. So its logits are |p| * (W v) + b, and the pass of the
network that gave v has to tell no more than |p|: https://docs.pytorch.org/vision/stable/models.html
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simsearch.errors import SimsearchError
from simsearch.models.labels.names import CLASSES
from simsearch.models.onnx_graph import graph_path, keep_graph
from simsearch.models.registry import get_backbone
from simsearch.models.weights.files import find
from simsearch.spec import NAMED, EmbeddingSpec

BEST = 5
MILLION = 1_000_000
_SHA256 = 32

Labels = tuple[tuple[int, int], ...]
"""Classes of ImageNet with their probabilities in millionths, the most probable first."""


class NoClassifier(SimsearchError):
    """These vectors have no labels; the message is why, as the end of a sentence."""


@dataclass(frozen=True, slots=True, eq=False)
class Classifier:
    """The last layer of a network: weights float32 (1000, dim) and bias float32 (1000,)."""

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]

    def logits(self, vectors: NDArray[np.float32], lengths: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, 1000) for unit vectors (n, dim) and how long they were (n,)."""
        found: NDArray[np.float32] = vectors @ self.weights.T
        found *= lengths[:, None]
        found += self.bias
        return found

    def best(self, vectors: NDArray[np.float32], lengths: NDArray[np.float32]) -> list[Labels]:
        """The five most probable classes of each vector, of equals the lower number first."""
        logits = self.logits(vectors, lengths)
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        classes = np.sort(np.argpartition(powers, -BEST, axis=1)[:, -BEST:], axis=1)
        shares = np.take_along_axis(powers, classes, axis=1) / powers.sum(axis=1, keepdims=True)
        # By what is kept of them, so that they are in the order that a reader finds.
        millionths = np.rint(shares * MILLION).astype(np.int64)
        order = np.argsort(-millionths, axis=1, kind="stable")
        pairs = (np.take_along_axis(part, order, axis=1).tolist() for part in (classes, millionths))
        return [tuple(zip(*pair, strict=True)) for pair in zip(*pairs, strict=True)]


def why_none(spec: EmbeddingSpec) -> str | None:
    """Why vectors of this kind have no labels, where that is known without their checkpoint."""
    if spec.backbone.startswith(NAMED):
        return "the photos were embedded elsewhere"
    if spec.pooling != "avg":
        return f"a classifier takes the average of a photo, and these are pooled by {spec.pooling}"
    return None


def find_classifier(spec: EmbeddingSpec, weights_path: str | None, note: Callable[[str], None]) -> Classifier:
    """The classifier of the checkpoint of `spec`, from the cache, which needs no torch, or read now.

    Raises NoClassifier, WeightsMissing, WeightsRefused.
    """
    reason = why_none(spec)
    if reason is not None:
        raise NoClassifier(reason)
    path = classifier_path(spec)
    table = _cached(path)
    if table is None:
        table = _read(spec, weights_path)
        keep_graph(_as_bytes(table), path, note)
    if table.shape != (CLASSES, spec.dim + 1):
        raise NoClassifier(
            f"the checkpoint's classifier has {len(table)} classes and not ImageNet's {CLASSES}"
            if len(table)
            else "the checkpoint has no classifier"
        )
    return Classifier(np.ascontiguousarray(table[:, :-1]), np.ascontiguousarray(table[:, -1]))


def classifier_path(spec: EmbeddingSpec) -> Path:
    """Where the classifier is kept: one for all specs of the same weights."""
    return graph_path(spec).with_name(f"{spec.weights_sha256}.classifier")


def _read(spec: EmbeddingSpec, weights_path: str | None) -> NDArray[np.float32]:
    """Weights and, as the last column, bias, (classes, dim + 1); no row without a classifier.

    Of one of another number of classes, which is of no use, no column.
    """
    weights = find(spec, weights_path)
    from simsearch.models.backbone import without_head
    from simsearch.models.weights.checkpoint import read_checkpoint, read_head

    headless = without_head(replace(get_backbone(spec.backbone), crop=spec.crop))
    head = read_head(headless, read_checkpoint(weights))
    if head is None:
        return np.empty((0, 0), dtype=np.float32)
    table = np.column_stack([part.numpy() for part in head]).astype(np.float32)
    return table if table.shape == (CLASSES, spec.dim + 1) else table[:, :0]


def _as_bytes(table: NDArray[np.float32]) -> bytes:
    """A table as a .npy file with its SHA-256 behind it."""
    file = io.BytesIO()
    np.save(file, table)
    return file.getvalue() + hashlib.sha256(file.getvalue()).digest()


def _cached(path: Path) -> NDArray[np.float32] | None:
    """The table kept at `path`; None when there is none that is whole."""
    try:
        kept = path.read_bytes()
    except OSError:
        return None
    if len(kept) < _SHA256 or hashlib.sha256(kept[:-_SHA256]).digest() != kept[-_SHA256:]:
        return None
    table = np.load(io.BytesIO(kept[:-_SHA256]), allow_pickle=False)
    return np.asarray(table, dtype=np.float32)
