"""Swedish: "ett" counts, "en" stands before most nouns; the day is an ordinal, years are counted in hundreds."""

from __future__ import annotations

from typing import Final

from voipat.speech.scales import millions
from voipat.speech.values import Clock, Date

_ONES: Final = (1, *range(21, 100, 10))  # those that end in "ett"
WORDS: Final = (
    "hundred",
    "thousand",
    "million",
    "millions",
    "billion",
    "billions",
    "the",  # den
    "oclock",  # klockan
    *(f"n{value}-of" for value in _ONES),
    *(f"ord-{day}" for day in range(1, 32)),
)


def number(value: int, gender: str) -> list[str]:
    """A number from 0; "m" and "f" are the common gender."""
    said, value = millions(value, lambda count: _below_a_million(count, "m"))
    return [*said, *_below_a_million(value, gender)] if value or not said else said


def _below_a_million(value: int, gender: str) -> list[str]:
    said: list[str] = []
    for unit, name in ((1000, "thousand"), (100, "hundred")):
        if value >= unit:
            said += [*_below_a_million(value // unit, "n"), name]
            value %= unit
    if said and not value:
        return said
    return [*said, f"n{value}-of" if gender in "mf" and value in _ONES else f"n{value}"]


def date(value: Date) -> list[str]:
    """ "Torsdag den tjugosjätte november tjugohundra tjugosex"."""
    day = value.day
    said = [f"day-{day.weekday()}", "the", f"ord-{day.day}", f"month-{day.month}"]
    return [*said, *year(day.year)] if value.with_year else said


def year(value: int) -> list[str]:
    """ "Nittonhundra nittionio", "tjugohundra tjugosex"."""
    if not 1100 <= value <= 2099:
        return number(value, "n")
    hundreds, rest = divmod(value, 100)
    return [f"n{hundreds}", "hundred", *([f"n{rest}"] if rest else [])]


def clock(value: Clock) -> list[str]:
    """ "Klockan fjorton noll fem"."""
    hour, minute = value.time.hour, value.time.minute
    said = ["oclock", f"n{hour}"]
    if not minute:
        return said
    return [*said, f"n{minute}"] if minute >= 10 else [*said, "n0", f"n{minute}"]
