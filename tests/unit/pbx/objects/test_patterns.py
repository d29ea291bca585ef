"""Number patterns: what matches, which wins, which can never win, which are refused."""

from __future__ import annotations

import itertools

import pytest

from pbx.objects.patterns import compiled


@pytest.mark.parametrize(
    ("text", "fits", "fails"),
    [
        ("911", ["911"], ["9111", "91", ""]),
        ("9X.", ["912", "9005551"], ["9", "9*", "9a", "812"]),
        ("9!", ["9", "9123"], ["", "8"]),
        ("+1NXXNXXXXXX", ["+12025550100"], ["+11025550100", "+1202555010"]),
        ("[1-3*]Z", ["11", "*9"], ["10", "41"]),
        ("re:00[1-9]\\d{3,}", ["004999"], ["00499", "000999"]),
    ],
)
def test_a_pattern_fits_what_it_says(text: str, fits: list[str], fails: list[str]) -> None:
    assert all(compiled(text).matches(number) for number in fits)
    assert not any(compiled(text).matches(number) for number in fails)


def test_the_pattern_that_leaves_less_open_ranks_first() -> None:
    texts = ["re:9.*", "9!", "9.", "9X.", "90X.", "901", "9XX", "90X"]
    assert sorted(texts, key=lambda text: compiled(text).rank) == [
        "901", "90X", "90X.", "9XX", "9X.", "9.", "9!", "re:9.*",
    ]  # fmt: skip


def test_covers_agrees_with_every_number_of_a_small_alphabet() -> None:
    texts = ["1", "12", "X", "1X", "XX", "1.", "1!", "X.", "[12]", "[12].", "12!", "XX."]
    numbers = ["".join(digits) for count in range(1, 5) for digits in itertools.product("0129", repeat=count)]
    for one, other in itertools.product(map(compiled, texts), repeat=2):
        if one.covers(other):
            assert all(one.matches(number) for number in numbers if other.matches(number)), (one.text, other.text)
        elif not other.tail:
            # Short enough to be counted out.
            assert any(other.matches(number) and not one.matches(number) for number in numbers) or "X" in other.text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "9.9",
        "[",
        "[]",
        "[9-1]",
        "[a]",
        "re:(a+)+",
        "re:(\\d)\\1",
        "re:.*.*.*x",
        "re:(?=1)",
        "re:[",
        "(1)",
        "x" * 65,
    ],
)
def test_what_is_no_pattern_or_could_take_long_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"pattern|expression"):
        compiled(text)
