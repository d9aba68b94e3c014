"""Plans and steps as JSON, written in one way and read back strictly: each field, each type, each path."""

from __future__ import annotations

import base64
import dataclasses
import json
import os
import re
import types
import typing
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from simsearch.dedup.acts.disk.renaming import write_whole
from simsearch.dedup.acts.records import ACTIONS, LINKS, RUN, VERSION, Plan, Step
from simsearch.dedup.records import LEVELS
from simsearch.errors import ActStopped, PlanUnreadable

T = TypeVar("T")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_PATHS = frozenset(("path", "target", "source", "sidecar", "keep", "index", "to"))
_STEPS = ("rename", "carry", "merge", *LINKS)
_LARGEST = 1 << 64


def encode(record: Any) -> Any:
    """A record as what JSON knows: a frozen dataclass becomes an object, bytes become base64."""
    if dataclasses.is_dataclass(record):
        return {field.name: encode(getattr(record, field.name)) for field in dataclasses.fields(record)}
    if isinstance(record, tuple):
        return [encode(item) for item in record]
    return base64.b64encode(record).decode() if isinstance(record, bytes) else record


def decode(kind: type[T], value: Any) -> T:
    """The record of `kind` that `encode` made `value` of.

    Raises ValueError where a field is missing, strange, of another type, or cannot be what it claims.
    """
    return typing.cast(T, _decoded(kind, value, "it"))


def parse(text: str | bytes) -> Any:
    """JSON without doubled names. Raises ValueError, also for what is nested too deeply."""
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
    except RecursionError as exc:
        raise ValueError("it is nested too deeply") from exc


def plan_text(plan: Plan) -> str:
    """The JSON of a plan, ASCII, with a line's end."""
    return json.dumps(encode(plan), indent=1) + "\n"


def write_plan(plan: Plan, path: str | os.PathLike[str]) -> None:
    """Write a plan to a file, whole or not at all. Raises ActStopped where the disk refuses."""
    try:
        write_whole(os.fsencode(path), plan_text(plan).encode())
    except OSError as exc:
        raise ActStopped(
            f"Cannot write the plan to {path}: {exc.strerror or exc}. Nothing was touched; "
            "name another place or make room."
        ) from exc


def read_plan(path: str | os.PathLike[str]) -> Plan:
    """The plan in a file. Raises PlanUnreadable."""
    try:
        return parse_plan(Path(path).read_bytes())
    except OSError as exc:
        raise PlanUnreadable(
            f"Cannot read the plan {path}: {exc.strerror or exc}. Name a file that simsearch dedup wrote."
        ) from exc
    except ValueError as exc:
        raise PlanUnreadable(
            f"{path} is no plan that can be carried out: {exc}. Nothing was touched; "
            "make a new plan with: simsearch dedup --action ..."
        ) from exc


def parse_plan(text: str | bytes) -> Plan:
    """The plan that this text says. Raises ValueError."""
    plan = decode(Plan, parse(text))
    if plan.version != VERSION:
        raise ValueError(f"it is of version {plan.version}, and this is version {VERSION}")
    if not RUN.fullmatch(plan.run):
        raise ValueError("its run has no proper name")
    if plan.action not in ACTIONS:
        raise ValueError("its action is unknown")
    if (plan.to is not None) != (plan.action == "move"):
        raise ValueError("it moves without a folder, or names a folder and does not move")
    for file in (file for group in plan.groups for file in group.files):
        if file.level == "bytes" and file.facts.sha256 != file.keeper.sha256:
            raise ValueError("it calls files the same bytes whose digests differ")
    return plan


def _decoded(kind: Any, value: Any, where: str) -> Any:
    origin = typing.get_origin(kind)
    if origin in (types.UnionType, typing.Union):
        [inner] = [option for option in typing.get_args(kind) if option is not type(None)]
        return None if value is None else _decoded(inner, value, where)
    if origin is tuple:
        if not isinstance(value, list):
            raise ValueError(f"{where} is no list")
        return tuple(_decoded(typing.get_args(kind)[0], item, where) for item in value)
    if dataclasses.is_dataclass(kind):
        return _record(kind, value, where)
    if kind is bytes:
        return _bytes(value, where)
    if type(value) is not kind:
        raise ValueError(f"{where} is no {kind.__name__}")
    if kind is int and not 0 <= value < _LARGEST:
        raise ValueError(f"{where} is out of range")
    return value


def _record(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise ValueError(f"{where} is no object")
    hints = _hints(kind)
    if value.keys() != hints.keys():
        raise ValueError(f"{where} has other fields than it should")
    fields = {name: _decoded(hints[name], value[name], name) for name in hints}
    for name, content in fields.items():
        if isinstance(content, str):
            _check_text(kind, name, content)
    return kind(**fields)


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def check_path(name: str, content: str) -> None:
    """Raises ValueError for what is no plain absolute path."""
    raw = _bytes_of(name, content)
    if b"\0" in raw or not os.path.isabs(raw) or _is_crooked(raw):
        raise ValueError(f"{name} is no plain absolute path")


def _check_text(kind: Any, name: str, content: str) -> None:
    """Raises ValueError for a path, digest or word that cannot be."""
    _bytes_of(name, content)
    if name in _PATHS:
        check_path(name, content)
    if name == "sha256" and not _DIGEST.fullmatch(content):
        raise ValueError("a digest is none")
    if name == "level" and content not in LEVELS:
        raise ValueError("a level is unknown")
    if kind is Step and name == "what" and content not in _STEPS:
        raise ValueError("a step is unknown")


def _bytes_of(name: str, content: str) -> bytes:
    try:
        return os.fsencode(content)
    except UnicodeError as exc:
        raise ValueError(f"{name} holds what no name can") from exc


def _is_crooked(path: bytes) -> bool:
    parts = path.replace(os.sep.encode(), b"/").split(b"/")
    return b".." in parts or b"." in parts or b"" in parts[1:]


def _bytes(value: Any, where: str) -> bytes:
    if not isinstance(value, str):
        raise ValueError(f"{where} is no text")
    try:
        return base64.b64decode(value, validate=True)
    except ValueError as exc:
        raise ValueError(f"{where} is no base64") from exc


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name comes twice")
    return found


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number")
