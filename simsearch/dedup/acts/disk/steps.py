"""The steps of an act on the disk, each done, gone on with after a crash, and taken back from its record."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat as modes
import sys

from simsearch.dedup.acts.disk.facts import (
    CHANGED,
    OTHER_DISK,
    TOO_LONG,
    digest_of,
    identity,
    is_at,
    is_regular,
    objection,
)
from simsearch.dedup.acts.disk.renaming import make_folder, missing_folders, remove_name, rename_new
from simsearch.dedup.acts.records import LINKS, Step
from simsearch.storage.disk.durable import BINARY, write_at

MISSING = "it is neither where it went nor where it was"
NO_LINKS = "no such link can be made here"
_NO_LINKS = (errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS)


def perform(step: Step, run: str, data: bytes = b"") -> None:
    """Do a step; what an interrupted try has done of it is not done again.

    Args:
        data: the new sidecar of a "merge".

    Raises FileExistsError where a name is taken that has to be free, and any other OSError. After each of
    them the file lies whole at its source or its target.
    """
    part = _part(step, run, step.target if step.what == "carry" else step.source)
    if step.what == "rename":
        if not _is_at_target(step):
            rename_new(_raw(step.source), _raw(step.target))
    elif step.what == "carry":
        _carry(step, part)
    elif step.what == "merge":
        _merge(step, part, data)
    else:
        _link(step, part)


def refusal(step: Step, exc: OSError) -> str | None:
    """Why a disk will never do a step, so that its file is left; None for what can be mended."""
    if exc.errno == errno.EEXIST:
        return f"there is another file already at {step.target}"
    if exc.errno == errno.EXDEV:
        return OTHER_DISK
    if exc.errno == errno.ENAMETOOLONG:
        return TOO_LONG
    return f"{NO_LINKS}: {exc.strerror}" if step.what in LINKS and exc.errno in _NO_LINKS else None


def restore(step: Step, run: str, *, sure: bool) -> str | None:
    """Take a step back; why it was left, or None when all is as it was before.

    Args:
        sure: that the step was done. Of one that was only begun, nothing is touched but what is its own.

    Nothing that lies at the old place now is replaced. Raises OSError.
    """
    _remove_part(_part(step, run, step.target if step.what == "carry" else step.source), step)
    if step.what == "merge" and step.facts is None:
        return _unwrite(step)
    if not os.path.lexists(step.target):
        return None if os.path.lexists(step.source) else MISSING
    if not (sure or _is_at_target(step)):
        return None
    if os.path.lexists(step.source) and not _make_way(step):
        return f"something else is at its old place now; it stays at {step.target}"
    for folder in missing_folders(os.path.dirname(_raw(step.source))):
        make_folder(folder)
    if not os.path.lexists(step.target):
        return None
    if step.what == "carry":
        back = _part(step, run, step.source)
        _copy(_raw(step.target), back, digest_of(step.target))
        rename_new(back, _raw(step.source))
        remove_name(_raw(step.target))
    else:
        rename_new(_raw(step.target), _raw(step.source))
    return None


def _make_way(step: Step) -> bool:
    """Remove what this step itself left at the old place; whether that place is free or has the file."""
    source, target = _raw(step.source), _raw(step.target)
    if step.what == "merge":
        ours = digest_of(source) == step.text
    elif step.what == "carry":
        # A copy stands at both ends; the one at the old place stays.
        return _is_doubled(source, target) and _without(target)
    elif step.what == "rename":
        return _is_second_name(target, step.source) and _without(target)
    else:
        ours = _is_link(source, step) or (
            not os.path.islink(source) and digest_of(source) == step.keeper.sha256 == digest_of(target)
        )
    if ours:
        remove_name(source)
    return ours


def _unwrite(step: Step) -> str | None:
    """Remove a sidecar that was made where none had been."""
    if not os.path.lexists(step.source):
        return None
    if digest_of(step.source) != step.text:
        return "the sidecar has been changed since, so it stays"
    remove_name(_raw(step.source))
    return None


def _carry(step: Step, part: bytes) -> None:
    source, target = _raw(step.source), _raw(step.target)
    if not _is_at_target(step):
        _copy(source, part, step.facts.sha256 if step.facts else None)
        rename_new(part, target)
    if os.path.lexists(source):
        if step.facts is None or objection(step.facts) is not None:
            raise OSError(errno.EBUSY, CHANGED, step.source)
        remove_name(source)


def _link(step: Step, part: bytes) -> None:
    source = _raw(step.source)
    if _is_link(source, step):
        return
    _remove_part(part, step)
    if step.what == "hardlink":
        os.link(os.path.realpath(step.keeper.path), part)
    else:
        os.symlink(_raw(step.text or step.keeper.path), part)
    try:
        if not _is_at_target(step):
            rename_new(source, _raw(step.target))
        rename_new(part, source)
    except OSError:
        with contextlib.suppress(OSError):
            _remove_part(part, step)
        raise


def _merge(step: Step, part: bytes, data: bytes) -> None:
    source = _raw(step.source)
    if digest_of(source) == step.text:
        return
    _remove_part(part, step)
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | BINARY, 0o644)
    try:
        write_at(fd, data, 0)
        os.fsync(fd)
        if step.facts is not None and os.path.lexists(source):
            os.chmod(part, modes.S_IMODE(os.stat(source).st_mode))
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(part)
        raise
    finally:
        os.close(fd)
    if step.facts is not None and not _is_at_target(step):
        rename_new(source, _raw(step.target))
    rename_new(part, source)


def _copy(source: bytes, part: bytes, digest: str | None) -> None:
    """Copy bytes, times, permissions and extended attributes, and read the copy back from the disk."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(part)
    try:
        shutil.copyfile(source, part, follow_symlinks=False)
        shutil.copystat(source, part, follow_symlinks=False)
        if sys.platform != "win32":
            # Only root may give files to others.
            with contextlib.suppress(PermissionError):
                os.chown(part, os.stat(source).st_uid, os.stat(source).st_gid)
        fd = os.open(part, os.O_RDONLY | BINARY)
        try:
            os.fsync(fd)
            if sys.platform == "linux":
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(fd)
        if digest is None or digest_of(part) != digest:
            raise OSError(errno.EIO, "the copy is not what was read", os.fsdecode(source))
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(part)
        raise


def _is_link(path: bytes, step: Step) -> bool:
    """Whether the link of this step is at `path`, and removing it takes nothing but a name."""
    if step.what == "symlink":
        return os.path.islink(path) and os.readlink(path) == _raw(step.text or "")
    kept = os.path.realpath(step.keeper.path)
    return path != _raw(kept) and _is_second_name(path, kept)


def _is_second_name(path: bytes, other: str) -> bool:
    """Whether a file has both names; of one name that two mounts show there is no second one to remove."""
    try:
        found, there = os.lstat(path), os.lstat(other)
    except OSError:
        return False
    return os.path.samestat(found, there) and modes.S_ISREG(found.st_mode) and found.st_nlink > 1


def _is_doubled(source: bytes, target: bytes) -> bool:
    """Whether two files, neither of them a link, have the same bytes."""
    two = is_regular(source) and is_regular(target) and identity(source) != identity(target)
    return two and digest_of(source) is not None and digest_of(source) == digest_of(target)


def _without(path: bytes) -> bool:
    remove_name(path)
    return True


def _remove_part(part: bytes, step: Step) -> None:
    """Remove what an interrupted try left under its temporary name."""
    if os.path.lexists(part) and (step.what not in LINKS or os.path.islink(part) or _is_link(part, step)):
        remove_name(part)


def _is_at_target(step: Step) -> bool:
    return step.facts is not None and is_at(step.target, step.facts)


def _part(step: Step, run: str, beside: str) -> bytes:
    return os.path.join(os.path.dirname(_raw(beside)), b".simsearch-%s-%d.part" % (run.encode(), step.number))


def _raw(path: str) -> bytes:
    return os.fsencode(path)
