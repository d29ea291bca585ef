"""A language: from a value to the names of recorded words, in the order in which they are spoken.

Numbers are recorded whole from 0 to 99, since most languages join tens and ones; larger ones are put together.
A name is that of a file of the language's folder, without its ending:

    n23         the number, as it is counted           n23-of      before a noun or a larger unit ("ein", "veintiún")
    n23-f       before or for something feminine       ord-3       the third, as a date has it
    n1-n        for something neuter                   hours-few   "godziny", after two to four
    letter-a    day-0 (Monday) … day-6                 month-1 …   the rest are words: hundred, thousand, minutes
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from voipat.speech import danish, dutch, english, french, german, italian, polish, portuguese, spanish, swedish
from voipat.speech.values import Clock, Date, Digits, Duration, Letters, Money, Number, Spoken

_SIGNS: Final = {"*": "star", "#": "pound", "+": "plus"}
CURRENCIES: Final = ("EUR", "USD", "GBP", "CHF")


class Rules(Protocol):
    """A module of a language: each function returns names of prompts, `WORDS` are those beyond the common ones."""

    @property
    def WORDS(self) -> Sequence[str]: ...  # noqa: N802  as a module has it

    def number(self, value: int, gender: str) -> list[str]: ...

    def date(self, value: Date) -> list[str]: ...

    def clock(self, value: Clock) -> list[str]: ...


def _never(value: int) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Language:
    """The rules of one language, and the voice of espeak-ng that reads it."""

    code: str
    name: str
    voice: str
    rules: Rules
    # Whose gender the counted units have, where it is not "m": hours, minutes, seconds, and the currencies.
    genders: Mapping[str, str] = field(default_factory=dict)
    # Of which numbers the unit has a form of its own, its name with "-few".
    takes_few: Callable[[int], bool] = _never

    def say(self, value: Spoken) -> list[str]:
        """The names of the words for a value. Raises: ValueError for a currency, or letters, that have none."""
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
                return self.rules.clock(value)
            case Duration(seconds):
                return self._duration(int(seconds))
            case Money():
                return self._money(value)

    def _signed(self, number: int, gender: str) -> list[str]:
        said = self.rules.number(abs(number), gender)
        return ["minus", *said] if number < 0 else said

    def _day(self, value: Date) -> list[str]:
        if value.today is not None:
            ago = (value.today - value.day).days
            if ago in (0, 1):
                return ["yesterday" if ago else "today"]
        return self.rules.date(value)

    def counted(self, number: int, one: str, many: str) -> list[str]:
        """A number with its noun: `one` for exactly one, `many` for the rest, or for a few."""
        said = self.rules.number(number, self.genders.get(one, "m"))
        noun = one if number == 1 else f"{many}-few" if self.takes_few(number) else many
        return [*said, noun]

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
    """The names of letters and digits; accents are those of the letter below them. Raises: ValueError for none."""
    plain = unicodedata.normalize("NFKD", text).lower()
    found: list[str] = []
    for each in plain:
        if each in "0123456789":
            found.append(f"n{each}")
        elif "a" <= each <= "z":
            found.append(f"letter-{each}")
        elif each in _SIGNS:
            found.append(_SIGNS[each])
    if not found:
        raise ValueError(f"{text!r} has no letter or digit that can be said")
    return found


_FEMININE_TIMES: Final = {"hour": "f", "minute": "f", "second": "f"}

LANGUAGES: Final[Mapping[str, Language]] = {
    each.code: each
    for each in (
        Language("en", "English", "en-us", english),
        Language("de", "German", "de", german, _FEMININE_TIMES),
        Language("es", "Spanish", "es", spanish, {"hour": "f", "gbp-one": "f"}),
        Language("fr", "French", "fr", french, {**_FEMININE_TIMES, "gbp-one": "f"}),
        # "Un'ora" sounds as "un ora".
        Language("it", "Italian", "it", italian, {"gbp-one": "f"}),
        Language("nl", "Dutch", "nl", dutch),
        Language("pt", "Portuguese", "pt", portuguese, {"hour": "f", "gbp-one": "f"}),
        Language("pl", "Polish", "pl", polish, _FEMININE_TIMES, polish.takes_few),
        Language("sv", "Swedish", "sv", swedish, {"gbp-one": "n"}),
        Language("da", "Danish", "da", danish, {"minute": "n", "second": "n", "gbp-one": "n"}),
    )
}


def vocabulary(code: str) -> Sequence[str]:
    """Every name that the rules of a language can ask for, so that a set of prompts can be checked and made whole."""
    common = [f"n{number}" for number in range(100)]
    common += [f"letter-{chr(letter)}" for letter in range(ord("a"), ord("z") + 1)]
    common += [f"day-{day}" for day in range(7)] + [f"month-{month}" for month in range(1, 13)]
    common += [*_SIGNS.values(), "minus", "and", "today", "yesterday"]
    common += ["hour", "hours", "minute", "minutes", "second", "seconds"]
    for currency in CURRENCIES:
        common += [f"{currency.lower()}-{part}" for part in ("one", "many", "cent", "cents")]
    return [*common, *LANGUAGES[code].rules.WORDS]
