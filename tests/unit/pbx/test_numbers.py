"""What people dial becomes E.164: a corpus made by rule, and the cases that rules trip over."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from pbx.numbers import NANP, InvalidNumberError, NumberPlan, normalise

GERMANY = NumberPlan("49", ("00",), "0", area="30", emergency=frozenset({"110", "112"}))
SPAIN = NumberPlan("34", ("00",), "", emergency=frozenset({"112"}))
FRANCE = NumberPlan("33", ("00",), "0", emergency=frozenset({"15", "17", "18", "112"}))
AMERICA = NumberPlan("1", ("011",), "1", area="202", subscriber=7, emergency=frozenset({"911", "112", "9911", "9112"}))
PLANS = {"de": GERMANY, "es": SPAIN, "fr": FRANCE, "us": AMERICA}


def spaced(digits: str, dice: random.Random) -> str:
    """The digits as people write them."""
    out = ""
    for digit in digits:
        out += digit + (dice.choice(["-", " ", ".", "/", ""]) if dice.random() < 0.3 else "")
    return out


def corpus() -> Iterator[tuple[str, str, str]]:
    """(plan, written, E.164): 6,000 numbers in every spelling that a plan has."""
    dice = random.Random(3966)
    lengths = {"de": (9, 11), "es": (9, 9), "fr": (9, 9), "us": (10, 10)}
    for _ in range(1500):
        for name, plan in PLANS.items():
            size = dice.randint(*lengths[name])
            national = dice.choice("23456789") + "".join(dice.choice("0123456789") for _ in range(size - 1))
            other = dice.choice(["44", "7", "353", "81", "61"]) + "".join(dice.choice("123456789") for _ in range(9))
            spellings = [
                (f"+{plan.country}{national}", f"+{plan.country}{national}"),
                (f"{plan.international[0]}{plan.country}{national}", f"+{plan.country}{national}"),
                (f"{plan.national}{national}", f"+{plan.country}{national}"),
                (f"+{other}", f"+{other}"),
                (f"{plan.international[0]}{other}", f"+{other}"),
                (f"%2B{other};ext=7;npdi;rn=+1", f"+{other}"),
            ]
            written, expected = dice.choice(spellings)
            yield name, spaced(written, dice) if "%" not in written else written, expected


def test_a_corpus_of_six_thousand_numbers() -> None:
    found = list(corpus())
    assert len(found) >= 5000
    wrong = [row for row in found if normalise(PLANS[row[0]], row[1]) != row[2]]
    assert wrong == []


@pytest.mark.parametrize(("plan", "number"), [(plan, each) for plan in PLANS.values() for each in plan.emergency])
def test_an_emergency_number_is_never_changed(plan: NumberPlan, number: str) -> None:
    assert normalise(plan, number) == number


def test_normalising_twice_changes_nothing() -> None:
    for name, written, _ in corpus():
        once = normalise(PLANS[name], written)
        assert normalise(PLANS[name], once) == once


@pytest.mark.parametrize(
    ("plan", "written", "expected"),
    [
        (GERMANY, "+49 (0)30 1234-56", "+4930123456"),
        (GERMANY, "(030) 12 34-56", "+4930123456"),
        (GERMANY, "123456", "+4930123456"),
        (AMERICA, "555-0100", "+12025550100"),
        (AMERICA, "(202) 555-0100", "+12025550100"),
        (AMERICA, "1 202 555 0100", "+12025550100"),
        (AMERICA, "011 49 30 123456", "+4930123456"),
        (SPAIN, "912 345 678", "+34912345678"),
        (NANP, "2025550100", "+12025550100"),
    ],
)
def test_a_spelling_of_its_country(plan: NumberPlan, written: str, expected: str) -> None:
    assert normalise(plan, written) == expected


@pytest.mark.parametrize(
    ("plan", "written", "status"),
    [
        (GERMANY, "", 404),
        (GERMANY, "alice", 404),
        (GERMANY, "*43", 404),
        (GERMANY, "+", 404),
        (GERMANY, "++4930123", 404),
        (GERMANY, "0049+30", 404),
        (GERMANY, "+0301234567", 404),
        (GERMANY, "+" + "4" * 16, 404),
        (GERMANY, "٣٤٥٦٧٨٩", 404),
        (GERMANY, "1" * 10_000, 404),
        (GERMANY, "%zz", 404),
        (GERMANY, "+4912", 484),
        (FRANCE, "01", 484),
        (NANP, "5550100", 484),
    ],
)
def test_what_is_no_number_is_404_and_what_is_too_short_484(plan: NumberPlan, written: str, status: int) -> None:
    with pytest.raises(InvalidNumberError) as caught:
        normalise(plan, written)
    assert caught.value.reason.status == status
