"""French: seventy to ninety-nine are recorded whole; "un" becomes "une" before what is feminine."""

from __future__ import annotations

from typing import Final

from voipat.speech.scales import millions
from voipat.speech.values import Clock, Date

_ONES: Final = (1, 21, 31, 41, 51, 61, 81)
WORDS: Final = (
    "hundred",
    "thousand",
    "million",
    "millions",
    "billion",
    "billions",
    "first",
    "of",
    *(f"n{value}-f" for value in _ONES),
)


def number(value: int, gender: str) -> list[str]:
    """A number from 0."""
    said, value = millions(value, lambda count: _below_a_million(count, "m"))
    if said and not value:
        # "Un million d'euros".
        return [*said, "of"] if gender in "mf" else said
    return [*said, *_below_a_million(value, gender)]


def _below_a_million(value: int, gender: str) -> list[str]:
    said: list[str] = []
    if value >= 1000:
        count = value // 1000
        said += [*(_below_a_thousand(count, "m") if count > 1 else ()), "thousand"]
        value %= 1000
        if not value:
            return said
    return [*said, *_below_a_thousand(value, gender)]


def _below_a_thousand(value: int, gender: str) -> list[str]:
    hundreds, rest = divmod(value, 100)
    said = [] if not hundreds else [*([f"n{hundreds}"] if hundreds > 1 else []), "hundred"]
    return said if said and not rest else [*said, _small(rest, gender)]


def _small(value: int, gender: str) -> str:
    return f"n{value}-f" if gender == "f" and value in _ONES else f"n{value}"


def date(value: Date) -> list[str]:
    """ "Jeudi vingt-six novembre deux mille vingt-six"."""
    day = value.day
    said = [f"day-{day.weekday()}", "first" if day.day == 1 else f"n{day.day}", f"month-{day.month}"]
    return [*said, *number(day.year, "n")] if value.with_year else said


def clock(value: Clock) -> list[str]:
    """ "Quatorze heures trente", "une heure"."""
    hour, minute = value.time.hour, value.time.minute
    said = [_small(hour, "f"), "hour" if hour < 2 else "hours"]
    return [*said, f"n{minute}"] if minute else said
