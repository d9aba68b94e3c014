"""Runtimes and devices: the same network by onnxruntime on the CPU, or by torch on CUDA, MPS or the CPU."""

from __future__ import annotations

import ctypes
import math
import os
import platform
import sys
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from simsearch.errors import DeviceUnavailable, SimsearchError
from simsearch.models.labels.measuring import Runner

if TYPE_CHECKING:
    from torch import Tensor, nn

Note = Callable[[str], None]

RUNTIMES = ("auto", "onnx", "torch")
SIZES = (1, 8, 64)
"""On a card smaller batches are filled up to one of these sizes: see `filled_up`."""

# In the words of torch, cuDNN and cuBLAS.
_NO_ROOM = ("out of memory", "allocate memory", "alloc_failed", "not_initialized", "unable to find an engine")


def open_graph(graph: bytes, threads: int, *, as_written: bool = False) -> Any:
    """A session of onnxruntime on the CPU; `as_written` runs each step of the graph for itself, in floats.

    Raises SimsearchError when it does not take the graph.
    """
    # Official builds report to their maker unless this is set before the import, and keep a device id in
    # the user's cache: https://github.com/microsoft/onnxruntime/blob/main/docs/Privacy.md
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    if as_written:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    # Spinning threads halve the rate on a busy machine and gain nothing from batches of 8 up.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as exc:  # onnxruntime's errors have no common base
        raise SimsearchError(f"onnxruntime does not take the prepared network: {exc}") from exc


class OnnxRunner(Runner):
    """An ONNX graph on the CPU. Raises SimsearchError when onnxruntime does not take the graph."""

    def __init__(self, graph: bytes, threads: int, dim: int, *, as_written: bool = False) -> None:
        self._session = open_graph(graph, threads, as_written=as_written)
        names = [item.name for item in (*self._session.get_inputs(), *self._session.get_outputs())]
        # Networks that older versions prepared give vectors alone.
        self.measures = names == ["pixels", "measured"]
        fits = self._session.get_outputs()[0].shape[-1] == dim + self.measures
        if not fits or not (self.measures or names == ["pixels", "vectors"]):
            raise SimsearchError(f"The prepared network does not turn pixels into vectors of {dim} numbers.")

    def _rows(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        try:
            (rows,) = self._session.run(None, {"pixels": pixels})
        except Exception as exc:
            raise SimsearchError(
                f"onnxruntime failed on a batch of {len(pixels)} pictures (too little memory?): {exc}. "
                "Try a smaller --batch-size."
            ) from exc
        return np.asarray(rows, dtype=np.float32)


class TorchRunner(Runner):
    """A torch module on a device: "cpu", "cuda:N" or "mps".

    All passes are made by one thread, which lives as long as the runner: torch keeps cuDNN's plans for each
    thread, and those of a network take up to seconds to make. They hold for one size of batch, so on CUDA a
    batch is filled up to a size that was run before, or to one of `SIZES`.

    On CUDA it runs under float16 autocast: bfloat16 keeps too few digits for vectors that are compared with
    those of another device (lowest cosine to float32 on 96 photos .992, against .9999). A batch whose
    numbers leave float16's range is run again in float32. A batch that does not fit into the device's memory
    is halved until it does, and later batches keep to that size. On a CPU `bfloat16` puts the convolutions
    into that arithmetic, which is a kind of vector of its own. `measures`: the network is a `Measured` one.
    Raises DeviceUnavailable.
    """

    def __init__(
        self, network: nn.Module, device: str, *, bfloat16: bool = False, measures: bool = False
    ) -> None:
        import torch

        self._torch = torch
        self.device = device
        self.limit = sys.maxsize
        self._cuda = device.startswith("cuda")
        self._sizes: set[int] = set()
        self._lane = ThreadPoolExecutor(1, "simsearch-torch")
        self._bfloat16, self.measures = bfloat16, measures
        if device == "cpu":
            # Torch knows nothing of a container's quota; this holds for the whole process.
            torch.set_num_threads(min(torch.get_num_threads(), available_threads()))
        try:
            self._network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        except RuntimeError as exc:
            raise DeviceUnavailable(_device_failed(device, exc)) from exc

    def _rows(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self._lane.submit(self._run, pixels).result()

    def _run(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        parts: list[NDArray[np.float32]] = []
        done = failed = 0
        while done < len(pixels):
            batch = pixels[done : done + self.limit]
            size = filled_up(len(batch), self._sizes, self.limit) if self._cuda else len(batch)
            try:
                # Only now, when the exception and the frames it held are gone, is there memory to give back.
                if failed and self._cuda:
                    self._torch.cuda.empty_cache()
                parts.append(self._forward(batch, size))
            except RuntimeError as exc:
                if not _out_of_memory(exc):
                    raise DeviceUnavailable(_device_failed(self.device, exc)) from exc
                if size == failed == 1:
                    raise DeviceUnavailable(
                        f"A single picture does not fit into the free memory of {self.device}; end other "
                        "programs that use it, or take --device cpu."
                    ) from exc
                self.limit, failed = max(1, size // 2), size
            else:
                done, failed = done + len(batch), 0
                self._sizes.add(size)
        return np.concatenate(parts)

    def _forward(self, pixels: NDArray[np.uint8], size: int) -> NDArray[np.float32]:
        torch = self._torch
        with torch.inference_mode():
            batch: Tensor = torch.from_numpy(np.require(pixels, requirements=["C", "W"]))
            if self._cuda:
                torch.cuda.set_device(self.device)
                batch = batch.pin_memory()
            batch = batch.to(self.device, non_blocking=self._cuda)
            if size > len(pixels):
                batch = torch.cat([batch, batch.new_zeros((size - len(pixels), *batch.shape[1:]))])
            kind, short = ("cpu", torch.bfloat16) if self._bfloat16 else ("cuda", torch.float16)
            with torch.autocast(kind, dtype=short, enabled=self._cuda or self._bfloat16):
                vectors: Tensor = self._network(batch)[: len(pixels)]
            if self._cuda and not bool(torch.isfinite(vectors).all()):
                # Left to itself, cuDNN rounds the numbers of a float32 convolution to float16's digits.
                with torch.backends.cudnn.flags(enabled=torch.backends.cudnn.enabled, allow_tf32=False):
                    vectors = self._network(batch)[: len(pixels)]
            return np.asarray(vectors.cpu().numpy(), dtype=np.float32)


def filled_up(count: int, made: Collection[int], limit: int) -> int:
    """The size of batch in which `count` pictures are run: one that was run before, or one of `SIZES`.

    At most eight times as many; `count` itself where there is none, or none up to `limit`.
    """
    before = [size for size in made if count <= size <= min(8 * count, limit)]
    usual = [size for size in SIZES if count <= size <= limit]
    return min(before or usual, default=count)


def _out_of_memory(exc: RuntimeError) -> bool:
    import torch

    text = str(exc).lower()
    return isinstance(exc, torch.OutOfMemoryError) or any(words in text for words in _NO_ROOM)


def _device_failed(device: str, exc: Exception) -> str:
    first = (str(exc).splitlines() or [type(exc).__name__])[0]
    return f"The device {device} failed: {first}. Try --device cpu."


def available_threads() -> int:
    """How many threads are worth starting: CPUs of this process, no more than its cgroup's quota."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(allowed, _cgroup_quota(Path("/sys/fs/cgroup")))))


def _cgroup_quota(root: Path) -> float:
    """CPUs that this process's control group may use at once; infinity without a limit.

    See https://docs.kernel.org/admin-guide/cgroup-v2.html (cpu.max) and, for version 1,
    https://docs.kernel.org/scheduler/sched-bwc.html
    """
    quota = math.inf
    try:
        own = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        own = []
    names = [line.partition("::")[2].strip("/") for line in own if line.startswith("0::")] or [""]
    folder = root / names[0]
    for place in (folder, *folder.parents):
        if not place.is_relative_to(root):
            break
        quota = min(quota, _quota(place / "cpu.max", None))
    return min(quota, _quota(root / "cpu" / "cpu.cfs_quota_us", root / "cpu" / "cpu.cfs_period_us"))


def _quota(limit: Path, period: Path | None) -> float:
    try:
        words = limit.read_text().split() + (period.read_text().split() if period else [])
        allowance, every = float(words[0]), float(words[1])
    except (OSError, ValueError, IndexError):
        return math.inf
    return allowance / every if allowance > 0 and every > 0 else math.inf


def check_runtime(runtime: str, device: str) -> None:
    """Raises DeviceUnavailable for a runtime that does not exist, or not on that device."""
    if runtime not in RUNTIMES:
        raise DeviceUnavailable(f"There is no runtime called {runtime!r}; use {', '.join(RUNTIMES)}.")
    if runtime == "onnx" and device not in ("auto", "cpu"):
        raise DeviceUnavailable(f"The runtime onnx runs on the CPU, not on {device}; use --runtime torch.")


def pick_device(wanted: str, note: Note) -> str:
    """The device for `wanted`: "auto", "cpu", "cuda", "cuda:N" or "mps"; returns "cpu", "cuda:N" or "mps".

    "auto" takes a graphics card when the driver sees one and torch can use it; a card that goes unused is
    told to `note`. Torch is imported only when there is a card. Raises DeviceUnavailable for a device that
    was asked for by name.
    """
    kind, _, number = wanted.partition(":")
    if wanted == "cpu":
        return "cpu"
    if wanted == "auto":
        if sys.platform == "darwin" and platform.machine() == "arm64":
            return "mps" if _torch_reason("mps", 0) is None else "cpu"
        if _cards() == 0:
            return "cpu"
        reason = _torch_reason("cuda", 0)
        if reason is None:
            return "cuda:0"
        note(f"There is a graphics card, but {reason}; so the CPU is used (--device cpu hides this line).")
        return "cpu"
    if kind not in ("cuda", "mps") or (number and not number.isdecimal()) or wanted.startswith("mps:"):
        raise DeviceUnavailable(f"There is no device called {wanted!r}; use auto, cpu, cuda, cuda:N or mps.")
    index = int(number or 0)
    if kind == "cuda" and index >= _cards():
        raise DeviceUnavailable(
            f"The device {wanted} was asked for, but the driver shows {_cards()} graphics cards; use "
            "--device cpu or auto."
        )
    reason = _torch_reason(kind, index)
    if reason is not None:
        raise DeviceUnavailable(f"The device {wanted} was asked for, but {reason}; use --device cpu or auto.")
    return f"cuda:{index}" if kind == "cuda" else "mps"


def _cards() -> int:
    """How many CUDA devices the driver shows to this process, without torch."""
    for name in ("libcuda.so.1", "libcuda.so", "nvcuda.dll"):
        try:
            driver = ctypes.CDLL(name)
        except OSError:
            continue
        count = ctypes.c_int(0)
        if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
            return 0
        return count.value
    return 0


def _torch_reason(kind: str, index: int) -> str | None:
    """Why torch cannot use this device, or None when it can."""
    try:
        import torch
    except ImportError:
        return "PyTorch is not installed"
    if kind == "mps":
        return None if torch.backends.mps.is_available() else "this PyTorch has no use of MPS here"
    if torch.version.cuda is None:
        return f"this PyTorch ({torch.__version__}) is built without CUDA"
    if not torch.cuda.is_available() or index >= torch.cuda.device_count():
        return f"this PyTorch ({torch.__version__}, CUDA {torch.version.cuda}) cannot use it with this driver"
    return None
