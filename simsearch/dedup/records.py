"""Frozen records of finding copies and of acting on them."""

from __future__ import annotations

from dataclasses import dataclass

from simsearch.dedup.calibration.curve import Calibration
from simsearch.records import Skipped

LEVELS = ("bytes", "pixels", "near", "probably", "similar")
"""From certain to merely alike: same bytes · same pixels · a copy · probably a copy · another shot."""

COPIES = LEVELS[:3]
"""The levels that are called copies, and acted on; of the others a person has to decide."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One indexed content with its files: what is compared.

    Attributes:
        id: its place among the pictures of this comparison.
        sha256: of the files' bytes, 32 bytes.
        paths: absolute paths of files that are there, in byte order, links to one file once.
        width, height: upright pixels.
        format: Pillow's name.
        taken_at: EXIF's time as "YYYY-MM-DDTHH:MM:SS", or None.
        size: bytes of each file as the index has them, where one is in a store or an archive; else None.
    """

    id: int
    sha256: bytes
    paths: tuple[str, ...]
    width: int
    height: int
    format: str
    taken_at: str | None
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Pair:
    """Two pictures that were compared, `first` < `second`, and what was found.

    `score` is the probability that one is a copy of the other, 1.0 where that is certain; `inliers` counts
    points of both that agree on how one lies on the other.
    """

    first: int
    second: int
    level: str
    score: float
    inliers: int = 0


@dataclass(frozen=True, slots=True)
class DuplicatePhoto:
    """A member of a group; `score` and `level` are those towards the keeper, `bytes` the file's size."""

    path: str
    score: float
    width: int
    height: int
    bytes: int
    level: str
    sha256: str


@dataclass(frozen=True, slots=True)
class DuplicateGroup:
    """Copies of one picture.

    Attributes:
        level: the least certain level among the members.
        min_score: the smallest score of any two members that were compared.
        keep: path of the proposed keeper, which is the first of `photos`.
        why: why that one, for a person.
        photos: all members, each verified against the keeper.
    """

    level: str
    min_score: float
    keep: str
    why: str
    photos: tuple[DuplicatePhoto, ...]


@dataclass(frozen=True, slots=True)
class DuplicateReport:
    """What `find_duplicates` found.

    Attributes:
        index: folder of the index.
        threshold: scores from here on are level "near".
        photos: pictures that were looked at.
        compared: pairs that were verified.
        groups: by path of the keeper.
        failed: photos that could not be read for the comparison, which says nothing of them.
        silenced: groups that are not shown because of an earlier verdict.
        calibration: how the threshold was worked out, where it was.
        without: folders of the scope below which the index has no photo, so that they had no part in this.
    """

    index: str
    threshold: float
    photos: int
    compared: int
    groups: tuple[DuplicateGroup, ...]
    failed: tuple[Skipped, ...]
    silenced: int
    calibration: Calibration | None = None
    without: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Leak:
    """A picture of the test set that the training set holds as well."""

    test: str
    train: str
    level: str
    score: float


@dataclass(frozen=True, slots=True)
class LeakReport:
    """What `find_leaks` found.

    Attributes:
        train, test: the two sets.
        threshold: scores from here on are level "near".
        train_photos, test_photos: pictures that were looked at.
        leaks: by path of the test picture.
        failed: photos of both sets that could not be read, which says nothing of them.
        calibration: how the threshold was worked out, where it was.
    """

    train: str
    test: str
    threshold: float
    train_photos: int
    test_photos: int
    leaks: tuple[Leak, ...]
    failed: tuple[Skipped, ...]
    calibration: Calibration | None = None

    @property
    def leaked(self) -> int:
        """How many files of the test set are copies, and not merely probably so."""
        return sum(leak.level in COPIES for leak in self.leaks)


@dataclass(frozen=True, slots=True)
class Doubt:
    """Two pictures of which it would help to know whether they are one, and their score."""

    first: Picture
    second: Picture
    score: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two files side by side; `mirrored` and `turned` (degrees) tell how the second has to be turned."""

    first: str
    second: str
    level: str
    score: float
    threshold: float
    mirrored: bool
    turned: int
