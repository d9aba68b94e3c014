"""Frozen records of acts on files: the plan, one step of it, and what came of it."""

from __future__ import annotations

import re
from dataclasses import dataclass

ACTIONS = ("set-aside", "move", "hardlink", "symlink")
LINKS = ("hardlink", "symlink")

VERSION = 1
RUN = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{6}")


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """What is to be done with copies.

    Attributes:
        action: one of `ACTIONS`.
        to: the folder that "move" moves to.
        merge_metadata: whether the keeper's sidecar gets what only the copies tell.
        reference: folders in which nothing is ever touched.
        stay: pictures that do not go with the other half of their shot either, by path.
    """

    action: str
    to: str | None = None
    merge_metadata: bool = False
    reference: tuple[str, ...] = ()
    stay: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class FileFacts:
    """A file as it was when the plan was made: absolute path, stat (bytes, ns since 1970), hex SHA-256."""

    path: str
    size: int
    mtime_ns: int
    inode: int
    device: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Companion:
    """A file that goes with a picture: where to, and the file that stays in its stead.

    `keeper` is None for a sidecar, which stands and falls with its picture.
    """

    facts: FileFacts
    target: str
    keeper: FileFacts | None


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A copy that goes.

    Attributes:
        facts: the copy.
        level: how sure it is that it is one, see `simsearch.dedup.records.LEVELS`.
        target: where it goes; for a link, where the original goes.
        keeper: what stays in its stead.
        companions: what goes with it; all of them go, or none and the copy neither.
    """

    facts: FileFacts
    level: str
    target: str
    keeper: FileFacts
    companions: tuple[Companion, ...]


@dataclass(frozen=True, slots=True)
class Left:
    """A file that is left where it is, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class PlannedMerge:
    """What the keeper's sidecar becomes before the copies go.

    Attributes:
        sidecar: its path.
        xmp: its new bytes.
        lines: what changes, in words.
        before: the sidecar as it is, or None where there is none.
        target: where the earlier one goes.
    """

    sidecar: str
    xmp: bytes
    lines: tuple[str, ...]
    before: FileFacts | None
    target: str


@dataclass(frozen=True, slots=True)
class PlannedGroup:
    """One group of copies: path of the keeper and why it is kept, what goes, what is left."""

    keep: str
    why: str
    level: str
    files: tuple[PlannedFile, ...]
    left: tuple[Left, ...]
    merge: PlannedMerge | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be done; nothing has been.

    Attributes:
        version: of this record.
        run: the name of the run, "YYYYMMDD-HHMMSS-xxxxxx" in UTC.
        index: folder of the index.
        action, to: see `PlanOptions`.
        groups: by path of the keeper.
    """

    version: int
    run: str
    index: str
    action: str
    to: str | None
    groups: tuple[PlannedGroup, ...]

    @property
    def files(self) -> int:
        """How many copies go."""
        return sum(len(group.files) for group in self.groups)

    @property
    def bytes(self) -> int:
        """The bytes of the copies and of what goes with them."""
        return sum(
            file.facts.size + sum(companion.facts.size for companion in file.companions)
            for group in self.groups
            for file in group.files
        )


@dataclass(frozen=True, slots=True)
class Step:
    """One step of an act, as the journal has it; whatever it did can be taken back from this alone.

    Attributes:
        number: from 1 on.
        what: "rename" or "carry" (copy, compare, delete) from `source` to `target`; "hardlink" or "symlink":
            the file goes to `target` and a link takes its place; "merge": the sidecar `source` goes to
            `target` and a new one takes its place.
        source, target: absolute paths.
        facts: the file at `source` before; None where a merge finds no sidecar.
        keeper: what stays in its stead.
        picture: whether it is a picture of the plan, and not what goes with one.
        text: what a symlink says, or the SHA-256 of the new sidecar.
    """

    number: int
    what: str
    source: str
    target: str
    facts: FileFacts | None
    keeper: FileFacts
    picture: bool
    text: str | None


@dataclass(frozen=True, slots=True)
class ActReport:
    """What an apply, undo or purge did.

    Attributes:
        run, action: of the plan.
        state: of the run now, see `Run`.
        files: pictures that went, came back or were purged, those of an earlier try too.
        companions: files beside them.
        bytes: of both.
        left: what was left, and why.
        trash: the folders that hold what was set aside.
    """

    run: str
    action: str
    state: str
    files: int
    companions: int
    bytes: int
    left: tuple[Left, ...]
    trash: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Run:
    """One run of an index.

    Attributes:
        run: its name.
        when: "YYYY-MM-DDTHH:MM:SSZ", when its plan was made.
        action: one of `ACTIONS`, or "" where its plan cannot be read.
        files, bytes: what is set aside, moved or linked now; of a planned one what would be.
        state: "planned", "partly" (applying, undoing or purging was interrupted, or something was left by
            the latter two), "applied", "undone", "purged", or "damaged" where its records cannot be read.
    """

    run: str
    when: str
    action: str
    files: int
    bytes: int
    state: str
