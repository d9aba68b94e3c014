"""Files of a training: its state after an epoch, to go on from, and the checkpoint that it comes to."""

from __future__ import annotations

import glob
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from simsearch.errors import SimsearchError
from simsearch.models.weights.recipe import Recipe
from simsearch.storage.disk.durable import sync_names
from simsearch.training.records import Epoch

_PART = ".part"
_FIELDS = {"run", "epochs", "best", "network", "optimizer", "best_features"}

Tensors = dict[str, Tensor]


@dataclass(slots=True)
class State:
    """Where a training is: all that the next epoch hangs on.

    There is no state of a random generator in it: each epoch draws by the seed and its own number.

    Attributes:
        run: what the training is of; another one cannot go on from here.
        epochs: the epochs so far.
        best: number of the best of them, 0 before there is one.
        network: values of the backbone and the head.
        optimizer: state of AdamW.
        best_features: values of the backbone after the best epoch.
    """

    run: str
    epochs: list[Epoch]
    best: int
    network: Tensors
    optimizer: dict[str, Any]
    best_features: Tensors


def state_path(out: Path) -> Path:
    """Where the state of a training lies while it runs: beside the checkpoint that it will write."""
    return out.with_name(f"{out.name}.training")


def save_state(out: Path, state: State) -> None:
    """Write the state, which takes the place of the one before when it is whole. Raises SimsearchError."""
    told = {
        "run": state.run,
        "epochs": [(epoch.number, epoch.loss, epoch.validation) for epoch in state.epochs],
        "best": state.best,
        "network": state.network,
        "optimizer": state.optimizer,
        "best_features": state.best_features,
    }
    _write(state_path(out), lambda stream: torch.save(told, stream))


def require_state(out: Path) -> None:
    """Raises SimsearchError where there is no state of a training."""
    if not state_path(out).is_file():
        raise SimsearchError(
            f"There is no training to go on with: {state_path(out)} is missing. Leave out --resume."
        )


def load_state(out: Path, run: str) -> State:
    """The state that was saved last. Raises SimsearchError for none, a damaged one, or one of another run."""
    path = state_path(out)
    # A process that was killed while it wrote leaves what it had written so far.
    for part in path.parent.glob(f"{glob.escape(path.name)}.*{_PART}"):
        part.unlink(missing_ok=True)
    require_state(out)
    try:
        # Plain tensors and numbers: no code is run.
        told = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(told, dict) or told.keys() != _FIELDS:
            raise ValueError("it holds something else")
        epochs = [Epoch(*epoch) for epoch in told.pop("epochs")]
    except Exception as exc:  # a damaged pickle can raise nearly anything
        reason = (str(exc).splitlines() or [type(exc).__name__])[0]
        raise SimsearchError(
            f"{path} is not the state of a training ({reason}). Delete it and start again without --resume."
        ) from exc
    if told["run"] != run:
        raise SimsearchError(
            f"{path} belongs to a training of other pictures or with other options. Give the command as it "
            "was before, or delete that file and leave out --resume."
        )
    return State(epochs=epochs, **told)


def write_checkpoint(out: Path, features: Tensors, recipe: Recipe) -> None:
    """Write a backbone's values and how its pictures are prepared as a .safetensors file.

    Raises SimsearchError.
    """
    from safetensors.torch import save

    values = {name: value.contiguous().clone() for name, value in features.items()}
    data = save(values, metadata=recipe.metadata())
    _write(out, lambda stream: stream.write(data))


def _write(path: Path, fill: Callable[[IO[bytes]], object]) -> None:
    part = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}{_PART}")
    try:
        try:
            with part.open("xb") as stream:
                fill(stream)
                stream.flush()
                os.fsync(stream.fileno())
            part.replace(path)
            sync_names(os.fsencode(path.parent))
        finally:
            part.unlink(missing_ok=True)
    except (OSError, RuntimeError) as exc:
        # torch tells of a full disk by a RuntimeError.
        reason = exc.strerror if isinstance(exc, OSError) else (str(exc).splitlines() or [""])[0]
        raise SimsearchError(
            f"{path} cannot be written: {reason}. Make room or rights there; what was saved before is whole."
        ) from exc
