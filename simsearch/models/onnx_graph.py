"""The cached ONNX graph of a network: exported once, checked by its SHA-256 whenever it is read."""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import os
import secrets
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from simsearch.errors import SimsearchError
from simsearch.spec import EmbeddingSpec

if TYPE_CHECKING:
    from simsearch.models.backbone import EmbeddingNetwork

# The name of its output, as a field of ONNX.
_MEASURED = b"\x0a\x08measured"
# What ONNX writes before the name of a file beside the graph; a graph of ours is one file.
_ELSEWHERE = b"\x0a\x08location"

_exporting = threading.Lock()


class ExportFailed(SimsearchError):
    """The exporter does not take a network, which may still run on torch."""


def graph_path(spec: EmbeddingSpec) -> Path:
    """Where the graph of `spec` is cached, whether or not it is there yet."""
    import platformdirs

    cache = Path(platformdirs.user_cache_dir("simsearch", appauthor=False))
    return cache / "graphs" / f"{spec.weights_sha256}-{spec.id[:12]}.onnx"


def read_graph(path: Path, spec: EmbeddingSpec) -> bytes | None:
    """The graph of `spec` at `path`; None when there is none that is whole, or one that reads other files."""
    try:
        kept = path.read_bytes()
    except OSError:
        return None
    # A graph has up to gigabytes; it is looked at and never copied.
    graph = memoryview(kept)[: -len(_seal(b"", spec))]
    return kept if kept.endswith(_seal(graph, spec)) and _ELSEWHERE not in kept else None


def is_measured(graph: bytes) -> bool:
    """Whether a graph tells how long its vectors were; those that older versions prepared do not."""
    return graph.rfind(_MEASURED) >= 0


def sealed(graph: bytes, spec: EmbeddingSpec) -> bytes:
    """A graph as it is kept: with whose it is, and its SHA-256, at its end."""
    return graph + _seal(graph, spec)


def _seal(graph: bytes | memoryview, spec: EmbeddingSpec) -> bytes:
    """The last two fields of a graph's file: whose graph it is, and the SHA-256 of all before.

    They are entries of ONNX's own `metadata_props`, so that the file is a plain ONNX model to other readers.
    """
    owner = _entry(b"spec", spec.id.encode())
    digest = hashlib.sha256(graph)
    digest.update(owner)
    return owner + _entry(b"sha256", digest.hexdigest().encode())


def _entry(key: bytes, value: bytes) -> bytes:
    """Field 14 of ModelProto, a message of key and value, each shorter than 128 bytes."""
    inner = b"\x0a%c%b\x12%c%b" % (len(key), key, len(value), value)
    return b"\x72%c%b" % (len(inner), inner)


def store_graph(graph: bytes, path: Path) -> None:
    """Put a graph into the cache under a temporary name first, so that no reader ever sees half of it.

    Any number of processes may do so at once. Raises OSError when the cache cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}.part")
    try:
        with part.open("xb") as stream:
            stream.write(graph)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    finally:
        with contextlib.suppress(OSError):
            part.unlink()
    if sys.platform != "win32":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def keep_graph(graph: bytes, path: Path, note: Callable[[str], None]) -> None:
    """`store_graph`, but a cache that cannot be written is only told to `note`: it costs time, no answer."""
    try:
        store_graph(graph, path)
    except OSError as exc:
        note(
            f"It cannot be kept in {path.parent} ({exc.strerror or exc}), so the next run prepares it again."
        )


def mark_unexportable(path: Path) -> None:
    """Remember that the network whose graph would be at `path` cannot be exported by this torch."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        _mark(path).touch()


def is_marked_unexportable(path: Path) -> bool:
    """Whether the export of this graph failed before, with the same torch."""
    return os.path.exists(_mark(path))


def _mark(path: Path) -> Path:
    from importlib.metadata import version

    return path.with_suffix(f".no-onnx-{version('torch')}")


def export(network: EmbeddingNetwork, spec: EmbeddingSpec) -> bytes:
    """A sealed ONNX model of `Measured(network)`, N free.

    It turns `pixels` uint8 (N, crop, crop, 3) into `measured` float32 (N, dim + 1), the vectors and behind
    each how long it was. See https://docs.pytorch.org/docs/stable/onnx_export.html
    """
    import torch

    from simsearch.models.backbone import Measured

    # With a batch of 1 as example, the exporter takes the 1 for a constant.
    example = torch.zeros((2, spec.crop, spec.crop, 3), dtype=torch.uint8)
    try:
        with _exporting, _quiet(), torch.inference_mode():
            program = torch.onnx.export(
                Measured(network),
                (example,),
                input_names=["pixels"],
                output_names=["measured"],
                dynamic_shapes={"pixels": {0: torch.export.Dim("N")}},
                dynamo=True,
                external_data=False,
                verbose=False,
            )
            if program is None:
                raise RuntimeError("no program came back")
            graph: bytes = program.model_proto.SerializeToString()
    except Exception as exc:
        first = (str(exc).strip().splitlines() or [""])[0][:160]
        raise ExportFailed(
            f"The network {spec.backbone} could not be prepared for onnxruntime ({type(exc).__name__}: "
            f"{first}); use --runtime torch."
        ) from exc
    return sealed(graph, spec)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the exporter prints, logs and warns of away from the terminal."""
    loggers = [logging.getLogger(name) for name in ("torch", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
