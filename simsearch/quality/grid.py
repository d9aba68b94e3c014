"""Several configurations side by side, on the same pictures and the same truth."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import product

from simsearch.engine.index import Index
from simsearch.errors import EvalInvalid
from simsearch.models.record import POOLINGS
from simsearch.models.weights.library import find_imported
from simsearch.quality.collection import pictures_of
from simsearch.quality.embedding import Making, embedded, kind_of
from simsearch.quality.evaluation import Progress, measured
from simsearch.quality.records import EvalConfig, EvalOptions, EvalReport
from simsearch.quality.truth import names_of

_SWITCH = {"on": True, "off": False}


@dataclass(frozen=True, slots=True)
class Grid:
    """What is compared: each model with each pooling, plain and centred. Empty: as the index has it."""

    models: tuple[str, ...] = ()
    poolings: tuple[str, ...] = ()
    centers: tuple[bool, ...] = ()

    @classmethod
    def parse(cls, words: Sequence[str]) -> Grid:
        """A grid in words, such as "model=resnet50,resnet18" "pooling=avg,gem" "center=on,off".

        A word may hold several, with blanks between them. Raises EvalInvalid.
        """
        found: dict[str, tuple[str, ...]] = {}
        for word in " ".join(words).split():
            key, _, values = word.partition("=")
            chosen = tuple(dict.fromkeys(value for value in values.split(",") if value))
            if key not in ("model", "pooling", "center") or not chosen or key in found:
                raise EvalInvalid(
                    f"{word!r} is no part of a grid; it is made of model=NAME,…, pooling=avg,max,gem and "
                    "center=on,off, each at most once."
                )
            found[key] = chosen
        for key, allowed in (("pooling", POOLINGS), ("center", tuple(_SWITCH))):
            for value in found.get(key, ()):
                if value not in allowed:
                    raise EvalInvalid(f"{key} is {' or '.join(allowed)}, not {value!r}.")
        centers = tuple(_SWITCH[value] for value in found.get("center", ()))
        return cls(found.get("model", ()), found.get("pooling", ()), centers)


def evaluate_grid(
    grid: Grid,
    index: Index | str | os.PathLike[str] | None = None,
    options: EvalOptions | None = None,
    *,
    progress: Progress | None = None,
    note: Callable[[str], None] | None = None,
) -> tuple[EvalReport, ...]:
    """`evaluate` for each configuration of a grid, in the order of its words.

    For each model and pooling that `index` does not have, an index of the same folders is made in the user's
    cache folder (`eval/` in it) and brought up to date. Only pictures that all of them hold are compared.

    Raises like `evaluate` and `index_folder`; ModelUnknown, WeightsMissing, IndexMismatch.
    """
    options = options or EvalOptions()
    progress, note = progress or (lambda stage, done, total: None), note or (lambda line: None)
    if not isinstance(index, Index):
        with Index.open(index) as opened:
            return evaluate_grid(grid, opened, options, progress=progress, note=note)
    base = pictures_of(index)
    names = names_of(base, options, note)
    # All are settled before the first is made, which may take hours.
    pairs = list(product(grid.models or (None,), grid.poolings or (None,)))
    kinds = [kind_of(index, model, pooling, note) for model, pooling in pairs]
    centers = grid.centers or (options.center,)
    with ExitStack() as stack:
        making = Making(progress, note)
        indexes = [embedded(stack, index, kind, making) for kind in kinds]
        collections = [base if each is index else pictures_of(each) for each in indexes]
        common = set(base.digests).intersection(*(each.digests for each in collections))
        left = max(len(each) for each in [base, *collections]) - len(common)
        if left:
            those, verb = ("picture", "is") if left == 1 else ("pictures", "are")
            note(f"{left} {those} {verb} not in every one of the indexes and {verb} left out.")
        reports: list[EvalReport] = []
        for (pictures, (model, _)), center in product(zip(collections, pairs, strict=True), centers):
            stage = f"comparing {len(reports) + 1} of {len(collections) * len(centers)}"
            chosen = replace(options, center=center)
            report = measured(pictures.only(common), names, chosen, progress, stage)
            reports.append(replace(report, config=_called(report.config, model)))
    return tuple(reports)


def _called(config: EvalConfig, model: str | None) -> EvalConfig:
    """The configuration with the name that a checkpoint was imported under, which tells it from its model."""
    if model is None or model == config.model or find_imported(model) is None:
        return config
    return replace(config, model=f"{model} ({config.model})")
