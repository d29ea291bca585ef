"""Polish: nouns have a form for two to four, one and two a gender; hours and days are ordinals."""

from __future__ import annotations

from typing import Final

from voipat.speech.values import Clock, Date

_LARGE: Final = ((1_000_000_000, "billion"), (1_000_000, "million"), (1000, "thousand"))
_TWOS: Final = (2, *range(22, 100, 10))
WORDS: Final = (
    "hundred",
    *(f"n{hundreds}" for hundreds in range(200, 1000, 100)),
    *(f"{name}{form}" for _, name in _LARGE for form in ("", "s-few", "s")),
    "year",
    "n1-f",
    *(f"n{value}-f" for value in _TWOS),
    *(f"hour-{hour}" for hour in range(24)),
    *(f"ord-{day}" for day in range(1, 32)),
    *(f"{unit}-few" for unit in ("hours", "minutes", "seconds")),
    *(f"{code}-{many}-few" for code in ("eur", "usd", "gbp", "chf") for many in ("many", "cents")),
)


def takes_few(value: int) -> bool:
    """Whether what is counted has the form of two to four: 3, 24, but not 13."""
    return value % 10 in (2, 3, 4) and value % 100 not in (12, 13, 14)


def number(value: int, gender: str) -> list[str]:
    """A number from 0."""
    said: list[str] = []
    for unit, name in _LARGE:
        if value >= unit:
            count = value // unit
            said += [name] if count == 1 else [*number(count, "m"), f"{name}s-few" if takes_few(count) else f"{name}s"]
            value %= unit
    if value >= 100:
        said.append("hundred" if value < 200 else f"n{value // 100}00")
        value %= 100
    return said if said and not value else [*said, _small(value, gender, alone=not said)]


def _small(value: int, gender: str, *, alone: bool) -> str:
    is_formed = value in _TWOS or (value == 1 and alone)
    return f"n{value}-f" if gender == "f" and is_formed else f"n{value}"


def date(value: Date) -> list[str]:
    """ "Czwartek, dwudziestego szóstego listopada, rok dwa tysiące dwadzieścia sześć"."""
    day = value.day
    said = [f"day-{day.weekday()}", f"ord-{day.day}", f"month-{day.month}"]
    return [*said, "year", *number(day.year, "n")] if value.with_year else said


def clock(value: Clock) -> list[str]:
    """ "Czternasta trzydzieści", "pierwsza zero pięć"."""
    hour, minute = value.time.hour, value.time.minute
    said = [f"hour-{hour}"]
    if not minute:
        return said
    return [*said, f"n{minute}"] if minute >= 10 else [*said, "n0", f"n{minute}"]
