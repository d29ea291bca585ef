"""Dutch: ones before tens (recorded whole), no "one" before hundred and thousand, the clock of 24 hours."""

from __future__ import annotations

from typing import Final

from voipat.speech.values import Clock, Date

_LARGE: Final = ((1_000_000_000, "billion"), (1_000_000, "million"))
WORDS: Final = ("hundred", "thousand", "million", "billion", "oclock")


def number(value: int, gender: str) -> list[str]:
    """A number from 0; Dutch counts all things alike."""
    said: list[str] = []
    for unit, name in _LARGE:
        if value >= unit:
            said += [*number(value // unit, gender), name]
            value %= unit
    for unit, name in ((1000, "thousand"), (100, "hundred")):
        if value >= unit:
            said += [*(number(value // unit, gender) if value // unit > 1 else []), name]
            value %= unit
    return [*said, f"n{value}"] if value or not said else said


def date(value: Date) -> list[str]:
    """ "Donderdag zesentwintig november tweeduizend zesentwintig"."""
    day = value.day
    said = [f"day-{day.weekday()}", f"n{day.day}", f"month-{day.month}"]
    return [*said, *year(day.year)] if value.with_year else said


def year(value: int) -> list[str]:
    """Years from 1100 to 1999 are counted in hundreds."""
    if not 1100 <= value <= 1999:
        return number(value, "n")
    hundreds, rest = divmod(value, 100)
    return [f"n{hundreds}", "hundred", *([f"n{rest}"] if rest else [])]


def clock(value: Clock) -> list[str]:
    """ "Veertien uur vijf"."""
    hour, minute = value.time.hour, value.time.minute
    return [f"n{hour}", "oclock", *([f"n{minute}"] if minute else [])]
