"""Real vectors: many crops of real photos, embedded by the product's own decoder and network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simsearch.framing import Fitting
from simsearch.media.decode import decode
from simsearch.models.embedder import Embedder

Vectors = NDArray[np.float32]

SEEDS, QUERIES, SCENES_APART = 10_000, 500, 70
SUFFIXES = {".jpg", ".jpeg", ".png"}
# Sides of a crop as shares of the photo's: from a detail to almost all of it.
LEAST, MOST = 0.35, 0.95


@dataclass(frozen=True, slots=True)
class RealVectors:
    """Unit vectors of crops: `seeds` to make others from, and queries whose crops are not among them.

    `seen` are further crops of the seeds' photos, `unseen` are crops of photos that gave no seed.
    """

    seeds: Vectors
    seen: Vectors
    unseen: Vectors

    def write(self, folder: Path) -> None:
        """Keep them as three .npy files."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in self.__slots__:
            np.save(folder / f"{name}.npy", getattr(self, name))

    @classmethod
    def read(cls, folder: Path) -> RealVectors:
        """Those that `write` kept. Raises FileNotFoundError."""
        return cls(*(np.load(folder / f"{name}.npy") for name in cls.__slots__))


def photos_in(folders: Sequence[Path]) -> list[Path]:
    """Every JPEG and PNG below the folders, in the order of their names."""
    return [
        path for folder in folders for path in sorted(folder.rglob("*")) if path.suffix.lower() in SUFFIXES
    ]


def extract(
    photos: Sequence[Path],
    embedder: Embedder,
    *,
    seeds: int = SEEDS,
    queries: int = QUERIES,
    note: Callable[[str], None],
) -> RealVectors:
    """The vectors of each whole photo and of as many random crops of it as it takes.

    A photo is a scene. At most 70 scenes, and at most a tenth, are kept apart for the unseen queries.
    """
    rng = np.random.default_rng(0)
    order = rng.permutation(len(photos))
    apart = min(SCENES_APART, max(1, len(photos) // 10))
    seen = _crops([photos[i] for i in order[apart:]], embedder, seeds + queries, note)
    unseen = _crops([photos[i] for i in order[:apart]], embedder, queries, note)
    chosen = rng.permutation(len(seen))
    return RealVectors(seen[chosen[queries:]], seen[chosen[:queries]], rng.permutation(unseen))


def _crops(photos: Sequence[Path], embedder: Embedder, wanted: int, note: Callable[[str], None]) -> Vectors:
    """`wanted` vectors of all photos alike; the first of each is that of the whole photo."""
    found: list[Vectors] = []
    for number, photo in enumerate(photos):
        share = wanted * (number + 1) // len(photos) - wanted * number // len(photos)
        rng = np.random.default_rng([number, wanted])
        pixels = decode(photo.read_bytes(), Fitting(0), name=photo.name.encode())[1]
        pictures = [pixels, *(_crop(pixels, rng) for _ in range(share - 1))][:share]
        if pictures:
            found.append(embedder.embed(pictures))
        if number % 100 == 99:
            note(f"{number + 1} of {len(photos)} photos")
    return np.concatenate(found)


def _crop(pixels: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """A part of the photo, of any place, with sides of .35 to .95 of its own."""
    height, width = (round(side * rng.uniform(LEAST, MOST)) for side in pixels.shape[:2])
    top, left = rng.integers(pixels.shape[0] - height + 1), rng.integers(pixels.shape[1] - width + 1)
    return np.ascontiguousarray(pixels[top : top + height, left : left + width])
