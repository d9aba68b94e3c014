"""Where one picture lies on another, so that both can be shown in one place."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simsearch.dedup.features.collect import Collector
from simsearch.dedup.features.store import FeatureStore
from simsearch.dedup.records import DuplicatePhoto
from simsearch.dedup.verify.classifier import shipped
from simsearch.dedup.verify.judge import judge
from simsearch.dedup.verify.prepare import Prepared, prepare
from simsearch.engine.index import Index
from simsearch.ui.pages.duplicates.deciding.heading import picture_of
from simsearch.ui.pages.duplicates.finding import Found

Lay = tuple[float, float, float, float, float, float]
WHOLE: Lay = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
"""The whole of one on the whole of the other."""


def laid(index: Index, found: Found, keeper: DuplicatePhoto, photo: DuplicatePhoto) -> Lay:
    """How a member is laid on what is kept, see `lay_of`; worked out once."""
    if keeper.sha256 == photo.sha256 or found.options.reach == "exact":
        return WHOLE
    known = ("laid", keeper.sha256, photo.sha256)
    if known not in found.worked_out:
        found.worked_out[known] = lay_of(index, keeper, photo)
    lay: Lay = found.worked_out[known]
    return lay


def lay_of(index: Index, keeper: DuplicatePhoto, photo: DuplicatePhoto) -> Lay:
    """How the second picture is laid on the first: turned, mirrored, cropped as `compare` sees it.

    Returns (a, b, c, d, e, f), which takes a place (u, v) of the second, each from 0 to 1, to
    (a u + b v + c, d u + e v + f) of the first. `WHOLE` where nothing better is known.
    """
    classifier = shipped()
    with FeatureStore(index.path, classifier.name) as store:
        with Collector(store, max_pixels=index.max_pixels, workers=1) as collector:
            features = [
                collector.features(picture_of(number, each)) for number, each in enumerate((keeper, photo))
            ]
    one, other = (None if each is None else prepare(each) for each in features)
    if one is None or other is None:
        return WHOLE
    placed = judge(one, other, classifier).placed
    return WHOLE if placed is None else _in_shares(placed.matrix, one, other)


def _in_shares(matrix: NDArray[np.float64], one: Prepared, other: Prepared) -> Lay:
    """The affine map nearest to the inverse of a homography from pixels of `one` to those of `other`."""
    width, height = other.size
    corners = np.array([[-0.5, -0.5], [width - 0.5, -0.5], [-0.5, height - 0.5], [width - 0.5, height - 0.5]])
    back = np.linalg.inv(matrix) @ np.column_stack([corners, np.ones(4)]).T
    if np.any(np.abs(back[2]) < 1e-9):
        return WHOLE
    own = (back[:2] / back[2] + 0.5).T / np.array(one.size, dtype=np.float64)
    shares = np.array([[0, 0, 1], [1, 0, 1], [0, 1, 1], [1, 1, 1]], dtype=np.float64)
    solved, *_ = np.linalg.lstsq(shares, own, rcond=None)
    if not np.all(np.isfinite(solved)):
        return WHOLE
    (a, d), (b, e), (c, f) = (tuple(float(value) for value in row) for row in solved)
    return a, b, c, d, e, f
