"""Tones as the telephone network makes them: one or more sines for a time, and the signals of sixty countries.

A signal is a sequence of tones that is repeated; a tone without frequencies is the pause in it. Levels are dBm0 of the
whole tone (ITU-T E.180 §6 asks for -10 ± 5); frequencies and cadences are those of ITU-T E.180 supplement 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from media.tone_table import TABLE, information

# G.711: a sine of full scale has +3.14 dBm0 (A-law) or +3.17 dBm0 (µ-law).
FULL_SCALE_DBM0: Final = 3.14
LOUDEST_DBM0: Final = 0.0

# A tone that starts or ends at once is heard as a click.
RAMP_SECONDS: Final = 0.004

MAX_TONE_SECONDS: Final = 600.0


@dataclass(frozen=True, slots=True)
class Tone:
    """One sine, or several together, for `seconds`; without a frequency it is silence.

    Raises: ValueError for a frequency, a length or a level that no telephone has.
    """

    frequency: float | tuple[float, ...]
    seconds: float = 1.0
    level_dbm0: float = -10.0

    def __post_init__(self) -> None:
        if not all(0 < hertz < 4000 for hertz in self.frequencies):
            raise ValueError(f"{self.frequency} Hz: a tone lies between 0 and 4000 Hz")
        if not 0 < self.seconds <= MAX_TONE_SECONDS:
            raise ValueError(f"{self.seconds} s: a tone lasts up to {MAX_TONE_SECONDS:.0f} s")
        if not -60 <= self.level_dbm0 <= LOUDEST_DBM0:
            raise ValueError(f"{self.level_dbm0} dBm0: the level lies between -60 and {LOUDEST_DBM0:.0f}")

    @property
    def frequencies(self) -> tuple[float, ...]:
        """Its sines; none for silence."""
        return self.frequency if isinstance(self.frequency, tuple) else (self.frequency,)


# A steady tone is that long and then begins anew, with a fade that nobody hears.
STEADY_SECONDS: Final = 10.0

Signal = tuple[Tone, ...]


def pause(seconds: float) -> Tone:
    """Silence within a signal."""
    return Tone((), seconds)


def tone_samples(tone: Tone, rate: int = 8000) -> NDArray[np.int16]:
    """The tone as linear samples, faded in and out."""
    count = max(round(tone.seconds * rate), 1)
    frequencies = tone.frequencies
    if not frequencies:
        return np.zeros(count, np.int16)
    peak = 32767 * 10 ** ((tone.level_dbm0 - FULL_SCALE_DBM0) / 20) / sqrt(len(frequencies))
    time = np.arange(count) / rate
    samples = np.sum([np.sin(2 * np.pi * hertz * time) for hertz in frequencies], axis=0) * peak
    ramp = min(round(RAMP_SECONDS * rate), count // 2)
    fade = np.sin(np.arange(ramp) / max(ramp, 1) * np.pi / 2) ** 2
    samples[:ramp] *= fade
    samples[count - ramp :] *= fade[::-1]
    rounded: NDArray[np.int16] = np.clip(np.rint(samples), -32768, 32767).astype(np.int16)
    return rounded


# RFC 4733 §3.2 and ITU-T Q.23: each key is one of four rows with one of four columns.
_ROWS, _COLUMNS = (697.0, 770.0, 852.0, 941.0), (1209.0, 1336.0, 1477.0, 1633.0)
_KEYS: Final = ("123A", "456B", "789C", "*0#D")


def key_tone(digit: str, seconds: float = 0.1) -> Tone:
    """The two sines of a key, for peers that take no telephone-events. Raises: ValueError."""
    for row, keys in zip(_ROWS, _KEYS, strict=True):
        if len(digit) == 1 and digit in keys:
            return Tone((row, _COLUMNS[keys.index(digit)]), seconds, -6.0)
    raise ValueError(f"{digit!r} is no key: 0-9, *, #, A-D")


@dataclass(frozen=True, slots=True)
class Signals:
    """What the network of one country plays; each is repeated until the call goes on."""

    dial: Signal
    ringback: Signal
    busy: Signal
    congestion: Signal
    information: Signal


def _signal(text: str) -> Signal:
    """A signal as the table writes it."""
    return tuple(_tone(*part.partition("/")[::2]) for part in text.split(","))


def _tone(frequency: str, milliseconds: str) -> Tone:
    seconds = float(milliseconds) / 1000 if milliseconds else STEADY_SECONDS
    if frequency == "0":
        return pause(seconds)
    carrier, is_swelling, rate = frequency.partition("*")
    if is_swelling:
        return Tone((float(carrier) - float(rate) / 2, float(carrier) + float(rate) / 2), seconds)
    sines = tuple(float(hertz) for hertz in frequency.split("+"))
    return Tone(sines if len(sines) > 1 else sines[0], seconds)


def _signals(country: str) -> Signals:
    dial, ringback, busy, congestion = (_signal(text) for text in TABLE[country][:4])
    return Signals(dial, ringback, busy, congestion, _signal(information(country)))


SIGNALS: Final[Mapping[str, Signals]] = MappingProxyType({country: _signals(country) for country in TABLE})
