"""What can be asked of a query besides its picture."""

from __future__ import annotations

from dataclasses import dataclass

from simsearch.engine.queries.examples import Example, Seen
from simsearch.engine.queries.filters import PhotoFilter
from simsearch.engine.queries.region import Box
from simsearch.errors import QueryInvalid


@dataclass(frozen=True, slots=True)
class QueryOptions:
    """How many hits of which photos, and in what order.

    Attributes:
        k: how many hits.
        min_score, max_score: bounds on the cosine, inclusive.
        include_self: whether the query's own file may be among them.
        center: rank by vectors seen from the middle of the collection; None does as the index is set.
        offset: how many of the best are left out, which gives the next page.
        photos: only photos that this filter lets through.
        diverse: order the best 500 by relevance and variety, of which relevance counts this much, 0 to 1; see
            `simsearch.engine.queries.diversity`. None orders by score alone.
        plus, minus: further examples to be like and to be unlike, see
            `simsearch.engine.queries.examples.rocchio`; their own files are no hits either.
        box: the region of the query's picture to ask by.
        one_in: only hits that score as at most one in so many pairs of the collection's own pictures do; it
            leaves tiles out.
        tiles: whether photos are also found by their tiles, where the index has them.
        expand: so many of the best answers join the query, and with it ask again; 0 is none. Scores are then
            cosines with all of them together.

    Raises QueryInvalid for what is out of these bounds, and for a rarity of an expanded query.
    """

    k: int = 10
    min_score: float | None = None
    max_score: float | None = None
    include_self: bool = False
    center: bool | None = None
    offset: int = 0
    photos: PhotoFilter | None = None
    diverse: float | None = None
    plus: tuple[Example | Seen, ...] = ()
    minus: tuple[Example | Seen, ...] = ()
    box: Box | None = None
    one_in: int | None = None
    tiles: bool = True
    expand: int = 0

    def __post_init__(self) -> None:
        if self.offset < 0:
            raise QueryInvalid(f"An offset is 0 or more, not {self.offset}.")
        if self.expand < 0:
            raise QueryInvalid(f"0 or more answers join a query, not {self.expand}.")
        if self.expand and self.one_in is not None:
            raise QueryInvalid(
                "How rare a score is, is told of one picture, not of one with its answers. Leave out the "
                "rarity, or the expansion (which --preset category is)."
            )
        if self.one_in is not None and self.one_in < 1:
            raise QueryInvalid(f"One in {self.one_in} is no rarity; it is one in 1 or more.")
        if self.diverse is not None and not 0 <= self.diverse <= 1:
            raise QueryInvalid(f"The balance of relevance and variety is from 0 to 1, not {self.diverse:g}.")
