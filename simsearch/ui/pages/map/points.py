"""The map of an opened index, worked out once for each commit and shared by all sessions."""

from __future__ import annotations

import os
import threading
from concurrent.futures import Future
from dataclasses import dataclass

from simsearch.engine.queries.layout import layout
from simsearch.engine.ranking import content_paths
from simsearch.paths import text
from simsearch.report.names import visible
from simsearch.storage import catalog
from simsearch.ui.pages.map.colours import by_folder, by_year
from simsearch.ui.parts.scatter import Points
from simsearch.ui.shared import Library

KEPT = 4
"""Maps of so many indexes are held at once."""


@dataclass(frozen=True, slots=True)
class Chart:
    """The points of a map, what names it, how much of the variance its axes hold (0..1), and of how many
    pictures in all the points are a sample."""

    points: Points
    token: str
    share: float
    total: int


_lock = threading.Lock()
_made: dict[str, tuple[int, Future[Chart]]] = {}


def chart(lib: Library) -> Chart:
    """The map of the newest commit. Raises IndexDamaged when a checksum does not hold.

    Whoever asks while it is being worked out waits for that one.
    """
    with lib.index.database.read() as connection:
        generation = catalog.generation(connection)
    with _lock:
        known = _made.get(lib.key)
        mine = known is None or known[0] != generation
        if known is None or mine:
            known = (generation, Future[Chart]())
            _made.pop(lib.key, None)
            _made[lib.key] = known
            while len(_made) > KEPT:
                del _made[next(iter(_made))]
    if mine:
        try:
            known[1].set_result(_chart(lib))
        except BaseException as exc:
            with _lock:
                if _made.get(lib.key) is known:
                    del _made[lib.key]
            known[1].set_exception(exc)
            raise
    return known[1].result()


def _chart(lib: Library) -> Chart:
    drawn = layout(lib.index)
    ids, xs, ys, paths, dates = [], [], [], [], []
    contents = drawn.contents.tolist()
    with lib.index.database.read() as connection:
        facts = catalog.contents_by_id(connection, contents)
        files = content_paths(connection, contents)
    for vector_id, content_id, (x, y) in zip(
        drawn.ids.tolist(), contents, drawn.places.tolist(), strict=True
    ):
        # One that went since its vector was read has no file any more.
        if content_id in facts and content_id in files:
            ids.append(vector_id)
            # Hundreds of times finer than a screen at the closest look.
            xs.append(round(x, 6))
            ys.append(round(y, 6))
            paths.append(files[content_id][0])
            dates.append(facts[content_id].taken_at)
    names = [visible(text(os.path.basename(path))) for path in paths]
    groupings = tuple(found for found in (by_folder(paths), by_year(dates)) if found is not None)
    points = Points(ids, xs, ys, names, groupings)
    return Chart(points, f"{lib.key}-{drawn.generation}", drawn.share, drawn.total)
