"""English as it is said in the United States: twelve-hour clock, month before day."""

from __future__ import annotations

from typing import Final

from voipat.speech.values import Clock, Date

_UNITS: Final = ((1_000_000_000, "billion"), (1_000_000, "million"), (1000, "thousand"))
WORDS: Final = ("hundred", "thousand", "million", "billion", "oh", "am", "pm", *(f"ord-{day}" for day in range(1, 32)))


def number(value: int, gender: str) -> list[str]:
    """A number from 0; English counts all things alike."""
    if value < 100:
        return [f"n{value}"]
    said: list[str] = []
    for unit, name in _UNITS:
        if value >= unit:
            said += [*number(value // unit, gender), name]
            value %= unit
    if value >= 100:
        said += [f"n{value // 100}", "hundred"]
        value %= 100
    return [*said, f"n{value}"] if value else said


def date(value: Date) -> list[str]:
    """ "Thursday, November 26th, 2026"."""
    day = value.day
    said = [f"day-{day.weekday()}", f"month-{day.month}", f"ord-{day.day}"]
    return [*said, *year(day.year)] if value.with_year else said


def year(value: int) -> list[str]:
    """ "Twenty twenty-six", but "two thousand five"."""
    century, rest = divmod(value, 100)
    if value % 1000 < 10 or century < 10:
        return number(value, "n")
    if rest == 0:
        return [f"n{century}", "hundred"]
    return [f"n{century}", f"n{rest}"] if rest >= 10 else [f"n{century}", "oh", f"n{rest}"]


def clock(value: Clock) -> list[str]:
    """ "Two oh five p.m."."""
    hour, minute = value.time.hour, value.time.minute
    said = [f"n{hour % 12 or 12}"]
    if minute:
        said += [f"n{minute}"] if minute >= 10 else ["oh", f"n{minute}"]
    return [*said, "am" if hour < 12 else "pm"]
