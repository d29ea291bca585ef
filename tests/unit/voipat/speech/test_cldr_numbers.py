"""Numbers in six languages against their readings by CLDR: the numbers to 99 are recorded whole, the rest is ours."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from voipat.speech import LANGUAGES
from voipat.speech.texts import texts

READINGS: dict[str, dict[str, dict[str, str]]] = json.loads(
    (Path(__file__).parents[3] / "vectors" / "speech" / "cldr_numbers.json").read_text()
)
# Two spellings of the same: vowels and consonants that fall together where words are joined, "tusind" and "tusinde".
SPELLINGS = {"it": ("centoott", "centott"), "sv": ("etttusen", "ettusen"), "da": ("tusinde", "tusind")}


def joined(code: str, text: str) -> str:
    """Without what only writing has."""
    plain = text.replace(" ", "").replace("-", "")
    return plain.replace(*SPELLINGS[code]) if code in SPELLINGS else plain


@pytest.mark.parametrize(
    ("code", "gender"), [(code, gender) for code, genders in READINGS.items() for gender in genders]
)
def test_numbers_are_read_as_cldr_reads_them(code: str, gender: str) -> None:
    words = {**texts(code), **{f"n{number}": READINGS[code]["n"][str(number)] for number in range(100)}}
    wrong = {}
    for number, reading in READINGS[code][gender].items():
        names = LANGUAGES[code].rules.number(int(number), gender)
        if names[-1] == "of":  # "um milhão de euros" is more than CLDR says
            names.pop()
        said = joined(code, " ".join(words[name] for name in names))
        if said != joined(code, reading):
            wrong[number] = (said, reading)
    assert not wrong and len(READINGS[code][gender]) > 100
