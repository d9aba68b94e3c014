"""What the points of the map are coloured by: their folder, and the year they were taken in."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Sequence

from simsearch.paths import text
from simsearch.report.names import visible
from simsearch.ui.parts.scatter import Grouping

MOST = 10
"""More colours than this are not told apart."""


def by_folder(paths: Sequence[bytes]) -> Grouping | None:
    """The first folders in which the pictures part, the largest first; None where all lie in one.

    What lies in no such folder itself is a group of its own; past MOST groups the smallest are one.
    """
    folders = [os.path.dirname(path).split(b"/") for path in paths]
    if not folders:
        return None
    # What the first and the last in order begin with, all of them do.
    ends = zip(min(folders), max(folders), strict=False)
    shared = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], ends))
    keys = [b"/".join(folder[shared : shared + 1]) for folder in folders]
    counts = sorted(Counter(keys).items(), key=lambda item: (-item[1], item[0]))
    if len(counts) < 2:
        return None
    above = visible(text(folders[0][shared - 1])) if shared else ""
    many = len(counts) > MOST
    first = {key: place for place, (key, _) in enumerate(counts[: MOST - 1] if many else counts)}
    labels = [visible(text(key)) if key else f"directly in {above or '/'}" for key in first]
    if many:
        labels.append(f"{len(counts) - len(first)} other folders")
    return Grouping("Folder", tuple(labels), tuple(first.get(key, len(first)) for key in keys), rest=many)


def by_year(dates: Sequence[str | None]) -> Grouping | None:
    """The years that the pictures were taken in, earliest first; None where fewer than two are known.

    Args:
        dates: for each picture the EXIF time, ISO 8601, or None where it tells none.

    Past MOST years the earliest are one group.
    """
    years = [date[:4] if date else "" for date in dates]
    known = sorted(set(years) - {""})
    if len(known) < 2:
        return None
    last = known[-MOST:] if len(known) <= MOST else known[-(MOST - 1) :]
    early = [f"before {last[0]}"] if len(last) < len(known) else []
    labels = [*early, *last]
    place = {year: labels.index(year) if year in last else 0 for year in known}
    if "" in years:
        labels.append("no date in the file")
        place[""] = len(labels) - 1
    return Grouping("Year taken", tuple(labels), tuple(place[year] for year in years), True, "" in years)
