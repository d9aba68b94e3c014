"""The figures of the search case as tables, with the bars that they are held against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmarks.report import Cell, Report, Table
from benchmarks.search.data import likeness
from benchmarks.search.data.collection import QUERIES

ANCHOR = (
    "Published for comparison: VIBE's celeba-resnet-2048-cosine (201,599 vectors, one AVX-512 core, in RAM, "
    "recall .99): SVS 1,316 queries/s, hnswlib 591, FAISS IVFPQ-FastScan with refinement 342."
)
MILLION = 1_000_000
BARS: dict[int, dict[str, float]] = {
    100_000: {"times": 50, "view": 120, "process": 120, "cpu": 60, "peak": 500},
    MILLION: {"times": 300, "view": 110, "process": 250, "cpu": 200, "peak": 600, "cold": 10, "graph": 1200},
}
ROBUST_BAR = 100


@dataclass(frozen=True, slots=True)
class Measured:
    """All that one run found: sizes, what the vectors are like, and each measurement's figures."""

    rows: int
    dim: int
    described: dict[str, tuple[int, likeness.Figures]]
    figures: dict[str, Any]
    peers: dict[str, dict[str, Any]]

    @property
    def bars(self) -> dict[str, float]:
        """What the figures have to reach at this size; nothing at other sizes."""
        return BARS.get(self.rows, {})


def report(measured: Measured, command: str) -> Report:
    """All tables; the raw figures beside them."""
    tables = [likeness.table(measured.described), _costs(measured), _single(measured), _filters(measured)]
    if measured.peers:
        tables.append(_frontier(measured))
    figures = {
        "rows": measured.rows,
        "dim": measured.dim,
        "vectors": {kind: figures for kind, (_, figures) in measured.described.items()},
        **measured.figures,
        "peers": measured.peers,
    }
    return Report(f"search-{measured.rows}", command, tuple(tables), figures)


def _costs(measured: Measured) -> Table:
    found, bars = measured.figures, measured.bars
    rows: list[tuple[Cell, ...]] = []
    for kind, build in found["build"].items():
        load = found["load"][kind]
        rows += [
            (f"{kind}: build, CPU s", build["cpu_s"], bars.get("cpu")),
            (f"{kind}: build, peak memory of the process, MB", build["peak_mb"], bars.get("peak")),
            (f"{kind}: file, bytes a vector", build["file_bytes"], None),
            (f"{kind}: loaded, bytes a vector", load["view_bytes"], bars.get("view")),
            (
                f"{kind}: process over its imports after 200 queries, MB",
                load["process_mb"],
                bars.get("process"),
            ),
            (f"{kind}: opening, s", load["open_s"], None),
        ]
    rebuild, product, cold, graph = (found[name] for name in ("rebuild", "product", "cold", "graph"))
    scaled = graph["cpu_s"] * measured.rows / graph["rows"]
    rows += [
        ("simsearch rebuild: CPU s", rebuild["cpu_s"], bars.get("cpu")),
        ("simsearch rebuild: peak memory, MB", rebuild["peak_mb"], bars.get("peak")),
        ("Index.search: process over its imports, MB", product["process_mb"], bars.get("process")),
        ("Index.open and first search, s", product["first_s"], None),
        ("120 cold rows, median ms", cold["wall_ms"], bars.get("cold")),
        ("120 cold rows, CPU ms", cold["cpu_ms"], None),
        (f"kNN graph: CPU s, {graph['rows']:,} rows measured, scaled to all", scaled, bars.get("graph")),
        ("kNN graph: peak memory, MB", graph["peak_mb"], None),
        (f"kNN graph: recall@10 of {graph['checked']:,} rows", graph["recall"], None),
    ]
    return Table(
        f"Building and holding, {measured.rows:,} rows", ("what", "measured", "bar: at most"), tuple(rows)
    )


def _single(measured: Measured) -> Table:
    single = measured.figures["single"]
    flat = single["flat"]["cpu_ms"]
    columns = (
        "search",
        "nprobe / re-ranked",
        "CPU ms",
        "times flat",
        "bar",
        *QUERIES,
        "hot, CPU ms",
        "batch, CPU ms",
    )
    rows: list[tuple[Cell, ...]] = [("flat float32", None, flat, 1, None, 1, 1, 1, None, None)]
    for name, figures in single.items():
        if name == "flat":
            continue
        kind, _, setting = name.partition(", ")
        chosen = measured.figures["build"].get(kind, {}).get(setting, (None, None))
        rows.append(
            (
                name,
                f"{chosen[0]} / {chosen[1]}" if setting else None,
                figures["cpu_ms"],
                flat / figures["cpu_ms"],
                _bar(measured, setting),
                *(figures[query] for query in QUERIES),
                figures["hot_ms"],
                figures["batch_ms"],
            )
        )
    note = (
        "One thread; medians over 200 held-out rows, each asked right after a flat search. Recall@10 after "
        'exact re-ranking, of held-out made rows ("rows"), of real crops of photos that gave seeds ("seen") '
        'and of photos that gave none ("unseen"). The views re-rank from the index\'s segments; Index.search '
        "is the whole product, with database and checksums. Hot: without flat search between. A batch: all "
        "queries at once, a query's share; of a view without re-ranking. " + ANCHOR
    )
    return Table(f"Single queries, {measured.rows:,} rows", columns, tuple(rows), note)


def _bar(measured: Measured, setting: str) -> float | None:
    if setting == "robust":
        return ROBUST_BAR if measured.rows == MILLION else None
    return measured.bars.get("times") if setting else None


def _filters(measured: Measured) -> Table:
    rows = tuple(
        (name, figures["recall"], figures["cpu_ms"]) for name, figures in measured.figures["filters"].items()
    )
    note = "Allowed rows are drawn at random, or are those closest to one row, as a folder or a class is."
    return Table("Under a filter", ("view, rows allowed", "recall@10", "CPU ms"), rows, note)


def _frontier(measured: Measured) -> Table:
    """Ours and the other engines: recall, time, memory, building."""
    columns = ("engine", "setting", "recall@10", "CPU ms", "bytes a vector", "build, CPU s")
    rows: list[tuple[Cell, ...]] = []
    single = measured.figures["single"]
    for kind, build in measured.figures["build"].items():
        size = measured.figures["load"][kind]["view_bytes"]
        for setting in ("tuned", "robust"):
            own = single[f"{kind}, {setting}"]
            chosen = f"nprobe {build[setting][0]}, re-ranked {build[setting][1]}"
            rows.append((f"simsearch {kind}", chosen, own["rows"], own["cpu_ms"], size, build["cpu_s"]))
    for name, peer in measured.peers.items():
        if "error" in peer:
            rows.append((name, peer["error"], None, None, None, None))
            continue
        told = (peer["recall"], peer["cpu_ms"], peer["bytes"], peer["build_cpu_s"])
        rows.append((f"{name} {peer['version']}", peer["setting"], *told))
    note = (
        "Each engine at its cheapest setting with the wanted recall on the held-out rows. The "
        "other engines hold the vectors in memory; ours re-ranks from the index's files."
    )
    return Table("Other engines", columns, tuple(rows), note)
