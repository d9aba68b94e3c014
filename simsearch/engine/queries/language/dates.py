"""Dates as people write them, each a period from a first moment up to, and without, a last one."""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from simsearch.errors import QueryInvalid

_DATE = re.compile(
    r"([0-9]{4})(?:-([0-9]{1,2})(?:-([0-9]{1,2})(?:[T ]([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?)?)?)?"
)
_SECOND = 10**9
_MOST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Period:
    """From `start` up to, and without, `end`, both in the local time that cameras write."""

    start: datetime
    end: datetime


def period(text: str) -> Period:
    """The period of YYYY, YYYY-MM, YYYY-MM-DD, or YYYY-MM-DD HH:MM or HH:MM:SS (also after a T).

    Raises QueryInvalid for anything else.
    """
    found = _DATE.fullmatch(text.strip())
    if found is None:
        raise QueryInvalid(_refusal(text))
    year, month, day, hour, minute, second = (int(part) if part else None for part in found.groups())
    try:
        start = datetime(year or 0, month or 1, day or 1, hour or 0, minute or 0, second or 0)
    except ValueError as exc:
        raise QueryInvalid(_refusal(text)) from exc
    try:
        if month is None:
            return Period(start, start.replace(year=start.year + 1))
        if day is None:
            return Period(start, (start + timedelta(days=31)).replace(day=1))
        length = timedelta(days=1) if hour is None else timedelta(seconds=60 if second is None else 1)
        return Period(start, start + length)
    except (ValueError, OverflowError):
        # There is no moment after the year 9999.
        return Period(start, datetime.max)


def written(moment: datetime) -> str:
    """A moment as `taken_at` has it: YYYY-MM-DDTHH:MM:SS, which sorts as time does."""
    return moment.isoformat(timespec="seconds")


def nanoseconds(moment: datetime) -> int:
    """A moment of local time as a file's time: nanoseconds since 1970, of what 64 bits hold the nearest."""
    # Systems know their own offset for no other years; Windows refuses earlier ones.
    known = 1971 <= moment.year <= 2261
    seconds = int(moment.timestamp()) if known else calendar.timegm(moment.timetuple())
    return max(-_MOST, min(_MOST, seconds * _SECOND))


def _refusal(text: str) -> str:
    return f"{text[:40]!r} is no date. Write 2023, 2023-05, 2023-05-17, or '2023-05-17 14:30'."
