"""Finds copies: certain ones by bytes and pixels, the rest by candidates that are verified one by one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from simsearch.dedup.calibration.calibrate import CalibrationOptions, calibrate
from simsearch.dedup.calibration.curve import Calibration
from simsearch.dedup.calibration.labels import Label, labelled, to_ask
from simsearch.dedup.candidates import pairs as candidates
from simsearch.dedup.candidates.collection import Collection, collection_of
from simsearch.dedup.candidates.pairs import Side
from simsearch.dedup.features.collect import Collector
from simsearch.dedup.features.exact import PixelDigests
from simsearch.dedup.features.store import FeatureStore
from simsearch.dedup.grouping.groups import group
from simsearch.dedup.grouping.keeper import Order
from simsearch.dedup.grouping.leaders import Compare
from simsearch.dedup.options import AUTO, DedupOptions
from simsearch.dedup.records import Doubt, DuplicateGroup, DuplicateReport, Pair
from simsearch.dedup.stages.judging import (
    Cuts,
    PairJudge,
    counted,
    cuts_of,
    may_be_shown,
    shown_levels,
)
from simsearch.dedup.verdicts import Verdicts
from simsearch.dedup.verify.classifier import Classifier, shipped
from simsearch.engine.index import Index
from simsearch.records import Skipped

Progress = Callable[[str, int, int], None]

SAMPLED = 2000
"""Of so many pictures all pairs are remembered while a threshold is to be worked out."""


def find_duplicates(
    index: Index | str | os.PathLike[str] | None = None,
    options: DedupOptions | None = None,
    *,
    progress: Progress | None = None,
) -> DuplicateReport:
    """Groups of copies among the pictures of an index. Nothing of the user's is changed.

    Files with equal bytes are one picture. For the rest, a picture's nearest by half-whitened vectors, by
    PDQ hashes and by shared visual words are candidates; each is verified by SIFT points and aligned pixels
    and gets the probability of being a copy. Equal pixels are decided on all pixels. A member of a group was
    verified against its keeper.

    Args:
        options: what is looked for, where, and what is kept.
        progress: called with the stage ("reading", "comparing"), how much is done, and of how much.

    Raises IndexMissing, IndexDamaged, NotIndexed for a folder of `options` that is not there, ExtraMissing.
    """
    options = options or DedupOptions()
    if not isinstance(index, Index):
        with Index.open(index) as opened:
            return find_duplicates(opened, options, progress=progress)
    collection = collection_of(index, options.scope.counts)
    search = _Search(index, collection, options, progress or (lambda stage, done, total: None))
    return search.exactly() if options.reach == "exact" else search.nearly()


def pairs_to_label(
    index: Index | str | os.PathLike[str] | None = None,
    options: DedupOptions | None = None,
    *,
    wanted: int = 10,
    progress: Progress | None = None,
) -> tuple[Doubt, ...]:
    """At most `wanted` pairs of which an answer would teach a threshold most, the most doubtful first.

    Answers go to `Verdicts.put_label`; `threshold="auto"` uses them. Raises like `find_duplicates`.
    """
    options = options or DedupOptions()
    if not isinstance(index, Index):
        with Index.open(index) as opened:
            return pairs_to_label(opened, options, wanted=wanted, progress=progress)
    collection = collection_of(index, options.scope.counts)
    return _Search(index, collection, options, progress or (lambda stage, done, total: None)).doubts(wanted)


class _Search:
    """One search for copies in one collection."""

    def __init__(
        self, index: Index, collection: Collection, options: DedupOptions, progress: Progress
    ) -> None:
        self._index, self._collection, self._options, self._progress = index, collection, options, progress
        self._pictures = collection.pictures
        self._order = Order(options.policy)
        self._silenced = 0
        self._calibration: Calibration | None = None

    def exactly(self) -> DuplicateReport:
        """Groups by equal bytes and equal pixels."""
        asked = list(candidates.of_one_look(self._collection)) if len(self._pictures) > 1 else []
        with self._digests() as digests, Verdicts.open(self._index.path) as verdicts:

            def compare(pairs: Sequence[tuple[int, int]]) -> list[Pair]:
                return self._equal(digests, pairs)

            groups = self._grouped(compare(asked), compare, verdicts)
        return self._report(groups, 1.0, len(asked), digests.failed)

    def nearly(self) -> DuplicateReport:
        """Groups by bytes, pixels and verified likeness."""
        classifier, pictures = shipped(), self._pictures
        with self._sources(classifier) as (collector, store), Verdicts.open(self._index.path) as verdicts:
            side = self._side(collector)
            table = candidates.within(side)
            judge = PairJudge(
                pictures, (collector, store), classifier, cuts_of(classifier, self._options.threshold)
            )
            asked = self._allowed(table, verdicts)
            judged = counted(judge.judged(asked), table.count, self._progress)
            found = [pair for pair in judged if self._kept(pair, classifier)]
            if self._options.threshold == AUTO:
                said = labelled(verdicts.labels(), pictures, judge)
                self._calibration = self._calibrated(found, said, (collector, classifier))
                judge.cuts = Cuts(self._calibration.near, self._calibration.probable)
            levels = shown_levels(self._options.reach)
            found = [again for pair in found if (again := judge.cuts.again(pair)).level in levels]
            with self._digests() as digests:

                def equal(pairs: Iterable[tuple[int, int]]) -> list[Pair]:
                    return self._equal(digests, candidates.of_one_hash(pairs, pictures, side.hashes))

                alike = equal(self._allowed(table, verdicts))
                groups = self._grouped(
                    [*found, *alike], lambda pairs: [*judge(pairs), *equal(pairs)], verdicts
                )
            failed = {**digests.failed, **collector.failed}
        return self._report(groups, judge.cuts.near, judge.compared, failed)

    def doubts(self, wanted: int) -> tuple[Doubt, ...]:
        """Pairs next to the threshold."""
        classifier, pictures = shipped(), self._pictures
        cuts = cuts_of(classifier, self._options.threshold)
        with self._sources(classifier) as (collector, store), Verdicts.open(self._index.path) as verdicts:
            table = candidates.within(self._side(collector))
            judge = PairJudge(pictures, (collector, store), classifier, cuts)
            judged = counted(judge.judged(self._allowed(table, verdicts)), table.count, self._progress)
            doubtful = to_ask(judged, pictures, verdicts.labels(), cuts.near, wanted)
        return tuple(Doubt(pictures[pair.first], pictures[pair.second], pair.score) for pair in doubtful)

    @contextmanager
    def _sources(self, classifier: Classifier) -> Iterator[tuple[Collector, FeatureStore]]:
        with FeatureStore(self._index.path, classifier.name) as store:
            workers = self._options.workers
            with Collector(store, max_pixels=self._index.max_pixels, workers=workers) as collector:
                yield collector, store

    def _allowed(self, pairs: Iterable[tuple[int, int]], verdicts: Verdicts) -> Iterator[tuple[int, int]]:
        """Those of the `pairs` that may be called copies, and of which nobody said that they are none."""
        allowed = self._options.scope.allowed
        for pair in pairs:
            one, other = (self._pictures[which] for which in pair)
            if not verdicts.parts(one.sha256, other.sha256) and any(
                allowed(first, second) for first in one.paths for second in other.paths
            ):
                yield pair

    def _side(self, collector: Collector) -> Side:
        """The collection with what was read of its pictures."""
        pictures = self._pictures
        hashes = collector.hashes(pictures, lambda done, total: self._progress("reading", done, total))
        return Side(self._collection, hashes, lambda place: collector.features(pictures[place]))

    def _kept(self, pair: Pair, classifier: Classifier) -> bool:
        """Pairs that may be shown, and those of some pictures that a threshold is worked out on."""
        if self._options.threshold != AUTO:
            return pair.level in shown_levels(self._options.reach)
        step = max(1, len(self._pictures) // SAMPLED)
        return may_be_shown(pair, classifier) or pair.first % step == 0 or pair.second % step == 0

    def _calibrated(
        self, found: Sequence[Pair], said: tuple[Label, ...], tools: tuple[Collector, Classifier]
    ) -> Calibration:
        options = self._options
        return calibrate(
            self._pictures,
            found,
            tools,
            CalibrationOptions(said, options.precision, self._index.max_pixels, options.workers),
            progress=lambda done, total: self._progress("calibrating", done, total),
        )

    def _digests(self) -> PixelDigests:
        return PixelDigests(self._index.max_pixels, self._options.workers)

    def _equal(self, digests: PixelDigests, asked: Iterable[tuple[int, int]]) -> list[Pair]:
        pictures = self._pictures
        return list(digests.equal((pictures[one], pictures[other]) for one, other in asked))

    def _grouped(self, found: Iterable[Pair], compare: Compare, verdicts: Verdicts) -> list[DuplicateGroup]:
        groups = group(
            self._pictures,
            found,
            compare,
            self._order,
            scope=self._options.scope,
            different=verdicts.parts,
        )
        asked = [g for g in groups if not verdicts.silences(bytes.fromhex(p.sha256) for p in g.photos)]
        self._silenced = len(groups) - len(asked)
        return asked

    def _report(
        self,
        groups: Sequence[DuplicateGroup],
        threshold: float,
        compared: int,
        failed: dict[int, Skipped],
    ) -> DuplicateReport:
        return DuplicateReport(
            str(self._index.path),
            threshold,
            len(self._pictures),
            compared,
            tuple(groups),
            tuple(failed[number] for number in sorted(failed)),
            self._silenced,
            self._calibration,
            self._options.scope.without(self._pictures),
        )
