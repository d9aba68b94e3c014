"""A picture's files that may stand in one group, and which of two pictures may follow the other."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from simsearch.dedup.grouping.criteria import RAW
from simsearch.dedup.grouping.keeper import Order, Rank
from simsearch.dedup.grouping.scope import Scope, folder_of
from simsearch.dedup.records import Picture

DEVELOPED = ("JPEG", "MPO", "HEIF")
"""What a camera writes beside a RAW file, by Pillow's names."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A picture's files that may be in one group, the best one first; `rank` is that one's."""

    picture: Picture
    files: tuple[str, ...]
    rank: Rank


def pieces(pictures: Iterable[Picture], order: Order, scope: Scope) -> list[Piece]:
    """The pictures with their files in keeper order; by folder where only those of one folder count."""
    found = []
    for picture in scope.narrow(pictures):
        there = [path for path in picture.paths if order.is_there(picture, path)]
        folders: dict[bytes, list[str]] = {}
        for path in there:
            folders.setdefault(folder_of(path) if scope.folders == "same" else b"", []).append(path)
        for paths in folders.values():
            ranks = sorted(order.key(picture, path) for path in paths)
            found.append(Piece(picture, tuple(rank.candidate.path for rank in ranks), ranks[0]))
    return found


class Rules:
    """Which pictures and files may follow a keeper, whatever they look like.

    Args:
        order: knows the folders that are never touched.
        scope: which pairs of files count.
        different: whether a person has said that two contents, by SHA-256, are no duplicates.
    """

    def __init__(self, order: Order, scope: Scope, different: Callable[[bytes, bytes], bool] | None) -> None:
        self._order = order
        self._scope = scope
        self._different = different

    def comparable(self, one: Picture, other: Picture) -> bool:
        """Whether two pictures may be called copies: no RAW file and its own JPEG, none told apart."""
        if one is other or is_one_shot(one, other):
            return False
        return self._different is None or not self._different(one.sha256, other.sha256)

    def followers(self, keeper: Piece, files: Iterable[str]) -> tuple[str, ...]:
        """Those of `files` that the scope allows with the keeper's best one, and that may be touched."""
        first = keeper.files[0]
        allowed = (path for path in files if path != first and self._scope.allowed(first, path))
        return tuple(path for path in allowed if not self._order.is_reference(path))

    def may_follow(self, keeper: Piece, other: Piece) -> bool:
        """Whether any file of `other` may be in the group of `keeper`."""
        return self.comparable(keeper.picture, other.picture) and bool(self.followers(keeper, other.files))


def is_one_shot(one: Picture, other: Picture) -> bool:
    """Whether two pictures are a RAW file and the JPEG or HEIC that the camera wrote with it.

    Told by the name: the same up to the last dot, whatever the case, in the same folder.
    """
    raw, developed = (one, other) if one.format == RAW else (other, one)
    if raw.format != RAW or developed.format not in DEVELOPED:
        return False
    return not _stems(raw).isdisjoint(_stems(developed))


def _stems(picture: Picture) -> set[tuple[bytes, str]]:
    names = ((folder_of(path), os.path.basename(path)) for path in picture.paths)
    return {(folder, os.path.splitext(name)[0].casefold()) for folder, name in names}
