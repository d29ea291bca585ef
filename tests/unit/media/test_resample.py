"""The resampler of prompts: what it passes, what it keeps out, how long the result is."""

from __future__ import annotations

import numpy as np
import pytest

from media.resample import resample


def sine(hertz: float, rate: int, seconds: float = 1.0, level: float = 20000) -> np.ndarray:
    return np.rint(level * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)).astype(np.int16)


def level(samples: np.ndarray) -> float:
    """RMS without the edges, where the filter runs in and out."""
    middle = samples[len(samples) // 4 : -len(samples) // 4].astype(float)
    return float(np.sqrt((middle**2).mean()))


def decibels(samples: np.ndarray, reference: np.ndarray) -> float:
    return float(20 * np.log10(max(level(samples), 1e-3) / level(reference)))


@pytest.mark.parametrize("rate", [11025, 16000, 22050, 24000, 32000, 44100, 48000])
def test_no_alias_is_louder_than_60_db_below_the_tone(rate: int) -> None:
    for hertz in np.arange(4010, rate / 2, 350):
        tone = sine(float(hertz), rate, 0.4)
        assert decibels(resample(tone, rate, 8000), tone) < -60, hertz


@pytest.mark.parametrize(("rate", "wanted"), [(8000, 16000), (8000, 48000), (16000, 48000)])
def test_no_image_is_louder_than_60_db_below_the_tone(rate: int, wanted: int) -> None:
    for hertz in (300.0, 1000.0, rate * 0.4):
        found = resample(sine(hertz, rate), rate, wanted).astype(float)
        middle = found[wanted // 4 : wanted * 3 // 4]
        spectrum = np.abs(np.fft.rfft(middle * np.blackman(len(middle))))
        line = round(hertz * len(middle) / wanted)
        others = np.delete(spectrum, slice(max(line - 5, 0), line + 6))
        assert 20 * np.log10(others.max() / spectrum[line]) < -60, hertz


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 44100, 48000])
@pytest.mark.parametrize("wanted", [8000, 16000, 48000])
def test_speech_passes_at_its_level_and_its_place(rate: int, wanted: int) -> None:
    for hertz in (50.0, 440.0, 1000.0, 3000.0, 3400.0):
        found, expected = resample(sine(hertz, rate), rate, wanted), sine(hertz, wanted)
        assert len(found) == len(expected)
        # Hence neither delayed nor changed: -40 dB of difference is 0.1 dB of level or half a degree.
        difference = found.astype(float) - expected
        assert decibels(difference, expected) < -40, hertz


def test_silence_nothing_and_a_loud_edge() -> None:
    assert not resample(np.zeros(480, np.int16), 48000, 8000).any()
    assert len(resample(np.zeros(0, np.int16), 48000, 8000)) == 0
    assert len(resample(np.ones(1, np.int16), 8000, 48000)) == 6
    square = np.where(np.arange(4800) % 240 < 120, 32767, -32768).astype(np.int16)
    assert np.abs(resample(square, 48000, 8000).astype(int)).max() <= 32768  # clipped, not wrapped
    with pytest.raises(ValueError, match="impossible"):
        resample(np.zeros(1, np.int16), 0, 8000)
