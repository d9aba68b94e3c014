"""Classes as subfolders -> pictures in three parts, told apart by the bytes of their files."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from simsearch.errors import RootMissing, SimsearchError
from simsearch.media.scan import ScannedFile, root_state, scan
from simsearch.paths import join, text
from simsearch.records import Decoded, Skipped, Unreadable
from simsearch.training.pictures.frames import Frames

LEAST, BOTH = 4, 6
"""A class has so many pictures; from the second number on it has some for validation."""
SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Picture:
    """One content: a path that has it, the number of its class, and the SHA-256 digest of its bytes."""

    path: bytes
    label: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Collection:
    """The pictures of all classes in three parts, each by class and digest; no content is in two."""

    classes: tuple[str, ...]
    training: tuple[Picture, ...]
    validation: tuple[Picture, ...]
    held_out: tuple[Picture, ...]
    left_out: tuple[str, ...]
    skipped: tuple[Skipped, ...]

    def fingerprint(self) -> str:
        """A hex digest of the classes and of what is in which part, wherever the files lie."""
        told = hashlib.sha256("\0".join(self.classes).encode("utf-8", "surrogateescape"))
        for part in (self.training, self.validation, self.held_out):
            told.update(b"|")
            for picture in part:
                told.update(b"%d " % picture.label + picture.digest)
        return told.hexdigest()


def read_collection(
    folder: Path, frames: Frames, seed: int, progress: Callable[[int, int], None]
) -> Collection:
    """Read every picture below the subfolders of `folder`, and part them.

    Files with the same bytes are one picture; one that lies in two classes teaches nothing and is skipped. A
    fifth of each class is held out and a fifth is for validation, at least two each; a class of four or five
    has none for validation. Which is which hangs on the bytes and the seed alone.

    Raises RootMissing; SimsearchError without two classes of four readable pictures.
    """
    found, skipped = _read(folder, frames, progress)
    owners: dict[bytes, set[bytes]] = {}
    for name, digests in found.items():
        for digest in digests:
            owners.setdefault(digest, set()).add(name)
    for name, digests in found.items():
        for digest in [digest for digest in digests if len(owners[digest]) > 1]:
            also = ", ".join(sorted(text(other) for other in owners[digest] if other != name))
            skipped.append(Skipped(text(digests.pop(digest)), f"the same picture is in class {also}", False))
    kept = sorted(name for name, digests in found.items() if len(digests) >= LEAST)
    if len(kept) < 2:
        raise SimsearchError(_too_few(folder, found, skipped))
    parts: tuple[list[Picture], ...] = ([], [], [])
    for label, name in enumerate(kept):
        for part, chosen in zip(parts, _split(list(found[name]), seed), strict=True):
            part.extend(Picture(found[name][digest], label, digest) for digest in chosen)
    training, validation, held_out = map(tuple, parts)
    return Collection(
        tuple(text(name) for name in kept),
        training,
        # With one class alone every answer is right.
        validation if len({picture.label for picture in validation}) > 1 else (),
        held_out,
        tuple(text(name) for name in sorted(found.keys() - set(kept))),
        tuple(skipped),
    )


def _read(
    folder: Path, frames: Frames, progress: Callable[[int, int], None]
) -> tuple[dict[bytes, dict[bytes, bytes]], list[Skipped]]:
    """{class: {digest: path}}, and what could not be read."""
    root = os.path.abspath(os.fsencode(folder))
    if root_state(root) != "ok" or not os.path.isdir(root):
        raise RootMissing(f"{folder} is no folder with pictures in it; give one with a subfolder a class.")
    found: dict[bytes, dict[bytes, bytes]] = {}
    skipped: list[Skipped] = []
    names: list[tuple[bytes, bytes]] = []
    for item in scan(root):
        if isinstance(item, ScannedFile):
            name, slash, _ = item.relpath.partition(b"/")
            if slash:
                names.append((name, join(root, item.relpath)))
        else:
            skipped.append(Skipped(text(join(root, item.relpath)), item.reason, True))
    for done, ((name, path), outcome) in enumerate(_outcomes(names, frames), start=1):
        if isinstance(outcome, Decoded):
            found.setdefault(name, {}).setdefault(outcome.digest, path)
        elif isinstance(outcome, Unreadable):
            skipped.append(Skipped(text(path), outcome.reason, outcome.transient))
        progress(done, len(names))
    return found, skipped


def _outcomes(
    names: Sequence[tuple[bytes, bytes]], frames: Frames
) -> Iterator[tuple[tuple[bytes, bytes], object]]:
    yield from zip(names, frames.survey([path for _, path in names]), strict=True)


def _split(digests: Sequence[bytes], seed: int) -> tuple[Sequence[bytes], Sequence[bytes], Sequence[bytes]]:
    """Training, validation and held-out ones of a class."""
    drawn = sorted(digests, key=lambda digest: hashlib.sha256(b"%d " % seed + digest).digest())
    apart = max(2, round(SHARE * len(drawn)))
    end = 2 * apart if len(drawn) >= BOTH else apart
    return drawn[end:], drawn[apart:end], drawn[:apart]


def _too_few(folder: Path, found: dict[bytes, dict[bytes, bytes]], skipped: Sequence[Skipped]) -> str:
    counts = ", ".join(f"{text(name)}: {len(digests)}" for name, digests in sorted(found.items())[:10])
    reasons = "".join(f" {item.path} was skipped: {item.reason}." for item in skipped[:10])
    files = (item for item in scan(os.path.abspath(os.fsencode(folder))) if isinstance(item, ScannedFile))
    loose = sum(b"/" not in item.relpath for item in files)
    directly = f" Of no class, since directly in it: {loose} files." if loose else ""
    return (
        f"{folder} has no two subfolders with {LEAST} readable pictures each, which are its classes "
        f"({counts or 'there is none with a picture'}). Links to folders are not followed.{directly}{reasons}"
    )
