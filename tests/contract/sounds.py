"""Which prompts a phone heard: each is sought in the recording by cross-correlation with its own samples.

A prompt counts where the first second of it matches better than any other does; tones are told by their frequency.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np

import voipat.speech
from media.wav import read_wav_file

Samples = np.ndarray[Any, np.dtype[np.int16]]
Floats = np.ndarray[Any, np.dtype[np.float32]]
Spectrum = np.ndarray[Any, np.dtype[np.complex64]]

RATE: Final = 8000
PROMPTS: Final = Path(voipat.speech.__file__).parent / "prompts" / "en"
# What is sought of a prompt: a key may cut the rest.
SOUGHT_S: Final = 1.2
SHORTEST_S: Final = 0.5
MATCH: Final = 0.6
_BLOCK: Final = 400  # 50 ms, to 20 Hz
# Prompts are sought at half the rate, in stretches that overlap by the longest template.
_HALF: Final = RATE // 2
_STRETCH: Final = 1 << 14
_OVERLAP: Final = int(SOUGHT_S * _HALF)
_NUMERAL: Final = re.compile(r"n\d+$|ord-|letter-")
# Of the music that the example's queue plays; phones are told by others.
MUSIC_HERTZ: Final = (523, 659, 784)
_FLOOR: Final = 10.0  # of the samples: what is quieter matches nothing


def heard_prompts(samples: Samples) -> list[tuple[float, str]]:
    """(second, name) of every prompt in the recording."""
    signal = _halved(samples)
    hop = _STRETCH - _OVERLAP
    count = max(1, -(-len(signal) // hop))
    padded = np.pad(signal, (0, count * hop + _OVERLAP - len(signal)))
    stretches = np.lib.stride_tricks.sliding_window_view(padded, _STRETCH)[::hop]
    spectra = np.fft.rfft(stretches)
    energy = np.concatenate(([0.0], np.cumsum(padded.astype(np.float64) ** 2)))
    found: list[tuple[float, int, int, str]] = []
    for name, (length, template) in _templates().items():
        match = np.fft.irfft(spectra * template, _STRETCH)[:, :hop].reshape(-1)
        power = energy[length : length + len(match)] - energy[: len(match)]
        score = match / np.sqrt(np.maximum(power, length * _FLOOR**2))
        while score[best := int(np.argmax(score))] >= MATCH:
            found.append((float(score[best]), best, length, name))
            score[max(0, best - length) : best + length] = 0.0
    taken: list[tuple[int, int, str]] = []
    for _, start, length, name in sorted(found, reverse=True):
        if all(start + length <= other or other + size <= start for other, size, _ in taken):
            taken.append((start, length, name))
    return [(start / _HALF, name) for start, _, name in sorted(taken)]


def heard_tones(samples: Samples, *, shortest_s: float = 0.15) -> list[tuple[float, int]]:
    """(second, hertz) of every steady tone, to 20 Hz, in the order in which they began."""
    blocks = samples[: len(samples) // _BLOCK * _BLOCK].reshape(-1, _BLOCK).astype(np.float64)
    power = np.abs(np.fft.rfft(blocks * np.hanning(_BLOCK), axis=1)) ** 2
    peak = power.argmax(axis=1)
    around = sum(power[np.arange(len(power)), np.clip(peak + shift, 0, power.shape[1] - 1)] for shift in (-1, 0, 1))
    is_tone = (around > 0.85 * power.sum(axis=1)) & (blocks.std(axis=1) > 300)
    found: list[tuple[float, int]] = []
    start = 0
    for index in range(1, len(peak) + 1):
        if index < len(peak) and is_tone[index] and is_tone[start] and abs(int(peak[index]) - int(peak[start])) <= 1:
            continue
        if is_tone[start : start + 1].any() and (index - start) * _BLOCK / RATE >= shortest_s:
            found.append((start * _BLOCK / RATE, int(peak[start]) * RATE // _BLOCK))
        start = index
    return found


def timeline(samples: Samples, phones: dict[str, int]) -> list[str]:
    """Prompts, and tones as music, by the phone whose they are or else by their hertz, in the order heard."""
    by_hertz = {**dict.fromkeys(MUSIC_HERTZ, "music"), **{hertz: f"phone:{user}" for user, hertz in phones.items()}}
    told: list[tuple[float, str]] = list(heard_prompts(samples))
    for second, hertz in heard_tones(samples):
        near = min(by_hertz, key=lambda each: abs(each - hertz))
        told.append((second, by_hertz[near] if abs(near - hertz) <= 20 else f"tone:{hertz}"))
    return [name for _, name in sorted(told)]


def is_heard(wanted: tuple[str, ...], line: list[str]) -> bool:
    """Whether all are there in this order; a tone is told to 20 Hz."""
    rest = iter(line)
    return all(any(_is(each, heard) for heard in rest) for each in wanted)


def _is(wanted: str, heard: str) -> bool:
    if wanted.startswith("tone:") and heard.startswith("tone:"):
        return abs(int(wanted[5:]) - int(heard[5:])) <= 20
    return wanted == heard


def _halved(samples: Samples) -> Floats:
    even = samples[: len(samples) // 2 * 2].astype(np.float32)
    return (even[::2] + even[1::2]) / 2


@lru_cache(maxsize=1)
def _templates() -> dict[str, tuple[int, Spectrum]]:
    """The length of each, and its spectrum turned round, of unit energy."""
    found = {}
    for path in sorted(PROMPTS.rglob("*.wav")):
        if _NUMERAL.match(path.stem):
            continue  # "five" is in "four to five digits" too
        samples = _halved(np.asarray(read_wav_file(path).samples))
        loud = np.flatnonzero(np.abs(samples) > 500)
        samples = samples[loud[0] : loud[0] + _OVERLAP] if len(loud) else samples[:0]
        if len(samples) >= SHORTEST_S * _HALF:
            spectrum = np.conj(np.fft.rfft(samples / np.linalg.norm(samples), _STRETCH))
            found[path.relative_to(PROMPTS).with_suffix("").as_posix()] = len(samples), spectrum
    return found
