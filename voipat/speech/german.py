"""German: ones before tens (recorded whole), "ein" before a unit, the day as an ordinal, the clock of 24 hours."""

from __future__ import annotations

from typing import Final

from voipat.speech.scales import millions
from voipat.speech.values import Clock, Date

WORDS: Final = (
    "hundred",
    "thousand",
    "million",
    "millions",
    "billion",
    "billions",
    "oclock",
    "n1-of",
    "n1-f",
    *(f"ord-{day}" for day in range(1, 32)),
)


def number(value: int, gender: str) -> list[str]:
    """A number from 0; one is "eins" by itself, "ein" or "eine" before what it counts."""
    said, value = millions(value, lambda count: number(count, "f"))
    return [*said, *_below_a_million(value, gender)] if value or not said else said


def _below_a_million(value: int, gender: str) -> list[str]:
    said: list[str] = []
    if value >= 1000:
        said += [*_below_a_million(value // 1000, "m"), "thousand"]
        value %= 1000
        if not value:
            return said
    if value >= 100:
        said += [_one_of(value // 100), "hundred"]
        value %= 100
        if not value:
            return said
    return [*said, _small(value, gender)]


def _small(value: int, gender: str) -> str:
    if value == 1 and gender in "mf":
        return "n1-of" if gender == "m" else "n1-f"
    return f"n{value}"


def _one_of(value: int) -> str:
    return "n1-of" if value == 1 else f"n{value}"


def date(value: Date) -> list[str]:
    """ "Donnerstag, der sechsundzwanzigste November 2026": the article is part of the ordinal."""
    day = value.day
    said = [f"day-{day.weekday()}", f"ord-{day.day}", f"month-{day.month}"]
    return [*said, *year(day.year)] if value.with_year else said


def year(value: int) -> list[str]:
    """Years from 1100 to 1999 are counted in hundreds."""
    if not 1100 <= value <= 1999:
        return number(value, "n")
    hundreds, rest = divmod(value, 100)
    return [f"n{hundreds}", "hundred", *([f"n{rest}"] if rest else [])]


def clock(value: Clock) -> list[str]:
    """ "Vierzehn Uhr fünf", "ein Uhr"."""
    hour, minute = value.time.hour, value.time.minute
    return [_one_of(hour), "oclock", *([f"n{minute}"] if minute else [])]
