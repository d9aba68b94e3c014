"""Which tiles an index has: the setting that says so, and how many photos have them by now."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from simsearch.errors import IndexMismatch
from simsearch.framing import WHOLE_EDGE, Tiling
from simsearch.records import TilesInfo
from simsearch.spec import NAMED, EmbeddingSpec
from simsearch.storage import catalog, writer
from simsearch.storage.database import Database

TILES = "tiles"
LAYOUT = Tiling(((500, 3),))
"""What a new index gets; chosen by the measurements in docs/tiles.md."""

MOST = 100
"""So many tiles a photo no layout has; more in the setting is damage."""


def tiling_of(settings: Mapping[str, str]) -> Tiling | None:
    """The tiles of an index by its settings, None where it has none. Raises IndexDamaged."""
    return catalog.parsed(TILES, settings[TILES], _checked) if TILES in settings else None


def settled_tiling(database: Database, spec: EmbeddingSpec, *, wanted: bool) -> Tiling | None:
    """The tiles that a run has to make: those of the index, which `wanted` gives to one that has none.

    The caller holds the lock. Raises IndexMismatch where the network is not known that would have to look
    at them.
    """
    with database.read() as connection:
        tiling = tiling_of(catalog.read_settings(connection))
    if tiling is None and wanted:
        if spec.backbone.startswith(NAMED):
            raise IndexMismatch(
                f"{database.path.parent} holds vectors that were made elsewhere, so that none of tiles can "
                "be made. Leave out --tiles, or index the photos with a model that is known: simsearch models"
            )
        tiling = LAYOUT
        with database.write() as connection:
            writer.put_settings(connection, {TILES: json.dumps(tiling.grids)})
    return tiling


def tiles_info(connection: sa.Connection) -> TilesInfo | None:
    """What there is to say of the tiles of an index."""
    tiling = tiling_of(catalog.read_settings(connection))
    if tiling is None:
        return None
    photos = catalog.count(connection, "photos") - len(catalog.without_tiles(connection, len(tiling)))
    return TilesInfo(tiling.grids, len(tiling), photos)


def _checked(value: Any) -> Tiling:
    grids = tuple((side, count) for side, count in value)
    for side, count in grids:
        if type(side) is not int or type(count) is not int or count < 1 or not 0 < side < WHOLE_EDGE:
            raise ValueError("no grid")
    tiling = Tiling(grids)
    if not 0 < len(tiling) <= MOST:
        raise ValueError("no layout")
    return tiling
