"""Labels for free: an embedder whose passes give the most probable classes of ImageNet along with vectors."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from simsearch.errors import WeightsMissing
from simsearch.models.embedder import Embedder, Images
from simsearch.models.labels.classifier import Classifier, Labels, NoClassifier, find_classifier


class Labeller:
    """Embeds and labels in one pass, with the last layer of the embedder's own checkpoint.

    Attributes:
        reason: once `load` was called, why there are no labels, now and for these weights always.

    Threads may share one.
    """

    def __init__(self, embedder: Embedder, note: Callable[[str], None]) -> None:
        embedder.measures, self._note = True, note
        self.reason: str | None = None
        self._embedder = embedder
        self._lock = threading.Lock()
        self._classifier: Classifier | None = None
        self._loaded = False

    def load(self) -> None:
        """Load network and classifier now, if that has not happened yet; `look` does so by itself.

        Raises what `Embedder.load` raises. A checkpoint that has gone, of a network that was prepared
        before, is told to `note`: then there are no labels this time.
        """
        with self._lock:
            if self._loaded:
                return
            self._embedder.load()
            try:
                spec, weights_path = self._embedder.spec, self._embedder.weights_path
                self._classifier = find_classifier(spec, weights_path, self._note)
            except NoClassifier as exc:
                self.reason = str(exc)
            except WeightsMissing as exc:
                self._note(f"The photos of this run get no labels. {exc}")
            self._loaded = True

    def look(self, images: Images) -> tuple[NDArray[np.float32], list[Labels] | None]:
        """What `Embedder.embed` gives, and the five best labels of each picture, where there are any."""
        self.load()
        vectors, lengths = self._embedder.measure(images)
        if self._classifier is None or lengths is None:
            return vectors, None
        return vectors, self._classifier.best(vectors, lengths)
