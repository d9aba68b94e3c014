"""Measures how good the answers of an index are: every picture asks for those that belong to it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import numpy as np

from simsearch.engine.index import Index
from simsearch.paths import text
from simsearch.quality.collection import Pictures, pictures_of
from simsearch.quality.ranking import best, measure
from simsearch.quality.records import (
    Answer,
    EvalConfig,
    EvalOptions,
    EvalReport,
    GroupFigures,
    WorstQuery,
)
from simsearch.quality.truth import FOLDERS, Names, Truth, in_half, names_of, truth_of
from simsearch.views.base import Ids
from simsearch.views.figures import Figures, interval

ALL_UP_TO, SAMPLED = 100_000, 10_000

Progress = Callable[[str, int, int], None]


def evaluate(
    index: Index | str | os.PathLike[str] | None = None,
    options: EvalOptions | None = None,
    *,
    progress: Progress | None = None,
    note: Callable[[str], None] | None = None,
) -> EvalReport:
    """How good the answers of an index are, leave-one-out, on its stored vectors.

    Every picture that belongs to others asks for them among all others; nothing is embedded, every vector is
    compared, and files with the same bytes are one picture. Pictures that belong to no other are distractors.

    Args:
        index: an opened index, or its folder or name.
        options: what belongs together, and what is measured.
        progress: called with the stage ("comparing"), how much is done, and of how much.
        note: called with lines for a person.

    Raises IndexMissing, IndexEmpty, IndexDamaged, EvalInvalid for a truth that cannot be understood, and
    SimsearchError where it does not fit the index or nothing can be asked.
    """
    options = options or EvalOptions()
    if not isinstance(index, Index):
        with Index.open(index) as opened:
            return evaluate(opened, options, progress=progress, note=note)
    pictures = pictures_of(index)
    names = names_of(pictures, options, note or (lambda line: None))
    return measured(pictures, names, options, progress or (lambda stage, done, total: None))


def measured(
    pictures: Pictures, names: Names, options: EvalOptions, progress: Progress, stage: str = "comparing"
) -> EvalReport:
    """`evaluate` of pictures whose groups are known."""
    if options.half is not None:
        pictures = in_half(pictures, names, options.half)
    truth = truth_of(pictures, names, options.half)
    queries = _queries(pictures, truth, options)
    center = pictures.centred if options.center is None else options.center
    found = measure(
        pictures,
        truth,
        queries,
        k=options.k,
        center=center,
        progress=lambda done, total: progress(stage, done, total),
    )
    means, (low, high) = _means(found), interval(np.array([each.average_precision for each in found]))
    fours = [each for each in found if each.together == 3]
    return EvalReport(
        index=str(pictures.index.path),
        n=len(pictures),
        queries=len(queries),
        classes=len(truth.names),
        distractors=sum(not groups for groups in truth.groups),
        precision_at_1=means[0],
        precision_at_k=means[1],
        recall_at_k=means[2],
        mean_average_precision=means[3],
        low=low,
        high=high,
        ns_score=1 + float(np.mean([each.within_3 for each in fours])) if fours else None,
        ns_queries=len(fours),
        groups=_groups(truth, queries, found),
        worst=_worst(pictures, truth, queries, found, (options, center)),
        config=_config(pictures, options, center),
    )


def _queries(pictures: Pictures, truth: Truth, options: EvalOptions) -> Ids:
    """The places that ask, ascending: all that have a right answer, or some of them, evenly by path."""
    able = [place for place, groups in enumerate(truth.groups) if groups]
    most = options.queries or (SAMPLED if len(pictures) > ALL_UP_TO else len(able))
    able.sort(key=lambda place: pictures.paths[place])
    count = min(most, len(able))
    return np.sort(np.array(able, dtype=np.int64)[np.arange(count) * len(able) // count])


def _means(found: Sequence[Figures]) -> tuple[float, float, float, float]:
    """P@1, P@k, recall@k and mean average precision."""
    rows = [(f.precision_at_1, f.precision_at_k, f.recall_at_k, f.average_precision) for f in found]
    one, several, recall, average = np.mean(rows, axis=0).tolist()
    return one, several, recall, average


def _groups(truth: Truth, queries: Ids, found: Sequence[Figures]) -> tuple[GroupFigures, ...]:
    own: dict[int, list[Figures]] = {}
    for place, figures in zip(queries.tolist(), found, strict=True):
        for group in truth.groups[place]:
            own.setdefault(group, []).append(figures)
    groups = [
        GroupFigures(truth.names[group], len(truth.members[group]), len(asked), *_means(asked))
        for group, asked in own.items()
    ]
    return tuple(sorted(groups, key=lambda group: (group.mean_average_precision, group.name)))


def _worst(
    pictures: Pictures,
    truth: Truth,
    queries: Ids,
    found: Sequence[Figures],
    how: tuple[EvalOptions, bool],
) -> tuple[WorstQuery, ...]:
    options, center = how
    average = {
        place: figures.average_precision
        for place, figures in zip(queries.tolist(), found, strict=True)
        if figures.average_precision < 1
    }
    order = sorted(average, key=lambda place: (average[place], pictures.paths[place]))[: options.worst]
    worst = {}
    for place, answers, scores in best(pictures, np.sort(np.array(order, np.int64)), options.k, center):
        right = set(truth.right(place).tolist())
        worst[place] = WorstQuery(
            text(pictures.paths[place][0]),
            tuple(truth.names[group] for group in truth.groups[place]),
            average[place],
            tuple(
                Answer(text(pictures.paths[other][0]), score, other in right)
                for other, score in zip(answers.tolist(), scores.tolist(), strict=True)
            ),
        )
    return tuple(worst[place] for place in order)


def _config(pictures: Pictures, options: EvalOptions, center: bool) -> EvalConfig:
    spec = pictures.index.spec
    return EvalConfig(
        model=spec.title,
        pooling=spec.pooling,
        dim=spec.dim,
        spec=spec.id,
        center=center,
        view="exact",
        truth=options.truth if options.truth is not None else FOLDERS,
        group_size=options.group_size,
        half=options.half,
        k=options.k,
    )
