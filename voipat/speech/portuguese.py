"""Portuguese, counting as in Portugal: hundreds, one and two have a gender; "e" before the last part of a number."""

from __future__ import annotations

from typing import Final

from voipat.speech.values import Clock, Date

# Those that end in "um" and "dois".
_GENDERED: Final = (1, 2, *(tens + ones for tens in range(20, 100, 10) for ones in (1, 2)))
WORDS: Final = (
    "hundred",  # cem
    "hundred-and",  # cento
    "thousand",
    "million",
    "millions",
    "of",  # de
    "first",
    *(f"n{value}-f" for value in _GENDERED),
    *(f"n{hundreds}" for hundreds in range(200, 1000, 100)),
    *(f"n{hundreds}-f" for hundreds in range(200, 1000, 100)),
)


def number(value: int, gender: str) -> list[str]:
    """A number from 0."""
    millions, rest = divmod(value, 1_000_000)
    if not millions:
        return _below_a_million(rest, gender)
    said = [*_below_a_million(millions, "m"), "million" if millions == 1 else "millions"]
    if not rest:
        # "Um milhão de euros".
        return [*said, "of"] if gender in "mf" else said
    return [*said, *_joined(rest, gender)]


def _below_a_million(value: int, gender: str) -> list[str]:
    thousands, rest = divmod(value, 1000)
    if not thousands:
        return _below_a_thousand(rest, gender)
    said = [*(_below_a_thousand(thousands, gender) if thousands > 1 else []), "thousand"]
    return [*said, *_joined(rest, gender)] if rest else said


def _joined(rest: int, gender: str) -> list[str]:
    """ "E" stands before what ends in one part: "mil e cem", but "mil cento e um" (CLDR, %%spellout-…-with-e)."""
    return [*(["and"] if rest < 100 or rest % 100 == 0 else []), *_below_a_million(rest, gender)]


def _below_a_thousand(value: int, gender: str) -> list[str]:
    hundreds, rest = divmod(value, 100)
    if not hundreds:
        return [_small(rest, gender)]
    if value == 100:
        return ["hundred"]
    name = "hundred-and" if hundreds == 1 else f"n{hundreds}00" + ("-f" if gender == "f" else "")
    return [name, *(["and", _small(rest, gender)] if rest else [])]


def _small(value: int, gender: str) -> str:
    return f"n{value}-f" if gender == "f" and value in _GENDERED else f"n{value}"


def date(value: Date) -> list[str]:
    """ "Quinta-feira, vinte e seis de novembro de dois mil e vinte e seis"."""
    day = value.day
    said = [f"day-{day.weekday()}", "first" if day.day == 1 else f"n{day.day}", "of", f"month-{day.month}"]
    return [*said, "of", *number(day.year, "n")] if value.with_year else said


def clock(value: Clock) -> list[str]:
    """ "Uma hora e cinco", "catorze horas e trinta"."""
    hour, minute = value.time.hour, value.time.minute
    said = [_small(hour, "f"), "hour" if hour == 1 else "hours"]
    return [*said, "and", f"n{minute}"] if minute else said
