"""What people said about copies, by content, so that nothing is asked twice."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from typing import Self

from simsearch.errors import SimsearchError
from simsearch.paths import existing_index
from simsearch.storage.answers import DIFFERENT, KEEP_ALL, Answers, Decision, Label

Digests = Iterable[bytes]


class Verdicts:
    """The verdicts of one index.

    They are on contents by SHA-256 (32 bytes) and not on files, so that moving, renaming, indexing again,
    rebuilding and compacting leave them in force. Every method that takes digests takes one for each file,
    so that a content with two files is given twice.

    What another process writes is seen after `refresh`.
    """

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self.refresh()

    @classmethod
    def open(cls, folder: str | os.PathLike[str] | None = None) -> Self:
        """The verdicts of an index, by its name or folder; none yet is fine.

        Raises IndexMissing, IndexDamaged (the file cannot be read at all; single damaged verdicts are left
        out, and `simsearch verify` tells of them), FormatUnknown.
        """
        return cls(Answers(existing_index(folder)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._answers.close()

    def refresh(self) -> None:
        """Read all verdicts again."""
        self._all = tuple(self._answers.decisions())
        self._told_apart: dict[bytes, set[int]] = {}
        self._kept: dict[bytes, list[Decision]] = {}
        for decision in self._all:
            for sha in decision.contents:
                if decision.kind == DIFFERENT:
                    self._told_apart.setdefault(sha, set()).add(decision.id)
                else:
                    self._kept.setdefault(sha, []).append(decision)

    def all(self) -> tuple[Decision, ...]:
        """All verdicts, the oldest first."""
        return self._all

    def different(self, shas: Digests) -> None:
        """Say that no two of these contents are copies of each other.

        Raises SimsearchError where they are not two contents at least, IndexUnwritable.
        """
        contents = Counter(shas)
        if len(contents) < 2:
            raise SimsearchError(
                "Files with the same bytes cannot be called different. "
                "Name files of two contents, or keep all of them: simsearch verdicts keep-all"
            )
        self._answers.put_decision(DIFFERENT, contents)
        self.refresh()

    def keep_all(self, shas: Digests) -> None:
        """Say that all these files stay, though they are copies.

        Raises SimsearchError where they are not two files at least, IndexUnwritable.
        """
        contents = Counter(shas)
        if contents.total() < 2:
            raise SimsearchError("Name two files or more that are copies of each other and all stay.")
        self._answers.put_decision(KEEP_ALL, contents)
        self.refresh()

    def forget(self, shas: Digests) -> int:
        """Take back every verdict and label that any of these contents is part of; how many there were."""
        forgotten = self._answers.forget(shas)
        self.refresh()
        return forgotten

    def silences(self, group_shas: Digests) -> bool:
        """Whether a group needs no question: one verdict "keep all" was on all of its files.

        A content that was no part of it, or more files of one than there were, is a new copy, for which the
        group is shown again until a new verdict covers it.
        """
        files = Counter(group_shas)
        first = next(iter(files), None)
        decisions = self._kept.get(first, []) if first is not None else []
        return any(
            all(count <= decision.contents.get(sha, 0) for sha, count in files.items())
            for decision in decisions
        )

    def parts(self, sha_a: bytes, sha_b: bytes) -> bool:
        """Whether two contents were said to be different."""
        if sha_a == sha_b or not self._told_apart:
            return False
        one, other = self._told_apart.get(sha_a), self._told_apart.get(sha_b)
        return one is not None and other is not None and not one.isdisjoint(other)

    def put_label(self, sha_a: bytes, sha_b: bytes, same: bool) -> None:
        """Keep a person's answer whether two contents are copies, in place of an earlier one.

        Raises SimsearchError where they are one content, IndexUnwritable.
        """
        if sha_a == sha_b:
            raise SimsearchError("Files with the same bytes are copies, and need no label.")
        self._answers.put_label(sha_a, sha_b, same)

    def drop_label(self, sha_a: bytes, sha_b: bytes) -> None:
        """Take back what a person answered about two contents. Raises IndexUnwritable."""
        self._answers.drop_label(sha_a, sha_b)

    def labels(self) -> tuple[Label, ...]:
        """All labels, the oldest first."""
        return tuple(self._answers.labels())
