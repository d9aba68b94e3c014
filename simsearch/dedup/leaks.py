"""Finds pictures of a test set that the training set holds as well, edited or not."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

from simsearch.dedup.calibration.calibrate import CalibrationOptions, calibrate
from simsearch.dedup.calibration.curve import Calibration
from simsearch.dedup.calibration.labels import labelled
from simsearch.dedup.candidates import pairs as candidates
from simsearch.dedup.candidates.collection import Collection, missing_roots
from simsearch.dedup.candidates.pairs import Side
from simsearch.dedup.features.collect import Collector
from simsearch.dedup.features.exact import PixelDigests
from simsearch.dedup.features.store import FeatureStore
from simsearch.dedup.options import AUTO, DedupOptions
from simsearch.dedup.records import LEVELS, Leak, LeakReport, Pair, Picture
from simsearch.dedup.stages.judging import Cuts, PairJudge, counted, cuts_of, may_be_shown, shown_levels
from simsearch.dedup.stages.sources import Asking, Given, PictureSet, opened
from simsearch.dedup.verdicts import Verdicts
from simsearch.dedup.verify.classifier import Classifier, shipped
from simsearch.errors import IndexMissing, RootMissing, SimsearchError
from simsearch.paths import existing_index
from simsearch.records import Skipped

Progress = Callable[[str, int, int], None]
Places = tuple[int, int]

SAMPLED = 400
"""So many training pictures are compared with each other while a threshold is to be worked out."""


def find_leaks(
    train: Given,
    test: Given,
    options: DedupOptions | None = None,
    *,
    index: Given | None = None,
    progress: Progress | None = None,
    note: Callable[[str], None] | None = None,
) -> LeakReport:
    """The files of a test set that are copies of pictures in the training set. No picture is changed.

    They are found in the same stages as by `find_duplicates`; each file of the test set is told once, with
    the training picture that it is most certainly a copy of.

    Args:
        train, test: a folder of photos, or an index by its name or folder. A folder that lies in no index
            gets one of its own in the user's cache folder, which is brought up to date each time.
        options: `reach`, `threshold`, `precision` and `workers` count here.
        index: the index that folders may lie in, and whose verdicts count beside those of the two sets; None
            for the usual one, if there is any.
        progress: called with the stage ("indexing", "reading", "comparing", "calibrating"), how much is done,
            and of how much.
        note: called with lines for a person.

    Raises RootMissing for what is neither a folder nor an index and for an index with a folder that is not
    there, IndexMissing, IndexMismatch for indexes of two models, SimsearchError where one set lies in the
    other or has no picture that can be read, and what `index_folder` raises.
    """
    options = options or DedupOptions()
    told = progress or (lambda stage, done, total: None)
    asking = Asking(index, options.workers, told, note or (lambda line: None))
    with opened(train, test, asking) as (base, asked):
        return _Search(base, asked, options, told, _spoken(index)).report()


class _Search:
    """One look for the pictures of `asked` among those of `base`.

    Pictures of both have ids of one sequence, those of `base` first.
    """

    def __init__(
        self,
        base: PictureSet,
        asked: PictureSet,
        options: DedupOptions,
        progress: Progress,
        spoken: frozenset[Path],
    ) -> None:
        self._spoken = spoken | {chosen.index.path for chosen in (base, asked)}
        self._sets, self._options, self._progress = (base, asked), options, progress
        self._base, self._asked = base.collection(), asked.collection()
        self._by_bytes = {picture.sha256: picture for picture in self._base.pictures}
        # What is there byte by byte needs no closer look.
        self._open = self._asked.kept(
            lambda pictures: [picture for picture in pictures if picture.sha256 not in self._by_bytes]
        )
        self._pictures = (*self._base.pictures, *_numbered(self._open, len(self._base)))
        self._max_pixels = max(base.index.max_pixels, asked.index.max_pixels)
        self._calibration: Calibration | None = None
        for each in self._sets:
            for root in missing_roots(each.index) if each.below is None else ():
                raise RootMissing(
                    f"{root} of {each.name}: missing or empty, so nothing can be said of leaks. If a disk "
                    "is not mounted, mount it and run again. If it is to be forgotten: "
                    f"simsearch remove {shlex.quote(root)} -i {shlex.quote(str(each.index.path))}"
                )
        for each, collection in zip(self._sets, (self._base, self._asked), strict=True):
            if not len(collection):
                # A check that looked at nothing would say that all is well.
                raise SimsearchError(
                    f"{each.name} has no picture that can be read, so nothing can be said of leaks. "
                    "Name another folder or index, or see what was skipped: simsearch info -i "
                    f"{each.index.path}"
                )

    def report(self) -> LeakReport:
        """All leaks, by path of the test picture."""
        exact = self._options.reach == "exact"
        pairs, threshold, failed = self._exactly() if exact else self._nearly()
        base, asked = self._sets
        return LeakReport(
            base.name,
            asked.name,
            threshold,
            len(self._base),
            len(self._asked),
            tuple(sorted(self._leaks(pairs), key=lambda leak: os.fsencode(leak.test))),
            (*base.skipped(), *asked.skipped(), *failed),
            self._calibration,
        )

    def _exactly(self) -> tuple[list[Pair], float, tuple[Skipped, ...]]:
        if not len(self._open):
            return [], 1.0, ()
        pairs = candidates.of_one_look_between(self._base, self._open)
        with PixelDigests(self._max_pixels, self._options.workers) as digests, ExitStack() as stack:
            found = self._equal(digests, self._allowed(pairs, self._verdicts(stack)))
            return found, 1.0, _in_order(digests.failed)

    def _nearly(self) -> tuple[list[Pair], float, tuple[Skipped, ...]]:
        classifier, pictures = shipped(), self._pictures
        with ExitStack() as stack:
            # One file keeps both, so that pairs of the two sets are kept as well.
            store = stack.enter_context(FeatureStore(self._sets[0].index.path, classifier.name))
            collector = stack.enter_context(
                Collector(store, max_pixels=self._max_pixels, workers=self._options.workers)
            )
            digests = stack.enter_context(PixelDigests(self._max_pixels, self._options.workers))
            verdicts = self._verdicts(stack)
            hashes = collector.hashes(pictures, lambda done, total: self._progress("reading", done, total))
            at = len(self._base)
            base = Side(self._base, hashes[:at], lambda place: collector.features(pictures[place]))
            asked = Side(self._open, hashes[at:], lambda place: collector.features(pictures[at + place]))
            pairs = candidates.between(base, asked)
            judge = PairJudge(
                pictures, (collector, store), classifier, cuts_of(classifier, self._options.threshold)
            )
            judged = counted(judge.judged(self._allowed(pairs, verdicts)), pairs.count, self._progress)
            auto, levels = self._options.threshold == AUTO, shown_levels(self._options.reach)
            found = [
                pair for pair in judged if (may_be_shown(pair, classifier) if auto else pair.level in levels)
            ]
            if auto:
                judge.cuts = self._calibrated(base, found, verdicts, judge, (collector, classifier))
            found = [again for pair in found if (again := judge.cuts.again(pair)).level in levels]
            alike = candidates.of_one_hash(self._allowed(pairs, verdicts), pictures, hashes)
            found += self._equal(digests, alike)
            return found, judge.cuts.near, _in_order({**digests.failed, **collector.failed})

    def _calibrated(
        self,
        base: Side,
        found: list[Pair],
        verdicts: list[Verdicts],
        judge: PairJudge,
        tools: tuple[Collector, Classifier],
    ) -> Cuts:
        options = self._options
        labels = tuple(label for each in verdicts for label in each.labels())
        said = labelled(labels, self._pictures, judge)
        self._calibration = calibrate(
            self._pictures,
            [*found, *judge.judged(_sampled(base))],
            tools,
            CalibrationOptions(said, options.precision, self._max_pixels, options.workers),
            progress=lambda done, total: self._progress("calibrating", done, total),
        )
        return Cuts(self._calibration.near, self._calibration.probable)

    def _verdicts(self, stack: ExitStack) -> list[Verdicts]:
        return [stack.enter_context(Verdicts.open(path)) for path in sorted(self._spoken)]

    def _allowed(self, pairs: Iterable[Places], verdicts: list[Verdicts]) -> Iterator[Places]:
        """Ids (asked, base) of pairs of places, but for those that a person told apart."""
        for place, other in pairs:
            one, two = len(self._base) + place, other
            digests = self._pictures[one].sha256, self._pictures[two].sha256
            if not any(each.parts(*digests) for each in verdicts):
                yield one, two

    def _equal(self, digests: PixelDigests, pairs: Iterable[Places]) -> list[Pair]:
        pictures = self._pictures
        return list(digests.equal((pictures[one], pictures[other]) for one, other in pairs))

    def _leaks(self, pairs: Iterable[Pair]) -> Iterator[Leak]:
        for picture in self._asked.pictures:
            if picture.sha256 in self._by_bytes:
                train = self._by_bytes[picture.sha256].paths[0]
                yield from (Leak(path, train, "bytes", 1.0) for path in picture.paths)
        best: dict[int, tuple[int, float, bytes, Pair]] = {}
        for pair in pairs:
            name = os.fsencode(self._pictures[pair.first].paths[0])
            offer = (LEVELS.index(pair.level), -pair.score, name, pair)
            if pair.second not in best or offer[:3] < best[pair.second][:3]:
                best[pair.second] = offer
        for number, (_, _, _, pair) in best.items():
            for path in self._pictures[number].paths:
                yield Leak(path, self._pictures[pair.first].paths[0], pair.level, pair.score)


def _spoken(index: Given | None) -> frozenset[Path]:
    """The index whose verdicts count beside those of the two sets, if it is there."""
    with suppress(IndexMissing):
        return frozenset((existing_index(index),))
    return frozenset()


def _sampled(side: Side) -> list[Places]:
    """The pairs within a collection that some of its pictures, spread evenly, are in."""
    step = max(1, len(side.collection) // SAMPLED)
    some = Side(
        side.collection.kept(lambda pictures: [*pictures[::step]]),
        side.hashes[::step],
        lambda place: side.kept(place * step),
    )
    pairs = ((place * step, other) for place, other in candidates.between(side, some))
    return sorted({(min(pair), max(pair)) for pair in pairs if pair[0] != pair[1]})


def _numbered(collection: Collection, first: int) -> Iterator[Picture]:
    for picture in collection.pictures:
        yield replace(picture, id=first + picture.id)


def _in_order(failed: dict[int, Skipped]) -> tuple[Skipped, ...]:
    return tuple(failed[number] for number in sorted(failed))
