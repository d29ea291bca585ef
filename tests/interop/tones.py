"""What was heard: the dominant frequency, and the longest hole in a tone."""

from __future__ import annotations

from typing import Any

import numpy as np

Samples = np.ndarray[Any, np.dtype[np.int16]]


def dominant_frequency(samples: Samples, rate: int = 8000) -> float:
    """Hz of the strongest line, to about a hertz for a second or more of signal."""
    window = samples.astype(np.float64) * np.hanning(len(samples))
    spectrum = np.abs(np.fft.rfft(window))
    return float(np.argmax(spectrum) * rate / len(samples))


def longest_gap_ms(samples: Samples, *, level: float = 1000.0, rate: int = 8000) -> float:
    """The longest stretch, in ms, whose 5 ms blocks all stay under `level` (RMS), lead-in and tail cut."""
    block = rate // 200
    usable = samples[: len(samples) // block * block].reshape(-1, block).astype(np.float64)
    loud = np.sqrt((usable**2).mean(axis=1)) >= level
    indices = np.flatnonzero(loud)
    if not len(indices):
        return float("inf")
    gaps = np.diff(indices) - 1
    return float(gaps.max(initial=0) * 5)


def toned_seconds(samples: Samples, *, level: float = 1000.0, rate: int = 8000) -> float:
    """Seconds between the first and the last block that holds sound."""
    block = rate // 200
    usable = samples[: len(samples) // block * block].reshape(-1, block).astype(np.float64)
    indices = np.flatnonzero(np.sqrt((usable**2).mean(axis=1)) >= level)
    return float((indices[-1] - indices[0] + 1) * 0.005) if len(indices) else 0.0
