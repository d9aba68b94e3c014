"""The process that explains, which alone loads torch: questions in and answers out by lines of JSON.

In: {"spec", "weights", "pixels", "mean"}: canonical JSON of an `EmbeddingSpec`, a path or null, two pictures
as framed and a mean or null, both as base64 of their uint8 and float32 numbers. Out: {"score", "first",
"second", "pairs"}, see `simsearch.models.attention.likeness`, or {"error": words}. It ends when standard
input does.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import traceback
from typing import TYPE_CHECKING, Any

import numpy as np

from simsearch.errors import SimsearchError
from simsearch.spec import EmbeddingSpec

if TYPE_CHECKING:
    from simsearch.models.attention.shares import ShareReader


class Explaining:
    """Answers questions; the network of the last one is kept."""

    def __init__(self) -> None:
        self._reader: ShareReader | None = None

    def answer(self, question: dict[str, Any]) -> dict[str, Any]:
        """The answer to one question. Raises SimsearchError."""
        from simsearch.models.attention.likeness import split
        from simsearch.models.attention.shares import ShareReader

        spec = EmbeddingSpec.from_json(question["spec"])
        if self._reader is None or self._reader.spec != spec:
            self._reader = None
            self._reader = ShareReader(spec, question["weights"])
        framed = [np.frombuffer(base64.b64decode(told), np.uint8) for told in question["pixels"]]
        pixels = np.stack(framed).reshape(-1, spec.crop, spec.crop, 3)
        told = question["mean"]
        mean = None if told is None else np.frombuffer(base64.b64decode(told), np.float32)
        one, other = self._reader.read(pixels)
        likeness = split(one, other, mean)
        return {
            "score": likeness.score,
            "first": likeness.first.tolist(),
            "second": likeness.second.tolist(),
            "pairs": likeness.pairs.tolist(),
        }


def main() -> None:
    """Answer until nothing more is asked."""
    out = os.fdopen(os.dup(1), "wb")
    # Whatever a library prints must not come between the lines.
    os.dup2(2, 1)
    explaining = Explaining()
    for line in sys.stdin.buffer:
        try:
            told = explaining.answer(json.loads(line))
        except SimsearchError as exc:
            told = {"error": str(exc)}
        except Exception as exc:
            traceback.print_exc()
            what = " ".join(f"{type(exc).__name__}: {exc}".split())
            told = {"error": f"{what} (this is a bug in simsearch; its terminal has the details)"}
        out.write(json.dumps(told).encode("ascii") + b"\n")
        out.flush()


if __name__ == "__main__":
    main()
