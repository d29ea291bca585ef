"""A language: from a value to the names of recorded words, in the order in which they are spoken.

Numbers are recorded whole from 0 to 99, since most languages join tens and ones; larger ones are put together.
A name is that of a file of the language's folder, without its ending:

    n23         the number, as it is counted           n23-of      before a noun or a larger unit ("ein", "veintiún")
    n23-f       before or for something feminine       ord-3       the third
    letter-a    day-0 (Monday) … day-6                 month-1 …   the rest are words: hundred, thousand, minutes
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from voipat.speech import english, french, german, spanish
from voipat.speech.values import Clock, Date, Digits, Duration, Letters, Money, Number, Spoken

_SIGNS: Final = {"*": "star", "#": "pound", "+": "plus"}
CURRENCIES: Final = ("EUR", "USD", "GBP", "CHF")


@dataclass(frozen=True, slots=True)
class Language:
    """The rules of one language; `number(value, gender)` and the others return names of prompts."""

    code: str
    name: str
    voice: str
    number: Callable[[int, str], list[str]]
    date: Callable[[Date], list[str]]
    clock: Callable[[Clock], list[str]]
    # Whose gender the counted units have: hours, minutes, seconds, and the currencies.
    genders: Mapping[str, str]

    def say(self, value: Spoken) -> list[str]:
        """The names of the words for a value. Raises: ValueError for a currency that has no word."""
        match value:
            case Number(number, gender):
                return self._signed(number, gender)
            case Digits(text):
                return [_SIGNS.get(each, f"n{each}") for each in text]
            case Letters(text):
                return spelled(text)
            case Date():
                return self._day(value)
            case Clock():
                return self.clock(value)
            case Duration(seconds):
                return self._duration(int(seconds))
            case Money():
                return self._money(value)

    def _signed(self, number: int, gender: str) -> list[str]:
        return ["minus", *self.number(-number, gender)] if number < 0 else self.number(number, gender)

    def _day(self, value: Date) -> list[str]:
        if value.today is not None:
            ago = (value.today - value.day).days
            if ago in (0, 1):
                return ["yesterday" if ago else "today"]
        return self.date(value)

    def counted(self, number: int, one: str, many: str) -> list[str]:
        """A number with its noun: `one` for exactly one, `many` for the rest."""
        return [*self.number(number, self.genders.get(one, "m")), one if number == 1 else many]

    def _duration(self, seconds: int) -> list[str]:
        minutes, seconds = divmod(seconds, 60)
        hours, minutes = divmod(minutes, 60)
        said: list[str] = []
        for number, one, many in (
            (hours, "hour", "hours"),
            (minutes, "minute", "minutes"),
            (seconds, "second", "seconds"),
        ):
            if number:
                said += self.counted(number, one, many)
        return said or self.counted(0, "second", "seconds")

    def _money(self, value: Money) -> list[str]:
        currency = value.currency.upper()
        if currency not in CURRENCIES:
            raise ValueError(f"{value.currency!r} has no word: {', '.join(CURRENCIES)}")
        whole, cents = divmod(abs(int(value.amount * 100)), 100)
        code = currency.lower()
        said = ["minus"] if value.amount < 0 else []
        if whole or not cents:
            said += self.counted(whole, f"{code}-one", f"{code}-many")
        if cents:
            said += [*(["and"] if whole else []), *self.counted(cents, f"{code}-cent", f"{code}-cents")]
        return said


def spelled(text: str) -> list[str]:
    """The names of letters and digits; accents are those of the letter below them."""
    plain = unicodedata.normalize("NFKD", text).lower()
    found: list[str] = []
    for each in plain:
        if each in "0123456789":
            found.append(f"n{each}")
        elif "a" <= each <= "z":
            found.append(f"letter-{each}")
        elif each in _SIGNS:
            found.append(_SIGNS[each])
    return found


LANGUAGES: Final[Mapping[str, Language]] = {
    "en": Language("en", "English", "en-us", english.number, english.date, english.clock, {}),
    "de": Language(
        "de", "German", "de", german.number, german.date, german.clock, {"hour": "f", "minute": "f", "second": "f"}
    ),
    "es": Language(
        "es",
        "Spanish",
        "es",
        spanish.number,
        spanish.date,
        spanish.clock,
        {"hour": "f", "gbp-one": "f"},
    ),
    "fr": Language(
        "fr",
        "French",
        "fr",
        french.number,
        french.date,
        french.clock,
        {"hour": "f", "minute": "f", "second": "f", "gbp-one": "f"},
    ),
}


def vocabulary(code: str) -> Sequence[str]:
    """Every name that the rules of a language can ask for, so that a set of prompts can be checked and made whole."""
    module = {"en": english, "de": german, "es": spanish, "fr": french}[code]
    common = [f"n{number}" for number in range(100)]
    common += [f"letter-{chr(letter)}" for letter in range(ord("a"), ord("z") + 1)]
    common += [f"day-{day}" for day in range(7)] + [f"month-{month}" for month in range(1, 13)]
    common += [*_SIGNS.values(), "minus", "and", "today", "yesterday"]
    common += ["hour", "hours", "minute", "minutes", "second", "seconds"]
    for currency in CURRENCIES:
        common += [f"{currency.lower()}-{part}" for part in ("one", "many", "cent", "cents")]
    return [*common, *module.WORDS]
