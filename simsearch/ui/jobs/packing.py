"""Frozen records -> plain JSON values, and back by the types of their fields."""

from __future__ import annotations

import dataclasses
from functools import cache
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")


def packed(value: Any) -> Any:
    """A record, or tuples of records, as dictionaries and lists; bytes as hex digits."""
    if dataclasses.is_dataclass(value):
        return {field.name: packed(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, (list, tuple)):
        return [packed(item) for item in value]
    return value.hex() if isinstance(value, bytes) else value


def unpacked(kind: type[T], value: Any) -> T:
    """The record of type `kind` (or a tuple of such) that `packed` made this value of."""
    return cast(T, _unpacked(kind, value))


def _unpacked(kind: Any, value: Any) -> Any:
    if value is None:
        return None
    if dataclasses.is_dataclass(kind):
        types = _types(cast(type, kind))
        # Any, since a type that is only known when it runs has no signature.
        make: Any = kind
        return make(**{name: _unpacked(types[name], item) for name, item in value.items()})
    arguments = get_args(kind)
    if get_origin(kind) is tuple:
        return tuple(_unpacked(arguments[0], item) for item in value)
    if arguments:
        # The one other union is of plain values, which are the same packed and unpacked.
        return _unpacked(arguments[0], value)
    return bytes.fromhex(value) if kind is bytes else value


@cache
def _types(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)
