"""The journal of a run: lines that are on the disk before and after each step, each with its CRC-32.

A line is `{"crc32": "xxxxxxxx", "line": {...}}`, the checksum being that of the line's JSON with sorted keys
and no spaces. The run's folder in a trash has a copy of the lines about what lies there.
"""

from __future__ import annotations

import contextlib
import json
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from simsearch.dedup.acts.disk.places import NOTES, TRASH
from simsearch.dedup.acts.reading import check_path, decode, encode, parse
from simsearch.dedup.acts.records import ACTIONS, RUN, Step
from simsearch.errors import PlanUnreadable
from simsearch.paths import relative
from simsearch.storage.disk.durable import BINARY, sync_names

MARKS = ("done", "undo", "undone", "purge", "purged")
PHASES = ("applied", "undoing", "undone", "purging", "purged")
_APPEND = os.O_RDWR | os.O_CREAT | os.O_APPEND | BINARY | getattr(os, "O_NOFOLLOW", 0)


@dataclass(slots=True)
class History:
    """What a journal tells.

    Attributes:
        run, action: of the plan, "" before the first line.
        index: the folder of the index that the run is of, or None.
        home: the folder whose trash this is the copy of, or None.
        steps: all steps, by number.
        states: of each step "intent" or the last of `MARKS`.
        done: the numbers of the steps that were done, whatever came later.
        folders: that were made, in order.
        trash: the run's folders in trashes.
        phase: "" while it is applied, else the last of `PHASES`.
        end: the length of all whole lines in bytes.
        begun: the newest step that is begun or done, by its source and whether it is a merge.
    """

    run: str = ""
    action: str = ""
    index: str | None = None
    home: str | None = None
    steps: dict[int, Step] = field(default_factory=dict)
    states: dict[int, str] = field(default_factory=dict)
    done: set[int] = field(default_factory=set)
    folders: list[str] = field(default_factory=list)
    trash: list[str] = field(default_factory=list)
    phase: str = ""
    end: int = 0
    begun: dict[tuple[str, bool], int] = field(default_factory=dict)

    @property
    def state(self) -> str:
        """The state of the run, see `Run`."""
        if not self.run:
            return "planned"
        return self.phase if self.phase in ("applied", "undone", "purged") else "partly"

    def in_state(self, *states: str) -> Iterator[Step]:
        """The steps in these states, by number."""
        return (self.steps[number] for number in sorted(self.steps) if self.states[number] in states)

    def rebased(self, home: str) -> History:
        """The same, where `home` has come to lie at another place."""
        if self.home is None or self.home == home:
            return self
        old = self.home

        def moved(path: str) -> str:
            below = relative(os.fsencode(path), os.fsencode(old))
            return path if below is None else os.path.join(home, os.fsdecode(below))

        steps = {
            number: replace(
                step,
                source=moved(step.source),
                target=moved(step.target),
                facts=step.facts and replace(step.facts, path=moved(step.facts.path)),
                keeper=replace(step.keeper, path=moved(step.keeper.path)),
            )
            for number, step in self.steps.items()
        }
        folders = [moved(folder) for folder in self.folders]
        return replace(self, home=home, steps=steps, folders=folders, trash=[moved(t) for t in self.trash])


def read_history(path: bytes) -> History:
    """What the journal at `path` tells; nothing where there is none. A cut last line is passed over.

    Raises PlanUnreadable for any other damage.
    """
    history = History()
    try:
        with open(path, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        return history
    except OSError as exc:
        raise _unreadable(path, exc.strerror or str(exc)) from exc
    lines = data.split(b"\n")
    for number, line in enumerate(lines[:-1], 1):
        try:
            _take(history, _checked(line))
        except ValueError as exc:
            if number == len(lines) - 1 and not lines[-1]:
                # Cut, and the rest of its block is not of it.
                break
            raise _unreadable(path, f"line {number}: {exc}") from exc
        history.end += len(line) + 1
    return history


class Journal:
    """Writes a journal and the copies in the trashes; each line is on the disk when `write` returns.

    `lenient` leaves out what the disk refuses to take: for taking back, where the files themselves tell.
    """

    def __init__(self, path: bytes, *, lenient: bool = False) -> None:
        self.history = read_history(path)
        self._path, self._lenient = path, lenient
        self._fds: dict[bytes, int] = {}

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *exc: object) -> None:
        for fd in self._fds.values():
            os.close(fd)
        self._fds.clear()

    def begin(self, run: str, action: str, index: str) -> None:
        """The first line; only once."""
        if not self.history.run:
            self.write({"kind": "begin", "run": run, "action": action, "index": index, "home": None})

    def enter_trash(self, folder: bytes) -> None:
        """Begin the copy in a run's folder of a trash, which is there; after this `write` knows it."""
        if os.fsdecode(folder) not in self.history.trash:
            self.write({"kind": "trash", "path": os.fsdecode(folder)})
        notes = os.path.join(folder, NOTES)
        if notes not in self._fds:
            known = read_history(notes)
            self._open(notes, known.end)
            if not known.run:
                home = os.fsdecode(os.path.dirname(os.path.dirname(folder)))
                run = {"run": self.history.run, "action": self.history.action, "index": self.history.index}
                self._append(notes, {"kind": "begin", **run, "home": home})

    def write(self, line: dict[str, Any], trash: bytes | None = None) -> None:
        """Append a line, to the copy in a run's folder of a trash as well. Raises OSError unless lenient."""
        _take(self.history, line)
        with contextlib.suppress(*([OSError] if self._lenient else [])):
            if self._path not in self._fds:
                self._open(self._path, self.history.end)
            self._append(self._path, line)
            if trash is not None and os.path.join(trash, NOTES) in self._fds:
                self._append(os.path.join(trash, NOTES), line)

    def intend(self, step: Step, trash: bytes | None = None) -> None:
        """The line before a step."""
        self.write({"kind": "intent", "step": encode(step)}, trash)

    def mark(self, what: str, number: int, trash: bytes | None = None) -> None:
        """A line of `MARKS` about a step."""
        self.write({"kind": what, "number": number}, trash)

    def enter_phase(self, phase: str) -> None:
        """A line of `PHASES`; not twice the same."""
        if self.history.phase != phase:
            self.write({"kind": "phase", "phase": phase})

    def _open(self, path: bytes, end: int) -> None:
        fresh = not os.path.lexists(path)
        fd = self._fds[path] = os.open(path, _APPEND, 0o644)
        if os.fstat(fd).st_size > end:
            os.ftruncate(fd, end)
        if fresh:
            sync_names(os.path.dirname(path))

    def _append(self, path: bytes, line: dict[str, Any]) -> None:
        fd, data = self._fds[path], as_line(line)
        start = os.fstat(fd).st_size
        try:
            done = 0
            while done < len(data):
                done += os.write(fd, data[done:])
            os.fsync(fd)
        except OSError:
            # Half a line before a whole one would be damage.
            with contextlib.suppress(OSError):
                os.ftruncate(fd, start)
            raise


def as_line(line: dict[str, Any]) -> bytes:
    """A line of a journal with its checksum."""
    return (json.dumps({"crc32": _crc(line), "line": line}) + "\n").encode("ascii")


def trash_above(folder: bytes) -> bytes | None:
    """The folder in whose trash a run's folder lies, or None where it is none."""
    above, run = os.path.split(folder)
    home, name = os.path.split(above)
    return home if name == TRASH and RUN.fullmatch(os.fsdecode(run)) else None


def _crc(line: Any) -> str:
    return f"{zlib.crc32(json.dumps(line, sort_keys=True, separators=(',', ':')).encode('ascii')):08x}"


def _checked(text: bytes) -> dict[str, Any]:
    found = parse(text)
    if (
        not isinstance(found, dict)
        or found.keys() != {"crc32", "line"}
        or not isinstance(found["line"], dict)
    ):
        raise ValueError("it is no line of a journal")
    if _crc(found["line"]) != found["crc32"]:
        raise ValueError("its checksum does not hold")
    return found["line"]


def _take(history: History, line: dict[str, Any]) -> None:
    """Add what a line tells. Raises ValueError."""
    kind = line.get("kind")
    if kind == "begin":
        history.run, history.action = _text(line, "run"), _text(line, "action")
        history.index, history.home = _place(line, "index"), _place(line, "home")
        if not RUN.fullmatch(history.run) or history.action not in ACTIONS:
            raise ValueError("it begins no run")
    elif kind == "intent":
        step = decode(Step, line.get("step"))
        history.steps[step.number], history.states[step.number] = step, "intent"
        history.begun[step.source, step.what == "merge"] = step.number
    elif kind in MARKS:
        number = line.get("number")
        if type(number) is not int or number not in history.steps:
            raise ValueError("it is about a step that was not begun")
        history.states[number] = str(kind)
        if kind == "done":
            history.done.add(number)
        elif kind == "undone":
            step = history.steps[number]
            history.begun.pop((step.source, step.what == "merge"), None)
    elif kind in ("folder", "trash"):
        path = _text(line, "path")
        check_path("path", path)
        (history.folders if kind == "folder" else history.trash).append(path)
    elif kind == "phase" and line.get("phase") in PHASES:
        history.phase = line["phase"]
    else:
        raise ValueError("it is of no kind that is known")


def _text(line: dict[str, Any], name: str) -> str:
    value = line.get(name)
    if not isinstance(value, str):
        raise ValueError(f"{name} is no text")
    return value


def _place(line: dict[str, Any], name: str) -> str | None:
    """A folder, which may be the top of a disk."""
    if line.get(name) is None:
        return None
    value = _text(line, name)
    check_path(name, value if os.path.dirname(value) != value else value + "x")
    return value


def _unreadable(path: bytes, why: str) -> PlanUnreadable:
    return PlanUnreadable(
        f"The journal {os.fsdecode(path)} cannot be read: {why}. Nothing was touched; the files are where "
        "the run left them, and each trash folder has a journal of its own: simsearch undo FOLDER"
    )
