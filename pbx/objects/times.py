"""When something is open: hours of a week in a time zone, holidays, and an override by hand that may expire.

An instant has exactly one local time, so the hour that a change to summer time leaves out is nobody's and the one that
comes twice in autumn counts both times.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

from pbx.config_table import flag, seconds
from pbx.objects.shape import option, options
from pbx.objects.words import DAY, HOURS, NAME, ZONE, code_or_none

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True)
class Times:
    """Open hours by name; `holidays`: whether the tenant's holidays close them."""

    name: str = option(NAME)
    hours: tuple[str, ...] = options(HOURS)
    closed_on: tuple[str, ...] = options(DAY)
    open_on: tuple[str, ...] = options(DAY)
    holidays: bool = option(flag, True)
    time_zone: str = option(ZONE, "")
    override_code: str | None = option(code_or_none, None)
    override_s: float = option(seconds(0, 31 * 86_400), 0.0)


@dataclass(frozen=True, slots=True)
class Opening:
    """Whether it is open, and the rule that says so."""

    is_open: bool
    why: str


def opening(times: Times, at: float, *, time_zone: str, holidays: Mapping[str, str]) -> Opening:
    """Whether `times` are open at the wallclock `at`.

    In this order: `closed_on`, `open_on` (open all day), the tenant's holidays, the hours of the week.
    """
    local = datetime.fromtimestamp(at, UTC).astimezone(zoneinfo.ZoneInfo(times.time_zone or time_zone))
    today = local.date().isoformat()
    said = f"{DAYS[local.weekday()]} {local:%Y-%m-%d %H:%M %Z}"
    if _listed(today, times.closed_on):
        return Opening(False, f"{said} is in closed_on")
    if _listed(today, times.open_on):
        return Opening(True, f"{said} is in open_on")
    if times.holidays and (name := holidays.get(today) or holidays.get(today[5:])) is not None:
        return Opening(False, f"{said} is a holiday: {name}")
    for text in times.hours:
        if _within(text, local):
            return Opening(True, f"{said} lies in {text!r}")
    return Opening(False, f"{said} lies in none of the hours")


def _listed(today: str, days: tuple[str, ...]) -> bool:
    return today in days or today[5:] in days


def _within(text: str, local: datetime) -> bool:
    weekdays, start, end = _hours(text)
    minute = local.hour * 60 + local.minute
    if start < end:
        return local.weekday() in weekdays and start <= minute < end
    # Over midnight: the part after it belongs to the day on which it began.
    yesterday = (local - timedelta(days=1)).weekday()
    return (local.weekday() in weekdays and minute >= start) or (yesterday in weekdays and minute < end)


@lru_cache(maxsize=1024)
def _hours(text: str) -> tuple[frozenset[int], int, int]:
    days, _, span = text.rpartition(" ")
    first, _, last = span.partition("-")
    return _weekdays(days), _minutes(first), _minutes(last)


def _weekdays(text: str) -> frozenset[int]:
    if not text:
        return frozenset(range(7))
    found: set[int] = set()
    for part in text.split(","):
        names = [DAYS.index(name) for name in part.split("-")]
        # `fri-mon` goes over the weekend.
        found.update((names[0] + step) % 7 for step in range((names[-1] - names[0]) % 7 + 1))
    return frozenset(found)


def _minutes(text: str) -> int:
    return int(text[:2]) * 60 + int(text[3:])
