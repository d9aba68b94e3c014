"""A whole fine-tuning: read, measure, train, choose the best epoch, measure again, write."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np

from simsearch.errors import SimsearchError
from simsearch.framing import Fitting
from simsearch.models.choice import ModelChoice, resolve
from simsearch.models.runners import available_threads, pick_device
from simsearch.models.weights.files import read_digest
from simsearch.models.weights.recipe import Recipe
from simsearch.spec import EmbeddingSpec
from simsearch.training.checkpoint import (
    State,
    load_state,
    require_state,
    save_state,
    state_path,
    write_checkpoint,
)
from simsearch.training.learning import Learning
from simsearch.training.pictures.collection import Collection, read_collection
from simsearch.training.pictures.frames import Frames
from simsearch.training.records import ClassCount, Epoch, FinetuneConfig, FinetuneReport
from simsearch.views.figures import interval

SUFFIX = ".safetensors"
# Room around what the network sees, for parts of it to be cut out.
_WIDER = 1.5
# What people call the parts of a data set, which are no kinds of things.
_PARTS = {"train", "training", "val", "valid", "validation", "test", "testing"}
_WITHOUT_MEANING = ("device", "workers", "resume", "weights", "model")

Progress = Callable[[str, int, int], None]
Note = Callable[[str], None]


def finetune(
    folder: str | os.PathLike[str],
    out: str | os.PathLike[str],
    config: FinetuneConfig | None = None,
    *,
    progress: Progress | None = None,
    note: Note | None = None,
) -> FinetuneReport:
    """Teach a backbone to tell the subfolders of `folder` apart, and write it as the checkpoint `out`.

    `out` is for `Embedder(weights=out)` and `simsearch index --weights`: its vectors are those by which the
    training judged itself. While it runs, its state after each epoch lies beside `out` as NAME.training.

    Args:
        folder: each subfolder is a class, with the pictures at any depth below it.
        out: the .safetensors file to write; nothing may be there.
        progress: called with the stage, how much of it is done, and of how much.
        note: called with lines for a person.

    Raises RootMissing, ModelUnknown, WeightsMissing, WeightsRefused, DeviceUnavailable, PhotoUnreadable for a
    picture that changes meanwhile, and SimsearchError for too few pictures, a file in the way, a state to go
    on from that is another training's, and a disk that is full.
    """
    started = time.monotonic()
    config, place = config or FinetuneConfig(), Path(os.path.expanduser(out)).absolute()
    progress, note = progress or (lambda stage, done, total: None), note or (lambda line: None)
    _check(place, config)
    resolved = resolve(ModelChoice(config.model, config.weights, device=config.device), note=note)
    spec, device = resolved.spec, pick_device(config.device, note)
    workers = config.workers or available_threads()
    with (
        Frames(workers, spec.framing) as plain,
        Frames(workers, Fitting(round(_WIDER * spec.resize))) as wide,
    ):
        collection = read_collection(
            Path(folder), plain, config.seed, lambda done, total: progress("reading pictures", done, total)
        )
        _tell(collection, note)
        learning = Learning(
            spec, Path(resolved.weights_path), collection, config, (device, plain, wide, progress)
        )
        return _Run(learning, collection, spec, config, place, note).run(started)


class _Run:
    """One training, from the state it begins or goes on with to its report."""

    def __init__(
        self,
        learning: Learning,
        collection: Collection,
        spec: EmbeddingSpec,
        config: FinetuneConfig,
        place: Path,
        note: Note,
    ) -> None:
        self._learning, self._collection, self._spec = learning, collection, spec
        self._config, self._place, self._note = config, place, note

    def run(self, started: float) -> FinetuneReport:
        """Measure, train, choose, measure again, write."""
        learning, collection = self._learning, self._collection
        before = learning.precisions(collection.held_out)
        validation = _mean(learning.precisions(collection.validation)) if collection.validation else None
        state = self._begin()
        try:
            while not self._is_done(state):
                self._learn(state)
        except KeyboardInterrupt:
            self._note(
                f"Stopped after epoch {len(state.epochs)}, whose state is kept in {state_path(self._place)}; "
                "the same command with --resume goes on from there."
            )
            raise
        learning.restore_features(state.best_features)
        after = learning.precisions(collection.held_out)
        write_checkpoint(self._place, learning.features(), Recipe.of(self._spec))
        state_path(self._place).unlink(missing_ok=True)
        low, high = interval(after - before)
        return FinetuneReport(
            out=str(self._place),
            sha256=read_digest(self._place).sha256,
            model=self._spec.backbone,
            weights_sha256=self._spec.weights_sha256,
            device=learning.device,
            seed=self._config.seed,
            classes=_counts(collection),
            left_out=collection.left_out,
            skipped=collection.skipped,
            before=_mean(before),
            after=_mean(after),
            low=low,
            high=high,
            validation_before=validation,
            epochs=tuple(state.epochs),
            best=state.best,
            seconds=time.monotonic() - started,
        )

    def _begin(self) -> State:
        told = {key: value for key, value in asdict(self._config).items() if key not in _WITHOUT_MEANING}
        run = json.dumps([self._spec.id, self._collection.fingerprint(), told])
        if self._config.resume:
            state = load_state(self._place, run)
            self._learning.restore(state.network, state.optimizer)
            return state
        self._learning.learn_head()
        state = State(run, [], 0, *self._learning.state(), {})
        save_state(self._place, state)
        return state

    def _is_done(self, state: State) -> bool:
        count = len(state.epochs)
        lasting = bool(self._collection.validation) and count - state.best >= self._config.patience
        return count >= self._config.epochs or lasting

    def _learn(self, state: State) -> None:
        number = len(state.epochs) + 1
        loss = self._learning.epoch(number)
        figure = None
        if self._collection.validation:
            figure = _mean(self._learning.precisions(self._collection.validation))
        reached = state.epochs[state.best - 1].validation if state.best else None
        if figure is None or reached is None or figure > reached:
            state.best, state.best_features = number, self._learning.features()
        state.epochs.append(Epoch(number, loss, figure))
        state.network, state.optimizer = self._learning.state()
        save_state(self._place, state)
        judged = "" if figure is None else f", mAP of the validation pictures {figure:.4f}"
        self._note(f"Epoch {number}: loss {loss:.4f}{judged}")


def _check(place: Path, config: FinetuneConfig) -> None:
    if place.suffix != SUFFIX:
        raise SimsearchError(f"{place} has to end in {SUFFIX}, which is the kind of file that is written.")
    if not place.parent.is_dir() or not os.access(place.parent, os.W_OK):
        raise SimsearchError(f"There is no folder {place.parent} to write to; make it, or name another one.")
    if config.resume:
        require_state(place)
        return
    if place.exists():
        raise SimsearchError(f"{place} is there already and is not replaced; name another file.")
    if state_path(place).exists():
        raise SimsearchError(
            f"{state_path(place)} is the state of a training that was stopped. Add --resume to go on with "
            "it, or delete the file to start again."
        )


def _tell(collection: Collection, note: Note) -> None:
    if collection.left_out:
        note(f"Left out, for want of pictures: {', '.join(collection.left_out)}")
    if {name.casefold() for name in collection.classes} <= _PARTS:
        note(
            f"The classes are called {' and '.join(collection.classes)}. If these are parts of a data set, "
            "name the folder whose subfolders are the classes instead: finetune parts the pictures itself."
        )
    if not collection.validation:
        note("The classes are too small for validation pictures; the last epoch is taken, not the best one.")


def _mean(precisions: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float:
    return float(precisions.mean())


def _counts(collection: Collection) -> tuple[ClassCount, ...]:
    parts = (collection.training, collection.validation, collection.held_out)
    return tuple(
        ClassCount(name, *(sum(picture.label == label for picture in part) for part in parts))
        for label, name in enumerate(collection.classes)
    )
