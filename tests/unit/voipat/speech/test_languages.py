"""How values are said, written with the words that a reader of the language would use."""

from __future__ import annotations

import datetime
from decimal import Decimal

import pytest

from voipat.speech import LANGUAGES, Clock, Date, Digits, Duration, Letters, Money, Number, PromptSet, Spoken
from voipat.speech.language import vocabulary
from voipat.speech.texts import texts

THURSDAY = datetime.date(2026, 11, 26)


def said(code: str, value: Spoken) -> str:
    words = texts(code)
    return " ".join(words[name] for name in LANGUAGES[code].say(value))


@pytest.mark.parametrize(
    ("code", "value", "words"),
    [
        ("en", Number(0), "0"),
        ("en", Number(-7), "minus 7"),
        ("en", Number(100), "1 hundred"),
        ("en", Number(1234), "1 thousand 2 hundred 34"),
        ("en", Number(2_000_001), "2 million 1"),
        ("en", Number(999_999_999_999), "9 hundred 99 billion 9 hundred 99 million 9 hundred 99 thousand 9 hundred 99"),
        ("de", Number(1), "1"),
        ("de", Number(1, "f"), "eine"),
        ("de", Number(101), "ein hundert 1"),
        ("de", Number(1001), "ein tausend 1"),
        ("de", Number(21_000), "21 tausend"),
        ("de", Number(101_000), "ein hundert ein tausend"),
        ("de", Number(1_000_000), "eine Million"),
        ("de", Number(2_000_021), "2 Millionen 21"),
        ("es", Number(100), "cien"),
        ("es", Number(101), "ciento 1"),
        ("es", Number(1000), "mil"),
        ("es", Number(21_000), "veintiún mil"),
        ("es", Number(1_000_000), "un millón"),
        ("es", Number(2_500_300), "2 millones quinientos mil trescientos"),
        ("es", Number(201, "f"), "doscientas una"),
        ("es", Number(100_000), "cien mil"),
        ("fr", Number(100), "cent"),
        ("fr", Number(200), "2 cent"),
        ("fr", Number(1000), "mille"),
        ("fr", Number(1_000_000), "1 million"),
        ("fr", Number(71_080), "71 mille 80"),
        ("fr", Number(21, "f"), "vingt et une"),
    ],
)
def test_numbers(code: str, value: Spoken, words: str) -> None:
    assert said(code, value) == words


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("en", "Thursday November twenty-sixth 20 26"),
        ("de", "Donnerstag der sechsundzwanzigste November 2 tausend 26"),
        ("es", "jueves 26 de noviembre de 2 mil 26"),
        ("fr", "jeudi 26 novembre 2 mille 26"),
        ("it", "giovedì 26 novembre 2 mila 26"),
        ("nl", "donderdag 26 november 2 duizend 26"),
        ("pt", "quinta-feira 26 de novembro de 2 mil e 26"),
        ("pl", "czwartek dwudziestego szóstego listopada rok 2 tysiące 26"),
        ("sv", "torsdag den tjugosjätte november 20 hundra 26"),
        ("da", "torsdag den seksogtyvende november 2 tusind og 26"),
    ],
)
def test_a_date(code: str, words: str) -> None:
    assert said(code, Date(THURSDAY)) == words


@pytest.mark.parametrize(
    ("code", "year", "words"),
    [
        ("en", 2005, "2 thousand 5"),
        ("en", 1900, "19 hundred"),
        ("en", 1905, "19 oh 5"),
        ("de", 1999, "19 hundert 99"),
        ("de", 1100, "11 hundert"),
        ("nl", 1999, "19 honderd 99"),
        ("sv", 1984, "19 hundra 84"),
        ("da", 1984, "19 hundrede og 84"),
    ],
)
def test_years_that_are_not_said_as_numbers(code: str, year: int, words: str) -> None:
    assert said(code, Date(datetime.date(year, 1, 1))).endswith(words)


@pytest.mark.parametrize(
    ("code", "hour", "minute", "words"),
    [
        ("en", 0, 5, "12 oh 5 A M"),
        ("en", 12, 0, "12 P M"),
        ("en", 14, 30, "2 30 P M"),
        ("de", 1, 0, "ein Uhr"),
        ("de", 14, 5, "14 Uhr 5"),
        ("es", 1, 5, "la una y 5"),
        ("es", 21, 0, "las veintiuna"),
        ("fr", 1, 0, "une heure"),
        ("fr", 0, 10, "0 heure 10"),
        ("fr", 21, 30, "vingt et une heures 30"),
        ("it", 1, 5, "l'una e 5"),
        ("it", 14, 30, "le 14 e 30"),
        ("nl", 14, 5, "14 uur 5"),
        ("pt", 1, 5, "uma hora e 5"),
        ("pt", 22, 0, "vinte e duas horas"),
        ("pl", 14, 30, "czternasta 30"),
        ("pl", 0, 5, "godzina zero 0 5"),
        ("sv", 14, 5, "klockan 14 0 5"),
        ("da", 1, 0, "klokken et"),
        ("da", 14, 30, "klokken 14 30"),
    ],
)
def test_a_time_of_day(code: str, hour: int, minute: int, words: str) -> None:
    assert said(code, Clock(datetime.time(hour, minute))) == words


@pytest.mark.parametrize(
    ("code", "value", "words"),
    [
        ("en", Money(Decimal("1.01"), "USD"), "1 dollar and 1 cent"),
        ("en", Money(Decimal("-0.50")), "minus 50 cents"),
        ("de", Money(Decimal("21.30")), "21 Euro und 30 Cent"),
        ("de", Money(Decimal("1"), "EUR"), "ein Euro"),
        ("es", Money(Decimal("2000000")), "2 millones de euros"),
        ("es", Money(Decimal("1"), "GBP"), "una libra"),
        ("fr", Money(Decimal("1000000")), "1 million de euros"),
        ("fr", Money(Decimal("0")), "0 euros"),
        ("it", Money(Decimal("1000000")), "un milione di euro"),
        ("it", Money(Decimal("21.01")), "ventun euro e un centesimo"),
        ("nl", Money(Decimal("1.50")), "1 euro en 50 cent"),
        ("pt", Money(Decimal("2"), "GBP"), "duas libras"),
        ("pt", Money(Decimal("1000000")), "1 milhão de euros"),
        ("pl", Money(Decimal("3.12"), "USD"), "3 dolary i 12 centów"),
        ("pl", Money(Decimal("22.22"), "CHF"), "22 franki i 22 centymy"),
        ("sv", Money(Decimal("21"), "EUR"), "tjugoen euro"),
        ("sv", Money(Decimal("1"), "GBP"), "1 pund"),
        ("da", Money(Decimal("1"), "GBP"), "et pund"),
        ("da", Money(Decimal("101"), "EUR"), "hundrede og en euro"),
    ],
)
def test_money(code: str, value: Spoken, words: str) -> None:
    assert said(code, value) == words


def test_durations_leave_out_what_is_zero() -> None:
    assert said("en", Duration(3661.9)) == "1 hour 1 minute 1 second"
    assert said("de", Duration(7260)) == "2 Stunden eine Minute"
    assert said("fr", Duration(0)) == "0 secondes"


def test_today_and_yesterday_have_their_words() -> None:
    assert said("en", Date(THURSDAY, today=THURSDAY)) == "today"
    assert said("de", Date(THURSDAY, today=THURSDAY + datetime.timedelta(days=1))) == "gestern"
    assert said("es", Date(THURSDAY, today=THURSDAY + datetime.timedelta(days=2))).startswith("jueves")


def test_digits_and_letters_are_said_one_by_one() -> None:
    assert said("en", Digits("+49*#")) == "plus 4 9 star pound"
    assert said("en", Letters("Zoë 7")) == "Z O E 7"


@pytest.mark.parametrize(
    "make", [lambda: Digits("12a"), lambda: Digits(""), lambda: Number(10**12), lambda: Duration(-1)]
)
def test_what_cannot_be_said_is_refused(make: object) -> None:
    with pytest.raises(ValueError, match=r"said|digits"):
        make()  # type: ignore[operator]


def test_a_currency_without_a_word_is_named() -> None:
    with pytest.raises(ValueError, match="'XYZ' has no word: EUR"):
        LANGUAGES["en"].say(Money(Decimal("1"), "XYZ"))


@pytest.mark.parametrize("code", LANGUAGES)
def test_every_word_that_the_rules_can_ask_for_has_its_text(code: str) -> None:
    assert set(vocabulary(code)) <= set(texts(code))


@pytest.mark.parametrize("code", LANGUAGES)
def test_the_rules_ask_for_nothing_outside_of_the_vocabulary(code: str) -> None:
    known, language = set(vocabulary(code)), LANGUAGES[code]
    numbers = [
        *range(1200),
        1999,
        9999,
        21_021,
        81_081,
        100_000,
        121_121,
        999_999,
        1_000_000,
        21_000_000,
        10**9,
        10**12 - 1,
    ]
    for gender in ("m", "f", "n"):
        for number in numbers:
            assert known.issuperset(language.say(Number(number, gender)))  # type: ignore[arg-type]
    for minute in range(24 * 60):
        assert known.issuperset(language.say(Clock(datetime.time(minute // 60, minute % 60))))
    for day in range(366):
        assert known.issuperset(language.say(Date(datetime.date(2024, 1, 1) + datetime.timedelta(days=day))))


def test_the_shipped_english_set_has_every_text() -> None:
    prompts = PromptSet()
    assert [name for name in texts("en") if not prompts.has(name)] == []
