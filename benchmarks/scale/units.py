"""Unit costs that were measured, each with the result it is read from, and those that are only assumed."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.report import RESULTS, load

SIZES = (20_000, 100_000, 1_000_000)
"""Collections that searches were measured in; what is said of larger ones is extrapolated."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A value, what it is one of, and where it is from."""

    value: float
    what: str
    source: str


@dataclass(frozen=True, slots=True)
class Units:
    """The measured costs; `curves` has those that depend on the size, at SIZES.

    CPU is in seconds of one core, unless a name says otherwise.
    """

    resnet: Unit
    resnet_large: Unit
    lite: Unit
    decode: Unit
    decode_large: Unit
    forward: Unit
    card: Unit
    unchanged: Unit
    database: Unit
    commit_rate: Unit
    digest: Unit
    kmeans: Unit
    base_memory: Unit
    features: Unit
    copies: Unit
    copies_memory: Unit
    graph_view: Unit
    curves: dict[str, tuple[float, ...]]

    def single(self) -> list[Unit]:
        """All that are one value."""
        return [getattr(self, field.name) for field in fields(self) if field.name != "curves"]


def read(results: Path = RESULTS) -> Units:
    """The unit costs of the kept results. Raises FileNotFoundError where one of them is missing."""
    small, large = _figures(results, "indexing-photos"), _figures(results, "indexing-large")
    lite = _figures(results, "indexing-fastdup")["programs"]["simsearch index, efficientnet_lite0"]["speeds"]
    again, memory = _figures(results, "indexing-unchanged"), _figures(results, "indexing-memory")
    made = _figures(results, "scale-units")
    cpu = "CPU s a photo"
    return Units(
        resnet=Unit(_cpu(small["command"]), f"{cpu}, ResNet-50, small photos", "indexing-photos"),
        resnet_large=Unit(_cpu(large["command"]), f"{cpu}, ResNet-50, 10 megapixels", "indexing-large"),
        lite=Unit(_cpu(lite), f"{cpu}, efficientnet_lite0, small photos", "indexing-fastdup"),
        decode=Unit(_cpu(small["decode"]), f"{cpu}, decoding small photos", "indexing-photos"),
        decode_large=Unit(_cpu(large["decode"]), f"{cpu}, decoding 10 megapixels", "indexing-large"),
        forward=Unit(_cpu(small["forward"]), f"{cpu}, ResNet-50 alone", "indexing-photos"),
        card=Unit(
            1200, "photos/s, ResNet-50, 640 x 480, an H100 with 16 cores", "benchmarks.md, run by hand"
        ),
        unchanged=Unit(median(again["own"]), "unchanged files/s, 2 cores", "indexing-unchanged"),
        database=Unit(made["bytes_a_photo"], "bytes a photo in index.db, with labels", "scale-units"),
        commit_rate=Unit(
            made["commit_rate"], "photos/s that one writer commits, short vectors", "scale-units"
        ),
        digest=Unit(made["digest_mb_s"], "MB/s, SHA-256 of a view when it is opened", "scale-units"),
        kmeans=Unit(made["kmeans_gflops"], "GFLOP a CPU second, k-means of the lists", "scale-units"),
        base_memory=Unit(
            max(run["peak_mib"] for run in memory.values()) * 1.048576,
            "MB of a process with a network and no view (lite0)",
            "indexing-memory",
        ),
        features=Unit(80_000, "bytes a photo in features.db, once copies were looked for", "dedup.md"),
        copies=Unit(0.095, "CPU s a photo to look for copies, scaled to 100,000", "benchmarks.md, Copies"),
        copies_memory=Unit(
            257 + 4 * 30 + 384 + 2 * 200, "bytes a photo in memory while copies are looked for", "dedup.md"
        ),
        graph_view=Unit(
            _figures(results, "search-100000")["load"]["hnsw"]["view_bytes"],
            "bytes a vector of a loaded hnsw view",
            "search-100000",
        ),
        curves=_curves([_figures(results, f"search-{size}") for size in SIZES]),
    )


def _curves(searches: list[dict[str, Any]]) -> dict[str, tuple[float, ...]]:
    return {
        "exact_ms": tuple(one["single"]["flat"]["cpu_ms"] for one in searches),
        "view_ms": tuple(one["single"]["ivf, tuned"]["cpu_ms"] for one in searches),
        "query_ms": tuple(one["single"]["Index.search"]["cpu_ms"] for one in searches),
        "view_hot_ms": tuple(one["single"]["ivf, tuned"]["hot_ms"] for one in searches),
        "view_batch_ms": tuple(one["single"]["ivf, tuned"]["batch_ms"] for one in searches),
        "recall": tuple(one["single"]["ivf, tuned"]["rows"] for one in searches),
        "file_bytes": tuple(one["build"]["ivf"]["file_bytes"] for one in searches),
        "loaded_bytes": tuple(one["load"]["ivf"]["view_bytes"] for one in searches),
        "build_s": tuple(one["build"]["ivf"]["cpu_s"] for one in searches),
        "view_open_s": tuple(one["load"]["ivf"]["open_s"] for one in searches),
        "open_s": tuple(one["product"]["first_s"] for one in searches),
        "graph_s": tuple(one["graph"]["cpu_s"] * one["rows"] / one["graph"]["rows"] for one in searches),
    }


def _figures(results: Path, case: str) -> dict[str, Any]:
    figures: dict[str, Any] = load(results / f"{case}.json")[0]["figures"]
    return figures


def _cpu(speeds: list[dict[str, float]]) -> float:
    return median(speed["cpu"] for speed in speeds)
