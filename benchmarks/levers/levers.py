"""What can be done with vectors once they are there: other coordinates, other queries, other orders."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from benchmarks.levers.looking import Vectors, unit
from simsearch.views.centring import centred, middle

Scores = NDArray[np.float32]
Ids = NDArray[np.int64]
Lever = Callable[[Vectors], Scores]
TINY = 1e-9


def plain(vectors: Vectors) -> Scores:
    """Cosines of all with all, float32 (n, n)."""
    return vectors @ vectors.T


def moved(vectors: Vectors) -> Vectors:
    """Centred as the product does it."""
    places = np.arange(len(vectors))
    return centred(vectors, middle(lambda chosen=None: iter([(places, vectors)]), len(vectors)))


def projected(vectors: Vectors, dim: int, *, whitened: bool) -> Vectors:
    """On the first `dim` principal axes of the set itself, each divided by its deviation if `whitened`.

    PCA-whitening: Jegou and Chum, https://doi.org/10.1007/978-3-642-33709-3_55
    """
    mean = vectors.mean(axis=0)
    values, axes = np.linalg.eigh(np.cov(vectors.T.astype(np.float64)))
    chosen = axes[:, ::-1][:, :dim]
    if whitened:
        chosen = chosen / np.sqrt(np.maximum(values[::-1][:dim], TINY))
    return unit((vectors - mean) @ chosen)


def expanded(vectors: Vectors, count: int, power: float) -> Scores:
    """Each query with its `count` best answers, weighted by their score to `power`, asks again.

    Average query expansion: Chum et al., https://doi.org/10.1109/ICCV.2007.4408891; weighted by the score:
    Radenovic et al., https://arxiv.org/abs/1711.02512
    """
    return _blended(vectors, count, power) @ vectors.T


def augmented(vectors: Vectors, count: int, power: float) -> Scores:
    """Every picture, indexed or asked with, is blended with its neighbours before they are compared.

    Database-side augmentation: Arandjelovic and Zisserman, https://doi.org/10.1109/CVPR.2012.6248018
    """
    blended = _blended(vectors, count, power)
    return blended @ blended.T


def reciprocal(vectors: Vectors, near: int, kept: float) -> Scores:
    """k-reciprocal re-ranking: how many neighbours two pictures share counts next to their cosine.

    Zhong et al., https://arxiv.org/abs/1701.08398, with k1 = `near`, k2 = `near` / 3 and lambda = `kept`.
    """
    scores = plain(vectors)
    order = np.argsort(-scores, axis=1, kind="stable")
    first, half = order[:, : near + 1], order[:, : near // 2 + 1]

    def mutual(best: NDArray[np.int64]) -> NDArray[np.bool_]:
        among = np.zeros(scores.shape, dtype=bool)
        np.put_along_axis(among, best, True, axis=1)
        return among & among.T

    wide, narrow = mutual(first), mutual(half)
    weights = np.zeros_like(scores)
    for place in range(len(scores)):
        own = wide[place].copy()
        for other in np.flatnonzero(wide[place]):
            theirs = narrow[other]
            if (theirs & wide[place]).sum() > 2 / 3 * theirs.sum():
                own |= theirs
        weights[place, own] = np.exp(scores[place, own] - 1)
        weights[place] /= weights[place].sum()
    weights = np.stack(
        [weights[order[place, : max(1, near // 3)]].mean(axis=0) for place in range(len(scores))]
    )
    jaccard = np.empty_like(scores)
    for place in range(len(scores)):
        shared = np.minimum(weights[place], weights).sum(axis=1)
        jaccard[place] = shared / (2 - shared)
    return np.asarray((1 - kept) * jaccard + kept * scores, dtype=np.float32)


def average_precisions(scores: Scores, labels: Ids, asking: Ids) -> NDArray[np.float64]:
    """The average precision of each asking picture for the others of its label, leave one out."""
    scores = scores.copy()
    np.fill_diagonal(scores, -np.inf)
    order = np.argsort(-scores[asking], axis=1, kind="stable")[:, :-1]
    right = labels[order] == labels[asking][:, None]
    precision = np.cumsum(right, axis=1) / np.arange(1, right.shape[1] + 1)
    return np.asarray((precision * right).sum(axis=1) / right.sum(axis=1))


def _blended(vectors: Vectors, count: int, power: float) -> Vectors:
    scores = plain(vectors)
    best = np.argsort(-scores, axis=1, kind="stable")[:, : count + 1]
    weights = np.maximum(np.take_along_axis(scores, best, axis=1), 0) ** power
    return unit(np.einsum("qk,qkd->qd", weights, vectors[best]))


def _projection(dim: int, *, whitened: bool) -> Lever:
    return lambda vectors: plain(projected(vectors, dim, whitened=whitened))


def _expansion(count: int, power: float) -> Lever:
    return lambda vectors: expanded(moved(vectors), count, power)


def _augmentation(count: int) -> Lever:
    return lambda vectors: augmented(moved(vectors), count, 3.0)


def _reciprocity(near: int, kept: float) -> Lever:
    return lambda vectors: reciprocal(moved(vectors), near, kept)


LEVERS: dict[str, Lever] = {
    "plain": plain,
    "centred (the default)": lambda vectors: plain(moved(vectors)),
    **{f"PCA to {dim}": _projection(dim, whitened=False) for dim in (512, 256, 128)},
    **{f"PCA to {dim}, whitened": _projection(dim, whitened=True) for dim in (256, 128)},
    **{f"centred, query expansion {count}": _expansion(count, 0.0) for count in (1, 3, 5, 10)},
    "centred, query expansion 5 by score^3": _expansion(5, 3.0),
    **{f"centred, database augmented {count} by score^3": _augmentation(count) for count in (1, 3, 10)},
    **{
        f"centred, k-reciprocal {near}, cosine kept {kept:g}": _reciprocity(near, kept)
        for near in (6, 20)
        for kept in (0.3, 0.7)
    },
}
