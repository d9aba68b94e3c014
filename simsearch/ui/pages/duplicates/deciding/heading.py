"""A group as it is when another of its files is kept: each member is held against that one."""

from __future__ import annotations

from dataclasses import replace

from simsearch.dedup.features.collect import Collector
from simsearch.dedup.features.store import FeatureStore
from simsearch.dedup.grouping.places import place_of
from simsearch.dedup.records import DuplicateGroup, DuplicatePhoto, Picture
from simsearch.dedup.stages.judging import Cuts, PairJudge, cuts_of
from simsearch.dedup.verdicts import Verdicts
from simsearch.dedup.verify.classifier import shipped
from simsearch.engine.index import Index
from simsearch.ui.pages.duplicates.deciding.decisions import EXACT, Headed, key_of
from simsearch.ui.pages.duplicates.finding import Found

REFERENCE = "it lies in a folder that is never touched"
OUT_OF_SCOPE = "by the options of this search it is not held against what is kept"
TOLD_APART = "you said earlier that it is another picture than what is kept"
UNREAD = "it could not be held against what is kept: one of the two cannot be read"


def headed(index: Index, found: Found, group: DuplicateGroup, keep: str) -> Headed:
    """The group with levels and scores towards `keep`, as the search would give them; worked out once.

    Raises IndexDamaged where verdicts cannot be read.
    """
    known = ("headed", key_of(group), keep)
    if known not in found.worked_out:
        found.worked_out[known] = _headed(index, found, group, keep)
    made = found.worked_out[known]
    return made if isinstance(made, Headed) else Headed(group)


def _headed(index: Index, found: Found, group: DuplicateGroup, keep: str) -> Headed:
    reference = found.options.policy.reference
    reasons = {
        photo.path: REFERENCE
        for photo in group.photos
        if photo.path != keep and place_of(photo.path, reference) is not None
    }
    keeper = next((photo for photo in group.photos if photo.path == keep), None)
    if keeper is None or keep == group.keep:
        return Headed(group, reasons)
    others = [photo for photo in group.photos if photo is not keeper]
    levels = {photo.path: (level, 1.0) for photo in others if (level := _equal(group, keeper, photo))}
    open_ones = [photo for photo in others if photo.path not in levels]
    judged = _judged(index, found, keeper, open_ones) if open_ones else {}
    members = [replace(keeper, level="bytes", score=1.0)]
    with Verdicts.open(index.path) as verdicts:
        for photo in others:
            known = levels.get(photo.path) or judged.get(photo.path)
            if known is None:
                reasons[photo.path] = UNREAD
            level, score = known or ("different", 0.0)
            if verdicts.parts(bytes.fromhex(keeper.sha256), bytes.fromhex(photo.sha256)):
                reasons[photo.path] = TOLD_APART
            elif not found.options.scope.allowed(keep, photo.path):
                reasons.setdefault(photo.path, OUT_OF_SCOPE)
            members.append(replace(photo, level=level, score=score))
    why = "kept: you chose it"
    return Headed(replace(group, keep=keep, why=why, photos=tuple(members)), reasons)


def _equal(group: DuplicateGroup, keeper: DuplicatePhoto, photo: DuplicatePhoto) -> str:
    """The level of two files that are equal for certain; "" where that is not known."""
    if keeper.sha256 == photo.sha256:
        return "bytes"
    # Both have the pixels of the proposed keeper, so they have each other's.
    both = all(each.level in EXACT or each.path == group.keep for each in (keeper, photo))
    return "pixels" if both else ""


def _judged(
    index: Index, found: Found, keeper: DuplicatePhoto, others: list[DuplicatePhoto]
) -> dict[str, tuple[str, float]]:
    """Level and score of each file towards the keeper, by path; those that cannot be read are left out."""
    classifier = shipped()
    calibration = found.report.calibration
    cuts = cuts_of(classifier, found.options.threshold)
    if calibration is not None:
        cuts = Cuts(calibration.near, calibration.probable)
    pictures = [picture_of(number, photo) for number, photo in enumerate([keeper, *others])]
    with FeatureStore(index.path, classifier.name) as store:
        with Collector(store, max_pixels=index.max_pixels, workers=1) as collector:
            judge = PairJudge(pictures, (collector, store), classifier, cuts)
            pairs = judge([(0, number) for number in range(1, len(pictures))])
    return {others[pair.second - 1].path: (pair.level, pair.score) for pair in pairs}


def picture_of(number: int, photo: DuplicatePhoto) -> Picture:
    """A member as what is compared."""
    digest = bytes.fromhex(photo.sha256)
    return Picture(number, digest, (photo.path,), photo.width, photo.height, "", None)
