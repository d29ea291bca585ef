"""ITU-T G.711 with G.191's rounding: all 65,536 samples and all 256 codes, against the tables of the recommendation."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from media import _dsp

SAMPLES = np.arange(-32768, 32768).astype(np.int16)
CODES = np.arange(256).astype(np.uint8)


def ulaw_values() -> tuple[np.ndarray, np.ndarray]:
    """G.711 table 2a: decision values x1…x127 and quantized values y0…y127, of 14 bits."""
    steps = [1, *[2] * 15, *[4] * 16, *[8] * 16, *[16] * 16, *[32] * 16, *[64] * 16, *[128] * 16, *[256] * 16]
    decisions = np.cumsum(steps)
    return decisions[:127], np.array([0, *[(a + b) // 2 for a, b in pairwise(decisions)]])


def alaw_values() -> tuple[np.ndarray, np.ndarray]:
    """G.711 table 1a: decision values x1…x127 of 12 bits, quantized values y1…y128 of 13 bits."""
    steps = [*[1] * 32, *[2] * 16, *[4] * 16, *[8] * 16, *[16] * 16, *[32] * 16, *[64] * 16]
    decisions = np.cumsum(steps)
    return decisions[:127], np.array([a + b for a, b in pairwise([0, *decisions])])


def encoded(law: str) -> np.ndarray:
    plain = SAMPLES.astype(np.int32)
    magnitude = np.where(plain < 0, ~plain, plain) >> (2 if law == "ulaw" else 4)
    decisions = (ulaw_values() if law == "ulaw" else alaw_values())[0]
    number = np.searchsorted(decisions, magnitude, side="right")
    if law == "ulaw":
        return np.where(plain < 0, 0x7F, 0xFF) ^ number
    return np.where(plain < 0, 0x00, 0x80) ^ number ^ 0x55


def decoded(law: str) -> np.ndarray:
    if law == "ulaw":
        number, is_negative, scale = ~CODES & 0x7F, CODES & 0x80 == 0, 4
        values = ulaw_values()[1]
    else:
        number, is_negative, scale = (CODES ^ 0x55) & 0x7F, CODES & 0x80 == 0, 8
        values = alaw_values()[1]
    return np.where(is_negative, -1, 1) * values[number] * scale


@pytest.mark.parametrize("law", ["ulaw", "alaw"])
def test_every_sample_has_the_code_of_the_table(law: str) -> None:
    found = np.frombuffer(getattr(_dsp, f"{law}_encode")(SAMPLES), np.uint8)
    assert np.array_equal(found, encoded(law))


@pytest.mark.parametrize("law", ["ulaw", "alaw"])
def test_every_code_has_the_value_of_the_table(law: str) -> None:
    found = np.frombuffer(getattr(_dsp, f"{law}_decode")(CODES.tobytes()), np.int16)
    assert np.array_equal(found, decoded(law))


@pytest.mark.parametrize("law", ["ulaw", "alaw"])
def test_a_code_that_is_decoded_and_encoded_is_itself(law: str) -> None:
    samples = np.frombuffer(getattr(_dsp, f"{law}_decode")(CODES.tobytes()), np.int16)
    again = np.frombuffer(getattr(_dsp, f"{law}_encode")(samples), np.uint8)
    # µ-law has two codes for zero.
    same = again == CODES
    assert np.flatnonzero(~same).tolist() == ([0x7F] if law == "ulaw" else [])


def test_nothing_is_encoded_as_nothing() -> None:
    assert _dsp.ulaw_encode(SAMPLES[:0]) == _dsp.alaw_encode(SAMPLES[:0]) == b""
    assert _dsp.ulaw_decode(b"") == _dsp.alaw_decode(b"") == b""
