"""Passes over pictures: vectors to be judged, the head on a frozen backbone, one epoch of all layers."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from simsearch.errors import DeviceUnavailable, SimsearchError
from simsearch.models.runners import available_threads
from simsearch.spec import EmbeddingSpec
from simsearch.training.checkpoint import Tensors
from simsearch.training.network import Learner, set_rates
from simsearch.training.pictures.augment import Augmentation
from simsearch.training.pictures.collection import Collection, Picture
from simsearch.training.pictures.frames import Frames, Pixels
from simsearch.training.records import FinetuneConfig
from simsearch.training.retrieval import average_precisions

VIEWS, MOST_VIEWED = 4, 80_000
"""Each training picture is seen so often by the frozen backbone, less often where that makes more vectors."""
HEAD_PASSES, HEAD_BATCH = 30, 64
_EMBEDDED = 32

Place = tuple[str, Frames, Frames, Callable[[str, int, int], None]]


class Learning:
    """A learner on its device, with the pictures it learns from.

    Args:
        spec, weights: the backbone to begin with.
        collection: what is learned, and by what it is judged.
        config: how.
        place: the device; pictures framed as an index has them; pictures as a whole; and who is told how
            much of a stage is done.
    """

    def __init__(
        self,
        spec: EmbeddingSpec,
        weights: Path,
        collection: Collection,
        config: FinetuneConfig,
        place: Place,
    ) -> None:
        self.device, self._plain, self._wide, self._progress = place
        if self.device == "cpu":
            # Torch knows nothing of a container's quota; this holds for the whole process.
            torch.set_num_threads(min(torch.get_num_threads(), available_threads()))
        self._config, self._training = config, collection.training
        self._learner = Learner(spec, weights, len(collection.classes), config.seed)
        self._learner.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._optimizer = self._learner.optimizer(config.head_rate, config.backbone_rate)
        self._augment = Augmentation(spec.crop, spec.interpolation)

    def precisions(self, pictures: Sequence[Picture]) -> NDArray[np.float64]:
        """The average precision of each picture among these, by vectors that an index would keep."""
        self._learner.eval()
        found: list[NDArray[np.float32]] = []
        with torch.inference_mode():
            for pixels in self._plain.batches(pictures, _EMBEDDED):
                vectors = self._learner.vectors(self._moved([_upright(item) for item in pixels]))
                found.append(vectors.cpu().numpy())
                self._progress("measuring", min(_EMBEDDED * len(found), len(pictures)), len(pictures))
        labels = np.array([picture.label for picture in pictures], dtype=np.int64)
        return average_precisions(np.concatenate(found), labels)

    def learn_head(self) -> None:
        """Train the head on what the frozen backbone makes of some views of each picture.

        The backbone sees every view once, the first being the picture as an index has it, and the head then
        makes its passes over the vectors that are kept.
        """
        self._learner.freeze()
        seen, labels = self._seen()
        optimizer = torch.optim.AdamW(self._learner.head.parameters(), lr=self._config.head_rate)
        chance = torch.Generator().manual_seed(self._number("head"))
        for _ in range(HEAD_PASSES):
            order = torch.randperm(len(seen), generator=chance)
            for start in range(0, len(seen), HEAD_BATCH):
                rows = order[start : start + HEAD_BATCH]
                loss = self._loss(self._learner.head(seen[rows].to(self.device)), labels[rows])
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()

    def epoch(self, number: int) -> float:
        """One pass over the training pictures with all layers learning; returns the mean loss.

        All that is random about it comes from the seed and its number. Raises SimsearchError when the loss
        is no number any more, DeviceUnavailable when the memory is too small.
        """
        size = self._config.batch
        per_epoch = math.ceil(len(self._training) / size)
        order = torch.randperm(
            len(self._training), generator=torch.Generator().manual_seed(self._number(number))
        )
        pictures = [self._training[place] for place in order.tolist()]
        self._learner.learn_all()
        total, done = 0.0, 0
        cards = [torch.device(self.device).index or 0] if self.device.startswith("cuda") else []
        with torch.random.fork_rng(devices=cards):
            torch.manual_seed(self._number("dropout", number))
            for step, pixels in enumerate(self._wide.batches(pictures, size), start=(number - 1) * per_epoch):
                set_rates(self._optimizer, step, per_epoch, self._config.epochs * per_epoch)
                part = pictures[done : done + size]
                total += self._step(self._changed(pixels, part, number), part) * len(part)
                done += len(part)
                self._progress(f"epoch {number}", done, len(pictures))
        return total / done

    def _step(self, pixels: list[Tensor], pictures: Sequence[Picture]) -> float:
        try:
            loss = self._loss(
                self._learner(self._moved(pixels)), torch.tensor([picture.label for picture in pictures])
            )
            self._optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self._optimizer.step()
            value = float(loss.item())
        except torch.OutOfMemoryError as exc:
            raise DeviceUnavailable(
                f"{len(pixels)} pictures a step do not fit into the memory of {self.device}; take a smaller "
                "--batch-size."
            ) from exc
        if not math.isfinite(value):
            raise SimsearchError(
                "The training went astray: its loss is no finite number any more. Take lower learning rates "
                "or a larger --batch-size; the checkpoint it began with may be damaged."
            )
        return value

    def _seen(self) -> tuple[Tensor, Tensor]:
        """Vectors (views · n, dim) of the training pictures by the frozen backbone, and their labels."""
        views = max(1, min(VIEWS, MOST_VIEWED // len(self._training)))
        found: list[Tensor] = []
        done = 0
        # Not inference_mode: what is made in it can take no part in training.
        with torch.no_grad():
            for view in range(views):
                frames = self._wide if view else self._plain
                for start, pixels in enumerate(frames.batches(self._training, _EMBEDDED)):
                    part = self._training[start * _EMBEDDED : (start + 1) * _EMBEDDED]
                    made = self._changed(pixels, part, -view) if view else [_upright(item) for item in pixels]
                    found.append(self._learner.raw(self._moved(made)).cpu())
                    done += len(part)
                    self._progress("training the head", done, views * len(self._training))
        labels = torch.tensor([picture.label for picture in self._training])
        return torch.cat(found), labels.repeat(views)

    def _loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return nn.functional.cross_entropy(
            logits, labels.to(self.device), label_smoothing=self._config.label_smoothing
        )

    def _changed(self, pixels: Sequence[Pixels], pictures: Sequence[Picture], number: int) -> list[Tensor]:
        return [
            self._augment(item, self._number(number, picture.digest.hex()))
            for item, picture in zip(pixels, pictures, strict=True)
        ]

    def _moved(self, pixels: list[Tensor]) -> Tensor:
        return torch.stack(pixels).to(self.device, memory_format=torch.channels_last)

    def _number(self, *parts: object) -> int:
        """A number for a random generator, another one for other parts."""
        told = " ".join(map(str, (self._config.seed, *parts)))
        return int.from_bytes(hashlib.sha256(told.encode()).digest()[:7], "big")

    def features(self) -> Tensors:
        """A copy of the backbone's values on the CPU."""
        return _copied(self._learner.features)

    def restore_features(self, values: Tensors) -> None:
        """Give the backbone values that `features` gave."""
        self._learner.features.load_state_dict(values)

    def state(self) -> tuple[Tensors, dict[str, Any]]:
        """Copies of the values of backbone and head, and the optimizer's state as it is."""
        return _copied(self._learner), self._optimizer.state_dict()

    def restore(self, network: Tensors, optimizer: dict[str, Any]) -> None:
        """Go on from what `state` gave."""
        self._learner.load_state_dict(network)
        self._optimizer.load_state_dict(optimizer)


def _copied(module: nn.Module) -> Tensors:
    return {name: value.detach().cpu().clone() for name, value in module.state_dict().items()}


def _upright(pixels: Pixels) -> Tensor:
    """uint8 (H, W, 3) -> (3, H, W)."""
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)
