"""Two picture files -> why they are alike, by the model of an index or by another one."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from simsearch.engine.index import Index
from simsearch.errors import ModelUnknown, PhotoUnreadable
from simsearch.framing import Fitting, Framing
from simsearch.media.decode import DecodeLimits
from simsearch.media.pool import DecodePool
from simsearch.models.attention.geometry import looked_at
from simsearch.models.choice import ModelChoice, resolve
from simsearch.paths import AnyPath, absolute, text
from simsearch.quality.why.records import Explanation, Side
from simsearch.quality.why.regions import strongest
from simsearch.records import Decoded, Unreadable
from simsearch.spec import FLOAT32, NAMED, EmbeddingSpec

if TYPE_CHECKING:
    from simsearch.models.attention.likeness import Floats

Vectors = NDArray[np.float32]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Basis:
    """How the vectors are made that a score is the cosine of.

    Attributes:
        spec: the network and its framing.
        weights_path: where its weights were last; None or another place is looked up by their SHA-256.
        mean: the middle of the collection, float32 (dim,), where vectors are seen from there.
        limits: bounds on the files that are decoded.
    """

    spec: EmbeddingSpec
    weights_path: str | None
    mean: Vectors | None = None
    limits: DecodeLimits = field(default_factory=DecodeLimits)


def basis_of(index: Index, *, center: bool | None = None) -> Basis:
    """That of an index; `center` None is as the index is set.

    Raises ModelUnknown for vectors that were made elsewhere.
    """
    if index.spec.backbone.startswith(NAMED):
        name = index.spec.backbone.removeprefix(NAMED)
        raise ModelUnknown(
            f"The vectors of {index.path} were made elsewhere, by a model called {name!r} that is not known "
            "here, so that its scores cannot be explained. Name another model with --model."
        )

    snapshot = index.snapshot()
    mean = index.steadily(snapshot.middle) if (snapshot.centred if center is None else center) else None
    return Basis(index.spec, index.weights_path, mean, DecodeLimits(max_pixels=index.max_pixels))


def basis_of_model(choice: ModelChoice, *, note: Callable[[str], None] | None = None) -> Basis:
    """That of a model, without an index. Raises ModelUnknown, WeightsMissing."""
    resolved = resolve(choice, note=note or logging.getLogger("simsearch").warning)
    return Basis(resolved.spec, resolved.weights_path)


def explain(
    a: AnyPath,
    b: AnyPath,
    index: Index | str | os.PathLike[str] | None = None,
    *,
    basis: Basis | None = None,
    center: bool | None = None,
) -> Explanation:
    """Why two picture files have their score: what each place of them adds to it.

    Args:
        a, b: the files, indexed or not; they are decoded in processes of their own.
        index: an open `Index`, its folder or its name, whose model, weights and framing are used.
        basis: another one, in which case no index is opened.
        center: see `basis_of`.

    Raises PhotoUnreadable with the file and the reason; ModelUnknown for a network whose scores cannot be
    split into places; WeightsMissing, IndexMissing.
    """
    if basis is None:
        if isinstance(index, Index):
            basis = basis_of(index, center=center)
        else:
            with Index.open(index) as opened:
                basis = basis_of(opened, center=center)
    found = decoded((a, b), basis.spec.framing, basis.limits)
    # Late, since it loads torch: a file that cannot be read is told of before.
    from simsearch.models.attention.likeness import split
    from simsearch.models.attention.shares import ShareReader

    reader = ShareReader(basis.spec, basis.weights_path)
    one, other = reader.read(np.stack([picture.pixels for picture in found]))
    likeness = split(one, other, basis.mean)
    sides = [
        _side(name, picture, cells, basis.spec.framing)
        for name, picture, cells in zip((a, b), found, (likeness.first, likeness.second), strict=True)
    ]
    return Explanation(
        model=basis.spec.title,
        module=reader.module,
        center=basis.mean is not None,
        exact=basis.spec.precision == FLOAT32,
        likeness=likeness,
        first=sides[0],
        second=sides[1],
    )


def decoded(
    files: tuple[AnyPath, AnyPath], framing: Framing | Fitting, limits: DecodeLimits
) -> tuple[Decoded, Decoded]:
    """Both files, decoded in processes of their own. Raises PhotoUnreadable with the file and the reason."""
    with DecodePool(2, framing, limits=limits) as pool, ThreadPoolExecutor(2) as beside:
        one, other = (beside.submit(_read, pool, absolute(name)) for name in files)
        return one.result(), other.result()


def _read(pool: DecodePool, name: bytes) -> Decoded:
    outcome = pool.read(name)
    if isinstance(outcome, Decoded):
        return outcome
    reason = outcome.reason if isinstance(outcome, Unreadable) else "neither its content nor its name says so"
    raise PhotoUnreadable(
        f"{text(name)} is no picture that can be explained: {reason}. Name a picture file that can be opened."
    )


def _side(name: AnyPath, picture: Decoded, cells: Floats, framing: Framing) -> Side:
    size = (picture.facts.width, picture.facts.height)
    area = looked_at(size, framing)
    return Side(text(absolute(name)), *size, area, cells, strongest(cells, area, size))
