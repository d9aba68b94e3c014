"""What a training is told, and what it tells: frozen records without torch."""

from __future__ import annotations

from dataclasses import dataclass

from simsearch.records import Skipped

HEAD_RATE, BACKBONE_RATE, DECAY = 1e-3, 1e-5, 1e-2


@dataclass(frozen=True, slots=True)
class FinetuneConfig:
    """How a backbone is trained.

    Attributes:
        model: name of the backbone, or "auto".
        weights: checkpoint to begin with; the backbone's own when None.
        epochs: at most so many passes over the training pictures with all layers learning.
        patience: it ends when so many epochs in a row brought no better mAP of the validation pictures.
        batch: pictures a step.
        label_smoothing: share of each label that is spread over all classes, 0 to below 1.
        head_rate, backbone_rate: AdamW's highest learning rates.
        seed: decides the split, the head's first values, the order, the augmentation and dropout.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        workers: decoding processes; one a usable core when None.
        resume: go on with the run that was stopped.
    """

    model: str = "auto"
    weights: str | None = None
    epochs: int = 10
    patience: int = 3
    batch: int = 16
    label_smoothing: float = 0.0
    head_rate: float = HEAD_RATE
    backbone_rate: float = BACKBONE_RATE
    seed: int = 0
    device: str = "auto"
    workers: int | None = None
    resume: bool = False


@dataclass(frozen=True, slots=True)
class ClassCount:
    """How many contents of a class are in each part."""

    name: str
    training: int
    validation: int
    held_out: int


@dataclass(frozen=True, slots=True)
class Epoch:
    """One pass over the training pictures; `validation` is their mAP after it, None without any."""

    number: int
    loss: float
    validation: float | None


@dataclass(frozen=True, slots=True)
class FinetuneReport:
    """What a training came to.

    Attributes:
        out, sha256: the checkpoint that was written, and the hex SHA-256 of its bytes.
        model, weights_sha256: the backbone and the checkpoint it began with.
        device: "cpu", "cuda:N" or "mps".
        seed: see `FinetuneConfig`.
        classes: those that were learned, by name.
        left_out: subfolders with too few pictures.
        skipped: pictures that were not used, and why.
        before, after: mAP of the held-out pictures with the weights it began with and with those written.
        low, high: 95 % interval of the difference, by drawing the queries anew.
        validation_before: mAP of the validation pictures at the start, None without any.
        epochs: every epoch in order.
        best: number of the epoch whose weights were written.
        seconds: wall time of this run alone.
    """

    out: str
    sha256: str
    model: str
    weights_sha256: str
    device: str
    seed: int
    classes: tuple[ClassCount, ...]
    left_out: tuple[str, ...]
    skipped: tuple[Skipped, ...]
    before: float
    after: float
    low: float
    high: float
    validation_before: float | None
    epochs: tuple[Epoch, ...]
    best: int
    seconds: float

    @property
    def helped(self) -> bool:
        """Whether the held-out pictures find each other better than before."""
        return self.after > self.before
