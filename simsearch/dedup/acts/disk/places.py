"""Where a file may be and where it goes: roots, the disks inside them, trash folders and free names."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Collection, Sequence

from simsearch.paths import canonical, join, relative, text

TRASH = b".simsearch-trash"
_NUMBER = re.compile(rb" \(([1-9][0-9]{0,8})\)")
NOTES = b"simsearch-undo.jsonl"
"""In a run's folder of a trash: what is needed to take back what lies there."""


class Places:
    """The roots of an index and what a run makes of them.

    `to` is the folder that is moved to, or None where files are set aside.
    """

    def __init__(self, roots: Sequence[bytes], run: str, to: bytes | None) -> None:
        self.roots, self.run, self.to = tuple(roots), run, to
        self._homes: dict[tuple[bytes, bytes], bytes] = {}

    def root_of(self, path: bytes) -> bytes | None:
        """The root that holds a file, the innermost; None where none does."""
        found = [root for root in self.roots if relative(path, root) is not None]
        return max(found, key=len) if found else None

    def folder_of(self, path: bytes) -> bytes:
        """The root that holds a file, or where the file is a root itself the folder that it is in.

        Raises ValueError for a file outside of all roots.
        """
        root = self.root_of(path)
        if root is None:
            raise ValueError("it is not below a folder of the index")
        return root if root != path else os.path.dirname(path)

    def home_of(self, path: bytes) -> bytes:
        """The topmost folder above a file, inside its root, from which a rename still reaches it.

        Raises ValueError for a file outside of all roots.
        """
        top = self.folder_of(path)
        folder = os.path.dirname(path)
        key = (folder, top)
        if key not in self._homes:
            self._homes[key] = _topmost(folder, top)
        return self._homes[key]

    def aside_of(self, path: bytes) -> bytes:
        """Where a file goes that is set aside."""
        home = self.home_of(path)
        return join(trash_of(home, self.run), relative(path, home) or b"")

    def target_of(self, path: bytes) -> bytes:
        """Where a file goes: below `to` by its path below the root, else aside."""
        root = self.root_of(path)
        if self.to is None or root is None:
            return self.aside_of(path)
        return join(self.to, relative(path, root) or os.path.basename(path))

    def link_text(self, path: bytes, keeper: bytes) -> str:
        """What a symlink at `path` says: within one root, which may be moved as a whole, a relative path."""
        if self.root_of(keeper) != self.root_of(path):
            return text(keeper)
        return text(os.path.relpath(keeper, os.path.dirname(path)))

    def trash_for(self, target: bytes) -> bytes | None:
        """The run's folder whose notes tell of `target`; None for a place where this run has no business."""
        if self.to is not None and relative(target, self.to):
            return trash_of(self.to, self.run)
        home, found, _ = target.partition(b"/" + TRASH + b"/" + self.run.encode() + b"/")
        return trash_of(home or b"/", self.run) if found else None

    def objection(self, source: bytes, target: bytes, *, aside: bool) -> str | None:
        """Why nothing may be brought from `source` to `target`; None where it may."""
        if self.root_of(source) is None:
            return "it is not below a folder of the index"
        if TRASH in source.split(b"/"):
            return "it lies in a trash folder"
        if os.path.lexists(os.path.dirname(source)) and _is_bent(source):
            return "a folder on its way has become a link"
        into_trash = aside or self.to is None
        allowed = trash_of(self.home_of(source), self.run) if into_trash else self.to or b""
        if not relative(target, allowed) or relative(target, allowed) == NOTES:
            return "it would go to a place that is not of this run"
        if _is_bent(target):
            return "it would go through a link"
        return None


def trash_of(home: bytes, run: str) -> bytes:
    """A run's folder in the trash of `home`."""
    return join(home, TRASH + b"/" + run.encode())


def free_names(targets: Sequence[bytes], taken: Collection[bytes]) -> list[bytes]:
    """The targets of what belongs together, all with the same " (2)" behind the stem where one is taken."""
    stem = min((_stem(os.path.basename(target)) for target in targets), key=len)
    number, names = 1, list(targets)
    while any(name in taken or os.path.lexists(name) for name in names):
        number += 1
        names = [_numbered(target, len(stem), number) for target in targets]
    return names


def are_named(names: Sequence[bytes], targets: Sequence[bytes]) -> bool:
    """Whether these are names that `free_names` may give to `targets`."""
    length = min(len(_stem(os.path.basename(target))) for target in targets)
    found = _NUMBER.match(os.path.basename(names[0])[length:])
    numbered = [] if found is None else [_numbered(target, length, int(found[1])) for target in targets]
    return list(names) in (list(targets), numbered)


def _numbered(target: bytes, length: int, number: int) -> bytes:
    folder, name = os.path.split(target)
    return join(folder, name[:length] + b" (%d)" % number + name[length:])


def _stem(name: bytes) -> bytes:
    return os.path.splitext(name)[0]


def _is_bent(path: bytes) -> bool:
    """Whether a folder on the way to `path` is a link; those that are not there yet are none."""
    folder = os.path.dirname(path)
    return canonical(folder) != folder


def _topmost(folder: bytes, top: bytes) -> bytes:
    home, here = folder, _mount(folder)
    while home != top:
        above = os.path.dirname(home)
        found = _mount(above)
        # A folder that has gone since tells nothing of its disk.
        if here is not None and found != here:
            return home
        home, here = above, found
    return home


def _mount(folder: bytes) -> tuple[int, int] | None:
    """The device and mount of a folder: a bind mount is of the same device, and no rename leads out of it.

    See mnt_id in https://man7.org/linux/man-pages/man5/proc_pid_fdinfo.5.html
    """
    try:
        device = os.stat(folder).st_dev
    except OSError:
        return None
    return device, _mount_id(folder)


def _mount_id(folder: bytes) -> int:
    if sys.platform != "linux":
        return 0
    try:
        fd = os.open(folder, os.O_PATH)
        try:
            with open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as file:
                lines = [line.split() for line in file]
        finally:
            os.close(fd)
    except OSError:
        return 0
    return next((int(line[1]) for line in lines if line[:1] == ["mnt_id:"]), 0)
