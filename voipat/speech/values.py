"""What can be said beside prompts; how it sounds is the language's affair."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

Gender = Literal["m", "f", "n"]

# Beyond this no language here has a word that a caller would follow.
LARGEST: Final = 999_999_999_999
MAX_DIGITS: Final = 64


@dataclass(frozen=True, slots=True)
class Number:
    """A whole number of at most twelve digits; `gender` is that of what is counted. Raises: ValueError."""

    value: int
    gender: Gender = "n"

    def __post_init__(self) -> None:
        if not -LARGEST <= self.value <= LARGEST:
            raise ValueError(f"{self.value} has more than twelve digits; say it as Digits")


@dataclass(frozen=True, slots=True)
class Digits:
    """Digits one by one, as of a telephone number; `+`, `*` and `#` have their words. Raises: ValueError."""

    text: str

    def __post_init__(self) -> None:
        wrong = [each for each in self.text if each not in "0123456789*#+"]
        if wrong or not 1 <= len(self.text) <= MAX_DIGITS:
            raise ValueError(f"{self.text!r} cannot be said as digits: 1 to {MAX_DIGITS} of 0-9 * # +")


@dataclass(frozen=True, slots=True)
class Letters:
    """Letters and digits spelled; what has no name in the alphabet is left out, and nothing else is an error."""

    text: str


@dataclass(frozen=True, slots=True)
class Date:
    """A day; with `today` it may be said as today or yesterday."""

    day: datetime.date
    today: datetime.date | None = None
    with_year: bool = True


@dataclass(frozen=True, slots=True)
class Clock:
    """A time of day, to the minute."""

    time: datetime.time


@dataclass(frozen=True, slots=True)
class Duration:
    """Seconds, said in hours, minutes and seconds; parts of a second are left out. Raises: ValueError."""

    seconds: float

    def __post_init__(self) -> None:
        if not 0 <= self.seconds < 1_000_000:
            raise ValueError(f"{self.seconds} s cannot be said")


@dataclass(frozen=True, slots=True)
class Money:
    """An amount with at most two decimals, in a currency that the language has a word for. Raises: ValueError."""

    amount: Decimal
    currency: str = "EUR"

    def __post_init__(self) -> None:
        cents = self.amount * 100
        if not self.amount.is_finite() or cents != cents.to_integral_value() or abs(self.amount) > LARGEST:
            raise ValueError(f"{self.amount} is no amount of at most two decimals")


Spoken = Number | Digits | Letters | Date | Clock | Duration | Money
