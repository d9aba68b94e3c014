"""Many pairs of pictures -> what they are to each other; each is worked out once and kept."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from simsearch.dedup.features.ahead import spread
from simsearch.dedup.features.collect import BATCH, Collector
from simsearch.dedup.features.store import FeatureStore
from simsearch.dedup.records import Pair, Picture
from simsearch.dedup.verify.classifier import Classifier
from simsearch.dedup.verify.judge import judge
from simsearch.dedup.verify.prepare import Prepared, prepare
from simsearch.models.runners import available_threads

HELD = 800
"""Prepared pictures in memory; each takes half a megabyte."""

DIFFERENT = "different"
UNKEPT = -1
STEP = 100
SAME_SCENE = 15
"""So many points that agree show one scene, though not one picture."""


@dataclass(frozen=True, slots=True)
class Cuts:
    """Scores from `near` on are copies, from `probable` on probably so."""

    near: float
    probable: float

    def level(self, score: float, inliers: int) -> str:
        """The level of a pair, DIFFERENT for two pictures that are nothing to each other."""
        if score >= self.near:
            return "near"
        if score >= self.probable:
            return "probably"
        return "similar" if inliers >= SAME_SCENE else DIFFERENT

    def again(self, pair: Pair) -> Pair:
        """A pair that other cuts gave its level."""
        return replace(pair, level=self.level(pair.score, pair.inliers))


def cuts_of(classifier: Classifier, threshold: float | str | None) -> Cuts:
    """Where copies begin: at the threshold given, else at the classifier's own."""
    if threshold is None or isinstance(threshold, str):
        return Cuts(classifier.threshold, classifier.probable)
    return Cuts(threshold, min(threshold, classifier.probable))


def shown_levels(reach: str) -> tuple[str, ...]:
    """The levels of verified pairs that a search of this reach shows."""
    return ("near", "probably", "similar") if reach == "similar" else ("near", "probably")


def may_be_shown(pair: Pair, classifier: Classifier) -> bool:
    """Whether a pair may be of a level that is shown, wherever copies will begin."""
    return pair.level != DIFFERENT or pair.score >= classifier.doubtful


def counted(judged: Iterable[Pair], total: int, progress: Callable[[str, int, int], None]) -> Iterator[Pair]:
    """The pairs as they come, of which `progress` is told; `total` is how many there are at most."""
    for number, pair in enumerate(judged, start=1):
        if number % STEP == 0 and number < total:
            progress("comparing", number, total)
        yield pair
    if total:
        progress("comparing", total, total)


class PairJudge:
    """Judges pairs of pictures by their ids. Threads may share one."""

    def __init__(
        self,
        pictures: Sequence[Picture],
        sources: tuple[Collector, FeatureStore],
        classifier: Classifier,
        cuts: Cuts,
    ) -> None:
        self.cuts = cuts
        self.compared = 0
        self._pictures = {picture.id: picture for picture in pictures}
        self._collector, self._store = sources
        self._classifier = classifier
        self._held: OrderedDict[int, Prepared | None] = OrderedDict()
        self._lock = threading.Lock()
        ids = self._store.ids([picture.sha256 for picture in pictures])
        self._kept = {picture.id: ids[picture.sha256] for picture in pictures if picture.sha256 in ids}

    def __call__(self, pairs: Sequence[tuple[int, int]]) -> list[Pair]:
        """The `pairs` with level and score, in order; those of which a file cannot be read are left out."""
        return list(self.judged(pairs))

    def judged(self, pairs: Iterable[tuple[int, int]]) -> Iterator[Pair]:
        """Like calling, one after the other; those with the same first picture should stand together."""
        bundles = ([*group] for _, group in groupby(pairs, key=lambda pair: pair[0]))
        for number, judged in enumerate(spread(self._judged, bundles, available_threads())):
            yield from judged
            if number % BATCH == BATCH - 1:
                self._store.commit()
        self._store.commit()

    def _judged(self, pairs: list[tuple[int, int]]) -> list[Pair]:
        found: list[Pair] = []
        fresh: list[tuple[int, int, float, int]] = []
        known: dict[int, dict[int, tuple[float, int]]] = {}
        for first, second in pairs:
            low, high = sorted((self._kept.get(first, UNKEPT), self._kept.get(second, UNKEPT)))
            if low not in known:
                known[low] = self._store.scores(low)
            result = known[low].get(high)
            if result is None:
                result = self._worked_out(first, second)
                if result is None:
                    continue
                # What a full disk did not take has no id to keep a pair by.
                if low != UNKEPT:
                    fresh.append((low, high, *result))
            level = self.cuts.level(*result)
            found.append(Pair(min(first, second), max(first, second), level, *result))
        self._store.put_scores(fresh)
        with self._lock:
            self.compared += len(pairs)
        return found

    def _worked_out(self, first: int, second: int) -> tuple[float, int] | None:
        # A pair is worked out the same way round, whichever of the two asks.
        pictures = sorted((self._pictures[which] for which in (first, second)), key=lambda p: p.sha256)
        one, other = (self._prepared(picture) for picture in pictures)
        if one is None or other is None:
            return None
        judgement = judge(one, other, self._classifier)
        return judgement.score, judgement.inliers

    def _prepared(self, picture: Picture) -> Prepared | None:
        with self._lock:
            if picture.id in self._held:
                self._held.move_to_end(picture.id)
                return self._held[picture.id]
        features = self._collector.features(picture)
        ready = prepare(features) if features is not None else None
        with self._lock:
            self._held[picture.id] = ready
            while len(self._held) > HELD:
                self._held.popitem(last=False)
        return ready
