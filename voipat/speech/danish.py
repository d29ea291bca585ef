"""Danish: ones before tens (recorded whole), "et" counts, "en" stands before most nouns, "og" before the last part."""

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
    "the",  # den
    "oclock",  # klokken
    "n1-of",  # en
    "n1-n",  # et
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
            count = value // unit
            said += [*(_below_a_million(count, "n") if count > 1 else []), name]
            value %= unit
    if said and not value:
        return said
    return [*said, *(["and"] if said else []), _small(value, gender)]


def _small(value: int, gender: str) -> str:
    if value != 1:
        return f"n{value}"
    return "n1-of" if gender in "mf" else "n1-n"


def date(value: Date) -> list[str]:
    """ "Torsdag den seksogtyvende november to tusind og seksogtyve"."""
    day = value.day
    said = [f"day-{day.weekday()}", "the", f"ord-{day.day}", f"month-{day.month}"]
    return [*said, *year(day.year)] if value.with_year else said


def year(value: int) -> list[str]:
    """Years from 1100 to 1999 are counted in hundreds."""
    if not 1100 <= value <= 1999:
        return number(value, "n")
    hundreds, rest = divmod(value, 100)
    return [f"n{hundreds}", "hundred", *(["and", f"n{rest}"] if rest else [])]


def clock(value: Clock) -> list[str]:
    """ "Klokken fjorten nul fem", "klokken et"."""
    hour, minute = value.time.hour, value.time.minute
    said = ["oclock", _small(hour, "n")]
    if not minute:
        return said
    return [*said, _small(minute, "n")] if minute >= 10 else [*said, "n0", _small(minute, "n")]
