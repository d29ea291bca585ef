"""Tones: their frequencies, levels, edges; the signals of countries."""

from __future__ import annotations

import numpy as np
import pytest

from media.tones import SIGNALS, Signals, Tone, key_tone, pause, tone_samples


def lines(samples: np.ndarray, count: int) -> list[int]:
    """The strongest frequencies in hertz, by peaks at least 20 Hz apart."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), n=8000))
    found: list[int] = []
    for line in np.argsort(spectrum)[::-1]:
        if all(abs(int(line) - other) > 20 for other in found):
            found.append(int(line))
        if len(found) == count:
            break
    return sorted(found)


def test_a_tone_has_its_length_frequency_and_level() -> None:
    samples = tone_samples(Tone(440, seconds=0.3))
    assert len(samples) == 2400 and lines(samples, 1) == [440]
    rms = np.sqrt((samples[100:-100].astype(float) ** 2).mean())
    dbm0 = 20 * np.log10(rms * np.sqrt(2) / 32767) + 3.14
    assert dbm0 == pytest.approx(-10, abs=0.1)


def test_two_sines_share_the_level_of_one() -> None:
    one, two = (tone_samples(Tone(f, 1.0)).astype(float)[100:-100] for f in (440.0, (440.0, 480.0)))
    assert np.sqrt((two**2).mean()) == pytest.approx(np.sqrt((one**2).mean()), rel=0.01)
    assert lines(two, 2) == [440, 480]


def test_a_tone_begins_and_ends_without_a_click() -> None:
    samples = tone_samples(Tone(1000, 0.1)).astype(int)
    assert abs(samples[0]) < 50 and abs(samples[-1]) < 50
    assert np.abs(samples[:8]).max() < np.abs(samples).max() / 4


@pytest.mark.parametrize(
    "arguments", [(0,), (4000,), (-5,), (440, 0), (440, -1), (440, 1e9), (440, 1, 3), (440, 1, -61)]
)
def test_a_tone_that_no_telephone_has_is_refused(arguments: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"Hz|s:|dBm0"):
        Tone(*arguments)


def test_keys_have_the_two_frequencies_of_q23() -> None:
    assert key_tone("1").frequencies == (697.0, 1209.0)
    assert key_tone("0").frequencies == (941.0, 1336.0)
    assert key_tone("D").frequencies == (941.0, 1633.0)
    assert lines(tone_samples(key_tone("5", 0.2)), 2) == [770, 1336]
    for wrong in ("", "E", "12"):
        with pytest.raises(ValueError, match="no key"):
            key_tone(wrong)


@pytest.mark.parametrize("country", sorted(SIGNALS))
def test_signals_of_a_country_are_tones_and_pauses(country: str) -> None:
    signals = SIGNALS[country]
    for name in Signals.__dataclass_fields__:
        signal = getattr(signals, name)
        assert signal[0].frequencies, f"{name} begins with a tone"
        assert 0.2 <= sum(tone.seconds for tone in signal) <= 15
    # Busy and congestion repeat faster than ringback: that is how a caller tells them.
    assert sum(tone.seconds for tone in signals.busy) < sum(tone.seconds for tone in signals.ringback)


def test_a_pause_is_silent() -> None:
    assert not tone_samples(pause(0.5)).any()
