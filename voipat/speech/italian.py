"""Italian: "un" before a unit and before "mila", "una" before what is feminine, the hour with its article."""

from __future__ import annotations

from typing import Final

from voipat.speech.scales import millions
from voipat.speech.values import Clock, Date

_ONES: Final = (1, *range(21, 100, 10))  # those that end in "uno"
WORDS: Final = (
    "hundred",
    "thousand",  # mille
    "thousands",  # mila
    "million",
    "millions",
    "billion",
    "billions",
    "of",  # di
    "first",
    "one-oclock",  # l'una
    "the-many",  # le
    "n1-f",
    *(f"n{value}-of" for value in _ONES),
)


def number(value: int, gender: str) -> list[str]:
    """A number from 0; of the genders only one itself has forms."""
    said, value = millions(value, _counted)
    if said and not value:
        # "Un milione di euro".
        return [*said, "of"] if gender in "mf" else said
    return [*said, *_below_a_million(value, gender)]


def _below_a_million(value: int, gender: str) -> list[str]:
    said: list[str] = []
    if value >= 1000:
        count = value // 1000
        said += ["thousand"] if count == 1 else [*_counted(count), "thousands"]
        value %= 1000
        if not value:
            return said
    return [*said, *_below_a_thousand(value, gender)]


def _counted(count: int) -> list[str]:
    """ "Ventunmila", but "centoventunomila"."""
    return _below_a_million(count, "m" if count < 100 else "n")


def _below_a_thousand(value: int, gender: str) -> list[str]:
    hundreds, rest = divmod(value, 100)
    said = [] if not hundreds else [*([f"n{hundreds}"] if hundreds > 1 else []), "hundred"]
    return said if said and not rest else [*said, _small(rest, gender)]


def _small(value: int, gender: str) -> str:
    if gender == "f" and value == 1:
        return "n1-f"
    return f"n{value}-of" if gender == "m" and value in _ONES else f"n{value}"


def date(value: Date) -> list[str]:
    """ "Giovedì ventisei novembre duemilaventisei"."""
    day = value.day
    said = [f"day-{day.weekday()}", "first" if day.day == 1 else f"n{day.day}", f"month-{day.month}"]
    return [*said, *number(day.year, "n")] if value.with_year else said


def clock(value: Clock) -> list[str]:
    """ "L'una e cinque", "le quattordici e trenta"."""
    hour, minute = value.time.hour, value.time.minute
    said = ["one-oclock"] if hour == 1 else ["the-many", f"n{hour}"]
    return [*said, "and", f"n{minute}"] if minute else said
