"""Where each limit bites: at how many pictures a part of simsearch, or a machine, has had enough."""

from __future__ import annotations

import math
from collections.abc import Callable

from benchmarks.report import Table
from benchmarks.scale.measure import REDUCED
from benchmarks.scale.model import TRAIN_A_LIST, Model, list_count
from benchmarks.scale.plan import Asked
from benchmarks.scale.units import SIZES
from simsearch.engine.indexing.config import COMMIT_SECONDS
from simsearch.engine.maintenance.view import TAIL_ROWS
from simsearch.engine.snapshot import EXACT_UP_TO

FILES_OPEN, PAGE, PAGES = 1024, 4096, 2**32 - 2
"""A process's usual limit of open files; SQLite's page, and the most of them that a database may have.

See https://www.sqlite.org/limits.html
"""

DIGEST_BITS = 2**27
DAY = 86_400
BILLION = 10**9


def limit_table(model: Model, asked: Asked) -> Table:
    """Every limit, from the smallest collection on."""
    found = [*_reading(model, asked), *_writing(model), *_keeping(model, asked)]
    rows = tuple((what, _round(n), then) for n, what, then in sorted(found))
    note = (
        f"Where a limit is one of a machine, it is one of {asked.cores} cores and {asked.memory_gb:g} GB; "
        "a disk is taken for 1 TB. Above 10^6 all of it is extrapolated."
    )
    return Table("Where each limit bites", ("limit", "pictures", "what then"), rows, note)


Limit = tuple[float, str, str]


def _reading(model: Model, asked: Asked) -> list[Limit]:
    curves, memory = model.units.curves, asked.memory_gb * 1e9
    tail = curves["exact_ms"][-1] * TAIL_ROWS / SIZES[-1]
    live = _first(lambda n: model.refresh_seconds(n) >= COMMIT_SECONDS)
    each = _first(lambda n: model.memory_bytes(n) * asked.cores >= memory)
    one = _first(lambda n: model.memory_bytes(n) >= memory)
    page_cache = memory / (4 * model.dim)
    slow = _first(lambda n: model.query_seconds(n) >= 0.1)
    opening = _first(lambda n: model.open_seconds(n) >= 60)
    return [
        (EXACT_UP_TO, "every vector is compared", "a view is made by itself"),
        (
            TAIL_ROWS,
            f"rows past the view, which are compared one by one ({tail:.2f} ms for {TAIL_ROWS:,})",
            "the next run of `index` adds them to the view",
        ),
        (
            live,
            f"a reader of an index that is being written: a commit comes every {COMMIT_SECONDS:g} s at the "
            "latest, and to read the ids anew takes as long",
            "serve from a copy, and change it a few times a day",
        ),
        (
            page_cache,
            "all vectors in the kernel's memory, with nothing else in it",
            "ranking again reads the disk: up to 400 reads of 8 kB",
        ),
        (
            each,
            f"memory, a process a core ({asked.cores} views)",
            "fewer processes a machine, or smaller shards",
        ),
        (FILES_OPEN * model.rows_a_segment, "files that a process may have open (1,024)", "`ulimit -n`"),
        (opening, "opening takes a minute", "shards"),
        (one, "memory, one process", "shards"),
        (slow, "a query takes 100 ms of one core", "shards, which are asked side by side"),
    ]


def _writing(model: Model) -> list[Limit]:
    units, learnt = model.units, TRAIN_A_LIST * list_count(BILLION) * REDUCED * 4 / 1e9
    build = _first(lambda n: model.build_seconds(n) >= DAY)
    graph = _first(lambda n: model.graph_seconds(n) >= DAY)
    return [
        (
            DAY / units.copies.value,
            "a day of one core to look for copies, if that grows with n alone",
            "all cores; later runs do it for new pictures only",
        ),
        (
            units.card.value * DAY,
            "a day of one indexing process, at the most seen of one with a card",
            "an index a machine, each with its folders",
        ),
        (
            DAY / units.resnet.value * 2,
            "a day of ResNet-50 on 2 cores",
            "more cores, or machines with an index each",
        ),
        (
            units.commit_rate.value * DAY,
            "a day of SQLite's one writer that does nothing else",
            "an index a machine",
        ),
        (
            units.unchanged.value * 3600,
            "an hour to see that no file has changed",
            "give `index` the folders that have",
        ),
        (
            DIGEST_BITS,
            "the 16 MiB that tell new pictures from known ones without a look into the database: 63 % full",
            "each further picture costs a look",
        ),
        (build, "a day of one core to build the view", "shards: the work grows as n * sqrt(n)"),
        (
            BILLION,
            f"training of {list_count(BILLION):,} lists holds {learnt:.1f} GB, for a moment twice",
            "shards",
        ),
        (graph, "a day of one core for the neighbours of all pictures", "shards, but then only within each"),
    ]


def _keeping(model: Model, asked: Asked) -> list[Limit]:
    units = model.units
    row = model.segment_bytes(10**6) / 10**6 + units.database.value
    return [
        (
            1e12 / units.features.value,
            "1 TB of features for copies",
            "`features.db` may be deleted after a run",
        ),
        (
            asked.memory_gb * 1e9 / units.copies_memory.value,
            "memory to look for copies",
            "shards; copies across two shards are then not found",
        ),
        (
            1e12 / row,
            "1 TB of vectors and records",
            "shards, or a network of shorter vectors (5 kB with lite0)",
        ),
        (
            asked.memory_gb * 1e9 / units.database.value,
            "the database in the kernel's memory: from there each new picture's digest is a read",
            "shards",
        ),
        (
            PAGE * PAGES / units.database.value,
            "SQLite's largest database with pages of 4 kB, 17.6 TB",
            "shards come long before",
        ),
    ]


def _first(holds: Callable[[int], bool]) -> float:
    """The least n, within a hundredth, from which on something holds."""
    low, high = 1.0, 1e12
    while high / low > 1.01:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if holds(round(middle)) else (middle, high)
    return high


def _round(n: float) -> str:
    """About two digits, as 8.6 million."""
    for size, name in ((1e9, " billion"), (1e6, " million")):
        if n >= size:
            return f"{float(f'{n / size:.2g}'):g}{name}"
    return f"{round(n):,}"
