"""Two files side by side: whether they show one picture, and how sure that is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from simsearch.dedup.features.ahead import spread
from simsearch.dedup.features.collect import LONGEST
from simsearch.dedup.features.describe import describe
from simsearch.dedup.features.exact import PixelDigests
from simsearch.dedup.records import Comparison, Picture
from simsearch.dedup.stages.judging import cuts_of
from simsearch.dedup.verify.classifier import Classifier, shipped
from simsearch.dedup.verify.forms import turned
from simsearch.dedup.verify.judge import Judgement, judge
from simsearch.dedup.verify.prepare import prepare
from simsearch.errors import PhotoUnreadable
from simsearch.framing import Fitting
from simsearch.media.formats import MAX_PIXELS
from simsearch.media.pool import DecodePool
from simsearch.paths import AnyPath, absolute, text
from simsearch.records import Decoded, Unreadable

COPIES = ("near", "probably")


def compare(a: AnyPath, b: AnyPath) -> Comparison:
    """What two picture files are to each other.

    The levels are those of `find_duplicates`, and "different" for two that are nothing to each other. No
    index is needed and nothing is written. Both files are decoded in processes of their own.

    Raises PhotoUnreadable, with the file and the reason.
    """
    names = [absolute(path) for path in (a, b)]
    classifier = shipped()
    cuts = cuts_of(classifier, None)

    def told(level: str, score: float, mirrored: bool = False, degrees: int = 0) -> Comparison:
        return Comparison(text(names[0]), text(names[1]), level, score, cuts.near, mirrored, degrees)

    with DecodePool(2, Fitting(LONGEST)) as pool:
        one, other = spread(lambda name: _read(pool, name), names, 2)
    if one.digest == other.digest:
        return told("bytes", 1.0)
    if _equal_pixels(names, (one, other)):
        return told("pixels", 1.0)
    judgement = _judged(one, other, classifier)
    level = cuts.level(judgement.score, judgement.inliers)
    if level in COPIES and judgement.placed is not None:
        return told(level, judgement.score, judgement.placed.mirrored, turned(judgement.placed))
    return told(level, judgement.score)


def _read(pool: DecodePool, name: bytes) -> Decoded:
    outcome = pool.read(name)
    if isinstance(outcome, Decoded):
        return outcome
    reason = outcome.reason if isinstance(outcome, Unreadable) else "neither its content nor its name says so"
    raise PhotoUnreadable(
        f"{text(name)} is no picture that can be compared: {reason}. Name a picture file that can be opened."
    )


def _equal_pixels(names: list[bytes], two: tuple[Decoded, Decoded]) -> bool:
    """Whether all pixels are equal; decoded in full only where the sizes are."""
    if (two[0].facts.width, two[0].facts.height) != (two[1].facts.width, two[1].facts.height):
        return False
    pictures = [
        Picture(
            number,
            found.digest,
            (text(name),),
            found.facts.width,
            found.facts.height,
            found.facts.format,
            found.facts.taken_at,
        )
        for number, (name, found) in enumerate(zip(names, two, strict=True))
    ]
    with PixelDigests(MAX_PIXELS, 2) as digests:
        return any(digests.equal([(pictures[0], pictures[1])]))


def _judged(one: Decoded, other: Decoded, classifier: Classifier) -> Judgement:
    """How the first lies on the second; worked out the same way round, whichever of the two comes first."""
    if one.digest <= other.digest:
        first, second = (prepare(describe(found.pixels)) for found in (one, other))
        return judge(first, second, classifier)
    judgement = _judged(other, one, classifier)
    if judgement.placed is None:
        return judgement
    back = np.asarray(np.linalg.inv(judgement.placed.matrix), dtype=np.float64)
    return replace(judgement, placed=replace(judgement.placed, matrix=back))
