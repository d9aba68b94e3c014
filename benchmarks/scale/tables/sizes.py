"""Tables of what a collection takes: unit costs, bytes, hours of embedding, and the work of building."""

from __future__ import annotations

from benchmarks.report import Cell, Table
from benchmarks.scale.measure import REDUCED
from benchmarks.scale.model import THUMBNAIL, Model, list_count
from benchmarks.scale.plan import Asked, Plan
from benchmarks.scale.units import SIZES, Units
from simsearch.engine.snapshot import EXACT_UP_TO

COUNTS = tuple(10**power for power in range(4, 10))
ONE_RUN = 1200
"""Photos/s that one indexing process has been seen to look after; see `Units.card`."""

CODES, GRAPH_LINKS, HNSW_LINKS = 0.125, 56, 24
"""The share of its rows that DISKANN keeps in memory and its links, as Milvus comes; half of HNSW's links.

See https://milvus.io/docs/disk_index.md and https://milvus.io/docs/hnsw.md
"""


def unit_table(units: Units) -> Table:
    """Every measured value with its source."""
    rows = tuple((unit.what, unit.value, unit.source) for unit in units.single())
    return Table(
        "Unit costs",
        ("what", "value", "from"),
        rows,
        "From: the result in `benchmarks/results/`, or the page.",
    )


def fit_table(model: Model) -> Table:
    """The model against what was measured at the three sizes."""
    curves = model.units.curves
    exact_to = EXACT_UP_TO
    rows: list[tuple[Cell, ...]] = []
    for place, n in enumerate(SIZES):
        view = n > exact_to
        rows.append(
            (
                n,
                curves["file_bytes"][place],
                model.view_bytes(n) / n if view else None,
                curves["build_s"][place],
                model.build_seconds(n) if view else None,
                curves["query_ms"][place],
                model.query_seconds(n) * 1000 if view else None,
                curves["open_s"][place],
                model.open_seconds(n),
                curves["recall"][place],
            )
        )
    columns = (
        *("vectors", "view, bytes a vector", "model", "build, CPU s", "model", "query, CPU ms", "model"),
        *("opening, s", "model", "recall@10 of rows"),
    )
    note = (
        "20,000 vectors were measured with a view, which simsearch makes from 20,001 on. The view's bytes "
        "come from its layout and were fitted to nothing; building meets both sizes by its making, "
        "queries and opening by least squares through all three."
    )
    return Table("The model against what was measured", columns, tuple(rows), note)


def bytes_table(model: Model) -> Table:
    """Bytes on disk, and memory of one process, where one index holds all."""
    rows = []
    for n in COUNTS:
        kept = model.segment_bytes(n) + model.database_bytes(n) + model.view_bytes(n)
        rows.append(
            (
                *(_power(n), model.segment_bytes(n) / 1e9, model.segments(n)),
                *(model.database_bytes(n) / 1e9, model.view_bytes(n) / 1e9 or None, kept / 1e9),
                *(n * THUMBNAIL / 1e9, n * model.units.features.value / 1e9, model.memory_bytes(n) / 1e9),
            )
        )
    columns = (
        *("pictures", "segments, GB", "files of them", "database, GB", "view, GB", "an index, GB"),
        *("all thumbnails, GB", "features for copies, GB", "memory of a process, GB"),
    )
    note = (
        f"Vectors of {model.dim} float32. Thumbnails appear when they are first looked at, at "
        f"{THUMBNAIL // 1000} kB each (assumed); features when copies are looked for."
    )
    return Table("Bytes, all in one index", columns, tuple(rows), note)


def hours_table(units: Units, asked: Asked) -> Table:
    """Hours until all is embedded."""
    large = units.lite.value - units.decode.value + units.decode_large.value
    kinds = (
        ("ResNet-50, small photos", units.resnet.value, units.decode.value),
        ("ResNet-50, 10 megapixels", units.resnet_large.value, units.decode_large.value),
        ("efficientnet_lite0, small photos", units.lite.value, units.decode.value),
        ("efficientnet_lite0, 10 megapixels", large, units.decode_large.value),
    )
    rows: list[tuple[Cell, ...]] = []
    for kind, cpu, decode in kinds:
        two, sixteen = 2 / cpu, min(16 / cpu, ONE_RUN)
        card = min(units.card.value, 16 / decode)
        for n in COUNTS:
            hours = [n / rate / 3600 for rate in (two, sixteen, 10 * sixteen, card)]
            money = n * cpu / 3600 * asked.core_hour, hours[3] * (asked.card_hour + 16 * asked.core_hour)
            rows.append((kind, _power(n), *hours, *money))
    columns = (
        *("what", "pictures", "h, 2 cores", "h, 16 cores", "h, 10 x 16 cores", "h, H100 and 16 cores"),
        *("money, cores", "money, card and cores"),
    )
    note = (
        "2 cores were measured, on up to 1,000 photos. 16 cores are taken for eight times 2 (assumed), "
        f"but no process for more than {ONE_RUN:,} photos/s, at which one was seen to be full with a card. "
        f"The card: {units.card.value:,.0f} photos/s with ResNet-50 and small photos were seen once; its "
        "other rows are assumed to be held up by that or by decoding on 16 cores. efficientnet_lite0 at "
        "10 megapixels is the sum of two measurements."
    )
    return Table("Hours of embedding", columns, tuple(rows), note)


def work_table(model: Model, asked: Asked) -> Table:
    """Building, opening, scanning, copies and the graph of all neighbours, in one index and in shards."""
    rows = []
    for n in COUNTS:
        plan = Plan(model, asked, n)
        whole = (model.build_seconds(n) / 3600 or None, model.query_seconds(n) * 1000, model.open_seconds(n))
        shards = (plan.shards, plan.build_hours or None, model.open_seconds(plan.rows))
        hours = (model.graph_seconds(n) / 3600, n * model.units.copies.value / 3600)
        row = (list_count(n) if n > EXACT_UP_TO else None, *whole, model.refresh_seconds(n), *shards, *hours)
        rows.append((_power(n), *row, model.scan_seconds(n) / 60, _basis(n)))
    whole_names = ("lists", "build, CPU h", "query, CPU ms", "opening, s", "a commit seen, s")
    shard_names = ("shards", "build of all, CPU h", "opening a shard, s")
    columns = ("pictures", *whole_names, *shard_names, "all neighbours, CPU h", "copies, CPU h", "scan, min")
    note = (
        f"Shards hold at most {asked.shard_rows:,} pictures. A commit seen: what every commit of a writer "
        "costs a process that reads the same index, before its next answer. Copies: the first run, scaled to "
        "10^5 from its parts; beyond, it is taken to grow with n alone, which looking for candidates does not"
        " quite. All neighbours at 10^6 were scaled from those of 10^5 pictures."
    )
    return Table("Work, in one index and in shards", (*columns, "basis"), tuple(rows), note)


def view_table(model: Model) -> Table:
    """Memory of the kinds of views; none of Milvus's was measured."""
    row = 4 * REDUCED
    kinds = (
        ("ivf", lambda n: model.view_bytes(n) * _loaded(model)),
        ("hnsw", lambda n: n * model.units.graph_view.value),
        ("Milvus, HNSW", lambda n: n * (row + 8.0 * HNSW_LINKS)),
        ("Milvus, IVF_FLAT", lambda n: n * (row + 8.0) + list_count(n) * row),
        ("Milvus, DISKANN", lambda n: n * row * CODES),
        ("Milvus, DISKANN, disk", lambda n: n * (row + 4.0 * GRAPH_LINKS)),
    )
    counts = [n for n in COUNTS if n > EXACT_UP_TO]
    rows = tuple((name, *(size(n) / 1e9 for n in counts)) for name, size in kinds)
    note = (
        f"GB. All hold vectors of {model.dim} numbers on their {REDUCED} main directions, and all rank "
        "again by the true vectors of the segments. ivf was measured up to 10^6, hnsw at 10^5. Milvus is "
        f"reckoned, not measured: rows of {REDUCED} float32, for HNSW with {2 * HNSW_LINKS} links, for "
        f"DISKANN codes of an eighth in memory and {GRAPH_LINKS} links on disk."
    )
    return Table("Memory of views", ("view", *map(_power, counts)), rows, note)


def _loaded(model: Model) -> float:
    curves = model.units.curves
    return curves["loaded_bytes"][-1] / curves["file_bytes"][-1]


def _power(n: int) -> str:
    power = len(str(n)) - 1
    return f"10^{power}"


def _basis(n: int) -> str:
    return "measured sizes" if n <= SIZES[-1] else "extrapolated"
