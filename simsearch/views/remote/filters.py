"""Allowed ids as filter expressions of Milvus: ranges where ids follow each other, lists of the others."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from simsearch.views.base import Ids

RUN = 64
"""So many ids in a row are written as a range."""

RANGES, TERMS = 128, 8192
"""So many ranges or numbers an expression holds at most; of more, several searches are merged."""


def expressions(allowed: Ids) -> Iterator[tuple[Ids, str]]:
    """(the ids that it lets through, the expression) of one part of the ascending ids after another.

    See https://milvus.io/docs/boolean.md
    """
    breaks = np.flatnonzero(np.diff(allowed) != 1) + 1
    starts, ends = np.append(0, breaks), np.append(breaks, len(allowed))
    long = ends - starts >= RUN
    for part in _parts(np.flatnonzero(long), RANGES):
        runs = [allowed[start:end] for start, end in zip(starts[part], ends[part], strict=True)]
        yield np.concatenate(runs), " or ".join(f"(id >= {run[0]} and id <= {run[-1]})" for run in runs)
    single = np.ones(len(allowed), dtype=bool)
    for start, end in zip(starts[long].tolist(), ends[long].tolist(), strict=True):
        single[start:end] = False
    for part in _parts(allowed[single], TERMS):
        yield part, f"id in {part.tolist()}"


def _parts(values: Ids, most: int) -> Iterator[Ids]:
    for start in range(0, len(values), most):
        yield values[start : start + most]
