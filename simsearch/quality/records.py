"""Frozen records of measuring the quality of answers."""

from __future__ import annotations

from dataclasses import dataclass

from simsearch.errors import EvalInvalid

HALVES = ("choose", "report")


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalOptions:
    """How answers are measured.

    Attributes:
        truth: what belongs together. None: pictures of one folder. "name:REGEX": pictures whose file names
            have the same text in the pattern's one group. Anything else: a table (.csv or .parquet) with the
            columns path and group, paths relative to its folder.
        group_size: what the pattern finds is a number, and so many consecutive numbers, counted from 0,
            belong together.
        k: how many of the best answers P@k and recall@k look at.
        center: compare vectors seen from the middle of the collection; None does as the index is set.
        queries: ask with so many pictures, spread evenly over those that can be asked with. None: with all,
            in a collection of more than 100,000 pictures with 10,000 of them.
        half: "choose" or "report": only the groups of that half; see `simsearch.quality.truth.half_of`.
        worst: how many of the worst queries are told, with their answers.

    Raises EvalInvalid for values that cannot be.
    """

    truth: str | None = None
    group_size: int | None = None
    k: int = 10
    center: bool | None = None
    queries: int | None = None
    half: str | None = None
    worst: int = 10

    def __post_init__(self) -> None:
        if self.k < 1 or self.worst < 0 or (self.queries is not None and self.queries < 1):
            raise EvalInvalid("k and the number of queries are at least 1, the number of worst ones 0.")
        if self.half not in (None, *HALVES):
            raise EvalInvalid(f"There is no half called {self.half}; use {' or '.join(HALVES)}.")
        if self.group_size is not None and self.group_size < 2:
            raise EvalInvalid("A group of consecutive numbers has at least two of them.")
        if self.group_size is not None and not (self.truth or "").startswith("name:"):
            raise EvalInvalid("Groups of consecutive numbers need names with a number: --truth name:REGEX.")


@dataclass(frozen=True, slots=True)
class EvalConfig:
    """What was measured: the vectors, how they were compared, and against which truth.

    `truth` is "folders", the pattern, or the table's file; `dim` is the length of a vector, `spec` the id of
    its `EmbeddingSpec`. `view` is "exact": every picture is compared.
    """

    model: str
    pooling: str
    dim: int
    spec: str
    center: bool
    view: str
    truth: str
    group_size: int | None
    half: str | None
    k: int


@dataclass(frozen=True, slots=True)
class GroupFigures:
    """One group: its pictures, how many of them asked, and the means over those."""

    name: str
    pictures: int
    queries: int
    precision_at_1: float
    precision_at_k: float
    recall_at_k: float
    mean_average_precision: float


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer to a query: path, cosine, and whether it shares a group with the query."""

    path: str
    score: float
    right: bool


@dataclass(frozen=True, slots=True)
class WorstQuery:
    """A query with a low average precision, its groups, and its k best answers, at equal score by path."""

    path: str
    groups: tuple[str, ...]
    average_precision: float
    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class EvalReport:
    """How good the answers were; all figures but `ns_score` are means over the queries, 0..1.

    Attributes:
        index: folder of the index whose vectors were compared.
        n: pictures that were compared; files with the same bytes are one.
        queries: how many of them asked.
        classes: groups of two pictures or more.
        distractors: pictures that belong to none of these; they can only be wrong answers.
        precision_at_1, precision_at_k: share of right pictures among the best 1 and k answers.
        recall_at_k: share of the right pictures that are among the best k answers.
        mean_average_precision: see `simsearch.views.figures.figures_of`.
        low, high: 95 % interval of it, by drawing queries anew (percentile bootstrap, 2,000 draws).
        ns_score: right pictures among the best 4, the query being one, 1..4 (Nistér and Stewénius 2006), over
            the `ns_queries` queries of groups of four; None where there are none.
        groups: by mean average precision, the lowest first, at equal ones by name.
        worst: by average precision, the lowest first; none without a wrong answer ahead of a right one.
    """

    index: str
    n: int
    queries: int
    classes: int
    distractors: int
    precision_at_1: float
    precision_at_k: float
    recall_at_k: float
    mean_average_precision: float
    low: float
    high: float
    ns_score: float | None
    ns_queries: int
    groups: tuple[GroupFigures, ...]
    worst: tuple[WorstQuery, ...]
    config: EvalConfig
