"""Embedder: pictures -> unit vectors, by the model, weights, runtime and device that were chosen."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from simsearch.errors import SimsearchError, WeightsMissing
from simsearch.framing import frame, upright_rgb
from simsearch.models.choice import ModelChoice, resolve
from simsearch.models.labels.measuring import Runner
from simsearch.models.onnx_graph import (
    ExportFailed,
    export,
    graph_path,
    is_marked_unexportable,
    is_measured,
    keep_graph,
    mark_unexportable,
    read_graph,
)
from simsearch.models.precision.int8 import int8_graph
from simsearch.models.precision.kinds import BFLOAT16, check_kind
from simsearch.models.precision.kinds import RUNTIMES as PRECISION_RUNTIMES
from simsearch.models.precision.processor import multiplies_bytes
from simsearch.models.registry import get_backbone, usual_runtime
from simsearch.models.runners import (
    OnnxRunner,
    TorchRunner,
    available_threads,
    check_runtime,
    pick_device,
)
from simsearch.models.weights.files import find
from simsearch.spec import FLOAT32, NAMED, EmbeddingSpec

if TYPE_CHECKING:
    from PIL.Image import Image

    from simsearch.models.backbone import EmbeddingNetwork

Note = Callable[[str], None]
Images = NDArray[np.uint8] | Sequence["Image"] | Sequence[NDArray[np.uint8]]

# Bounds the memory of one pass whatever the number of pictures handed over.
_PASS = {"cpu": 64, "cuda": 256, "mps": 64}


class Embedder:
    """Turns pictures into unit vectors that can be compared by their dot product.

    Model and weights are settled when it is made; runtime and device come with the first `embed` or `load`,
    so that a run with nothing to embed pays for neither. Threads may share one.
    """

    fallback: str | None = None
    measures = False
    """Whether lengths are wanted of `measure`, so that what an older version prepared is prepared again."""

    def __init__(
        self,
        model: str = "auto",
        *,
        weights: str | None = None,
        pooling: str = "avg",
        device: str = "auto",
        runtime: str = "auto",
        note: Note | None = None,
    ) -> None:
        resolved = resolve(ModelChoice(model, weights, pooling, device, runtime), note=note)
        self._set_up(resolved.spec, resolved.weights_path, (device, runtime), note)
        self.fallback = resolved.fallback

    @classmethod
    def for_spec(
        cls,
        spec: EmbeddingSpec,
        weights_path: str | None,
        *,
        device: str = "auto",
        runtime: str = "auto",
        note: Note | None = None,
        bulk: bool = False,
    ) -> Embedder:
        """An embedder for vectors that exist already, e.g. those of an index.

        The weights are known by their SHA-256: a cached graph is enough for the onnx runtime, else
        `weights_path`, else the usual place of the backbone. Without any of them `embed` raises
        WeightsMissing. `bulk` makes one for many pictures: see `lanes`.
        """
        check_runtime(runtime, device)
        if spec.precision != FLOAT32:
            check_kind(spec, device, runtime)
        embedder = cls.__new__(cls)
        embedder._set_up(spec, weights_path, (device, runtime), note)
        embedder._bulk = bulk
        return embedder

    def _set_up(
        self, spec: EmbeddingSpec, weights_path: str | None, wanted: tuple[str, str], note: Note | None
    ) -> None:
        self.spec, self.weights_path, self._wanted = spec, weights_path, wanted
        self._note = note or logging.getLogger("simsearch").warning
        self._lock = threading.RLock()
        self._bulk = False
        self._device: str | None = None
        self._runner: Runner | None = None

    @property
    def device(self) -> str:
        """Where it runs: "cpu", "cuda:N" or "mps". Raises DeviceUnavailable."""
        with self._lock:
            if self._device is None:
                device, runtime = self._wanted
                on_cpu = runtime == "onnx" or self.spec.precision != FLOAT32
                self._device = "cpu" if on_cpu else pick_device(device, self._note)
            return self._device

    @property
    def runtime(self) -> str:
        """What runs it: "onnx" or "torch"; left to itself onnx on the CPU and torch elsewhere.

        A network that cannot be exported runs on torch.
        """
        runtime = self._wanted[1]
        if runtime != "auto":
            return runtime
        if self.spec.precision != FLOAT32:
            return PRECISION_RUNTIMES[self.spec.arithmetic]
        if self.device != "cpu" or is_marked_unexportable(graph_path(self.spec)):
            return "torch"
        return usual_runtime(self.spec.backbone)

    @property
    def lanes(self) -> int:
        """How many threads should call `embed` at once.

        An embedder made for bulk runs each pass on one core and wants a thread a core: the threads of one
        pass wait for each other at every layer, and decoders that take a core away make all of them wait.
        A card wants two, so that the next pictures are at hand when a pass is done.
        """
        if not self._bulk:
            return 1
        if self.device.startswith("cuda"):
            return 2
        return available_threads() if self.runtime == "onnx" else 1

    def embed(self, images: Images) -> NDArray[np.float32]:
        """Unit vectors, float32 (n, dim), one for each picture and in their order.

        `images` is uint8 (n, crop, crop, 3) as `simsearch.framing.frame` makes it, or a sequence of PIL
        images or of upright uint8 (H, W, 3) arrays of any size. Raises SimsearchError for anything else.
        """
        if isinstance(images, (str, bytes)) or not isinstance(images, (Sequence, np.ndarray)):
            raise SimsearchError(
                "embed takes a sequence of pictures (PIL images or uint8 arrays), "
                f"not a {type(images).__name__}; put a single picture into a list."
            )
        if isinstance(images, np.ndarray) and images.ndim != (1 if images.dtype == object else 4):
            raise SimsearchError(
                f"An array of pictures has the shape (n, height, width, 3), not {images.shape}; put a single "
                "picture into a list."
            )
        return self.measure(images)[0]

    def measure(self, images: Images) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """`embed`, and float32 (n,) how long each vector was before; None where that is not known."""
        if len(images) == 0:
            raise SimsearchError("There is no picture to embed.")
        runner = self.load()
        parts, measured = zip(*(runner.measure(batch) for batch in self._batches(images)), strict=True)
        vectors = np.concatenate(parts)
        lengths = np.linalg.norm(vectors, axis=1)
        # A comparison with NaN is false, so this finds numbers that are not finite as well.
        wrong = np.flatnonzero(~(np.abs(lengths - 1.0) < 1e-3))
        if len(wrong):
            raise SimsearchError(
                f"The vector of picture {wrong[0]} of this batch is not finite or has no length; the weights "
                f"{self.weights_path} may be damaged. Try --runtime onnx --device cpu."
            )
        return vectors, np.concatenate(measured) if runner.measures else None

    def load(self) -> Runner:
        """Load runtime and weights now, if that has not happened yet; `embed` does so by itself.

        Raises WeightsMissing, WeightsRefused, DeviceUnavailable, ModelUnknown for vectors made elsewhere.
        """
        with self._lock:
            if self.spec.backbone.startswith(NAMED):
                get_backbone(self.spec.backbone)
            if self._runner is None:
                self._runner = self._onnx_runner() if self.runtime == "onnx" else self._torch_runner()
            return self._runner

    def check_weights(self) -> None:
        """Build the network with its weights and forget it, without a device and without preparing anything.

        Raises WeightsMissing, WeightsRefused, ModelUnknown, ExtraMissing.
        """
        self._build_network()

    def _torch_runner(self) -> TorchRunner:
        return self._on_torch(self._build_network())

    def _on_torch(self, network: EmbeddingNetwork) -> TorchRunner:
        from simsearch.models.backbone import Measured

        bfloat16 = self.spec.precision == BFLOAT16
        return TorchRunner(Measured(network), self.device, bfloat16=bfloat16, measures=True)

    def _onnx_runner(self) -> Runner:
        path, threads = graph_path(self.spec), 1 if self._bulk else available_threads()
        # Without VNNI products of bytes overflow; in floats the vectors are the same, and slow.
        as_written = self.spec.precision != FLOAT32 and not multiplies_bytes()
        cached = read_graph(path, self.spec)
        if cached is not None and not self._is_outdated(cached):
            try:
                return OnnxRunner(cached, threads, self.spec.dim, as_written=as_written)
            except SimsearchError as exc:
                self._note(f"{exc} It is made again.")
        elif cached is None and os.path.exists(path):
            self._note(f"The prepared network {path} is damaged; it is made again.")
        if self.spec.precision != FLOAT32:
            graph = int8_graph(self.spec, self.weights_path, self._note)
            keep_graph(graph, path, self._note)
            return OnnxRunner(graph, threads, self.spec.dim, as_written=as_written)
        network = self._build_network()
        self._note(f"Preparing {self.spec.backbone} for this machine (once)")
        try:
            graph = export(network, self.spec)
        except ExportFailed as exc:
            if self._wanted[1] == "onnx":
                raise
            self._note(f"{exc} It runs on torch here.")
            if not isinstance(exc.__cause__, (MemoryError, OSError, ImportError)):
                mark_unexportable(path)
            return self._on_torch(network)
        keep_graph(graph, path, self._note)
        return OnnxRunner(graph, threads, self.spec.dim)

    def _is_outdated(self, graph: bytes) -> bool:
        """Whether a graph does not give the lengths that are wanted, and can be made again."""
        try:
            return self.measures and not is_measured(graph) and bool(find(self.spec, self.weights_path))
        except WeightsMissing:
            return False

    def _build_network(self) -> EmbeddingNetwork:
        weights = find(self.spec, self.weights_path)
        from simsearch.models.backbone import build_network

        return build_network(self.spec, weights)

    def _batches(self, images: Images) -> Iterator[NDArray[np.uint8]]:
        size = _PASS[self.device.partition(":")[0]]
        crop = self.spec.crop
        framed = isinstance(images, np.ndarray) and images.shape[1:] == (crop, crop, 3)
        for start in range(0, len(images), size):
            part = images[start : start + size]
            if framed and part.dtype == np.uint8:  # type: ignore[union-attr]
                yield np.ascontiguousarray(part)
            else:
                yield np.stack([self._framed(image, start + n) for n, image in enumerate(part)])

    def _framed(self, image: Any, number: int) -> NDArray[np.uint8]:
        from PIL import Image

        if isinstance(image, Image.Image):
            upright = upright_rgb(image, number)
        elif (
            isinstance(image, np.ndarray)
            and image.dtype == np.uint8
            and image.ndim == 3
            and image.shape[2] == 3
            and image.size > 0
        ):
            upright = Image.fromarray(image)
        else:
            what = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
            raise SimsearchError(
                f"Picture {number} is {what}; embed takes PIL images or uint8 arrays (height, width, 3)."
            )
        return frame(upright, self.spec.framing)
