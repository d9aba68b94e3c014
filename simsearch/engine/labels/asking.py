"""Photos by what they show: those with a label, by its probability, without a picture to compare with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import sqlalchemy as sa

from simsearch.engine.index import Index
from simsearch.engine.queries.filters import classes_of, matching_ids
from simsearch.engine.queries.language.compiling import refuse_without_labels
from simsearch.engine.ranking import Wanted, hits_of
from simsearch.engine.search import QueryOptions
from simsearch.errors import QueryInvalid
from simsearch.records import Hit, QueryResult
from simsearch.storage import catalog

MILLION = 1_000_000


def photos_labelled(index: Index, labels: Sequence[str], options: QueryOptions | None = None) -> QueryResult:
    """The photos with one of these labels among their five, the most probable first.

    Labels are written as `PhotoFilter.labels` says. The score of a hit is the probability of the label, of
    several the sum, 0 to 1. Of the options k, offset, photos and the bounds on the score count.

    Raises QueryInvalid for an unknown label, an index without labels, and options that need a picture.
    """
    options = options or QueryOptions()
    if options.plus or options.minus or options.box is not None or options.diverse is not None:
        raise QueryInvalid("Examples, a region and variety go with a picture, and labels were given alone.")
    classes = classes_of(labels)
    wanted = Wanted(options.offset + options.k, options.min_score, options.max_score, photos=options.photos)

    def found(connection: sa.Connection) -> tuple[Hit, ...]:
        refuse_without_labels(connection)
        millionths = catalog.contents_labelled(connection, classes)
        table = catalog.vectors_where(connection, "content_id", list(millionths))
        if wanted.photos:
            allowed = matching_ids(connection, wanted.photos)
            table = table.pick(np.flatnonzero(np.isin(table.ids, allowed)))
        scores = np.array([millionths[content] / MILLION for content in table.contents.tolist()])
        return hits_of(connection, table, scores, wanted)[options.offset :]

    return QueryResult(", ".join(labels), index.steadily(found))
