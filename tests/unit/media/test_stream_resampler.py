"""The resampler of the audio path: what passes, what is kept out, and that frames do not show."""

from __future__ import annotations

import numpy as np
import pytest
from audio_line import Samples

from media._dsp import Resampler

PAIRS = [(8000, 16000), (8000, 48000), (16000, 48000), (16000, 8000), (48000, 8000), (48000, 16000), (24000, 8000)]
PEAK = 16000


def resampled(rate: int, wanted: int, samples: Samples, frame: int | None = None) -> Samples:
    resampler, step = Resampler(rate, wanted), frame or rate // 50
    parts = [resampler.resample(samples[at : at + step]) for at in range(0, len(samples), step)]
    return np.frombuffer(b"".join(parts), np.int16)


def sine(hertz: float, rate: int) -> Samples:
    return np.rint(np.sin(2 * np.pi * hertz * np.arange(2 * rate) / rate) * PEAK).astype(np.int16)


def spectrum_db(samples: Samples, rate: int) -> np.ndarray:
    """Of one second in the middle; a bin is one hertz, 0 dB is the sine that went in."""
    middle = samples[rate // 2 : rate // 2 + rate].astype(float)
    return 20 * np.log10(np.abs(np.fft.rfft(middle * np.hanning(rate))) / (rate / 4) / PEAK + 1e-9)


@pytest.mark.parametrize(("rate", "wanted"), PAIRS)
def test_what_both_rates_hold_passes_within_a_tenth_of_a_decibel(rate: int, wanted: int) -> None:
    for hertz in (300, 1000, int(min(rate, wanted) * 0.4)):
        found = spectrum_db(resampled(rate, wanted, sine(hertz, rate)), wanted)
        assert abs(found[hertz]) < 0.1
        found[hertz - 4 : hertz + 5] = -200
        assert found.max() < -70  # no image, no product


@pytest.mark.parametrize(("rate", "wanted"), [pair for pair in PAIRS if pair[0] > pair[1]])
def test_what_would_alias_is_more_than_60_decibels_down(rate: int, wanted: int) -> None:
    for hertz in (wanted // 2 + 50, int(wanted * 0.6), int(wanted * 0.9)):
        if hertz < rate // 2:
            assert spectrum_db(resampled(rate, wanted, sine(hertz, rate)), wanted).max() < -60


@pytest.mark.parametrize(("rate", "wanted"), PAIRS)
def test_it_is_the_same_in_frames_of_any_length(rate: int, wanted: int) -> None:
    samples = np.random.default_rng(1).integers(-20000, 20000, rate // 5).astype(np.int16)
    whole = resampled(rate, wanted, samples, rate // 10)
    assert np.array_equal(whole, resampled(rate, wanted, samples, rate // 400))
    assert len(whole) == len(samples) * wanted // rate


def test_full_scale_saturates_and_does_not_wrap() -> None:
    square = np.tile(np.repeat(np.array([32767, -32768], np.int16), 8), 200)
    made = resampled(8000, 48000, square, 160)
    assert made.max() == 32767 and made.min() == -32768
    assert np.abs(np.diff(made.astype(int))).max() < 40000
