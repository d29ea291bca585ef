"""Spanish: hundreds are words of their own and have a gender, "uno" loses its end before a noun."""

from __future__ import annotations

from typing import Final

from voipat.speech.values import Clock, Date

_ONES: Final = (1, *range(21, 100, 10))  # those that end in "uno"
WORDS: Final = (
    "hundred",  # cien
    "hundred-and",  # ciento
    "thousand",
    "million",
    "millions",
    "of",  # de
    "the-one",  # la
    "the-many",  # las
    "first",
    *(f"n{value}-of" for value in _ONES),
    *(f"n{value}-f" for value in _ONES),
    *(f"n{hundreds}" for hundreds in range(200, 1000, 100)),
    *(f"n{hundreds}-f" for hundreds in range(200, 1000, 100)),
)


def number(value: int, gender: str) -> list[str]:
    """A number from 0."""
    said: list[str] = []
    if value >= 1_000_000:
        count = value // 1_000_000
        said += [*_below_a_million(count, "m"), "million" if count == 1 else "millions"]
        value %= 1_000_000
        if not value:
            # "Un millón de euros".
            return [*said, "of"] if gender in "mf" else said
    return [*said, *_below_a_million(value, gender)] if value or not said else said


def _below_a_million(value: int, gender: str) -> list[str]:
    said: list[str] = []
    if value >= 1000:
        count = value // 1000
        said += [*(_below_a_thousand(count, "f" if gender == "f" else "m") if count > 1 else ()), "thousand"]
        value %= 1000
        if not value:
            return said
    return [*said, *_below_a_thousand(value, gender)]


def _below_a_thousand(value: int, gender: str) -> list[str]:
    hundreds, rest = divmod(value, 100)
    if not hundreds:
        return [_small(rest, gender)]
    if value == 100:
        return ["hundred"]
    name = "hundred-and" if hundreds == 1 else f"n{hundreds}00" + ("-f" if gender == "f" else "")
    return [name, *([_small(rest, gender)] if rest else [])]


def _small(value: int, gender: str) -> str:
    if value in _ONES and gender in "mf":
        return f"n{value}-of" if gender == "m" else f"n{value}-f"
    return f"n{value}"


def date(value: Date) -> list[str]:
    """ "Jueves, veintiséis de noviembre de dos mil veintiséis"."""
    day = value.day
    said = [f"day-{day.weekday()}", "first" if day.day == 1 else f"n{day.day}", "of", f"month-{day.month}"]
    return [*said, "of", *number(day.year, "n")] if value.with_year else said


def clock(value: Clock) -> list[str]:
    """ "La una y cinco", "las catorce y treinta"."""
    hour, minute = value.time.hour, value.time.minute
    said = ["the-one" if hour == 1 else "the-many", _small(hour, "f")]
    return [*said, "and", f"n{minute}"] if minute else said
