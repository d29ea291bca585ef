"""Resampling by a fixed ratio of whole numbers, for prompts at load time; never in the tick.

A Kaiser-windowed low-pass, evaluated at the samples that are wanted only. Up to 0.85 of the lower Nyquist frequency the
signal passes within 0.1 dB; from that Nyquist frequency on, what would alias or image is at least 70 dB down.
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil, gcd, pi

import numpy as np
from numpy.typing import NDArray

PASSBAND = 0.85
STOPBAND_DB = 75.0

# Output samples made in one step: bounds the memory of a long file.
_BLOCK = 2048


def resample(samples: NDArray[np.int16], rate: int, wanted: int) -> NDArray[np.int16]:
    """The same sound at `wanted` samples a second; as long to the nearest sample. Raises: ValueError."""
    if rate <= 0 or wanted <= 0:
        raise ValueError(f"{rate} to {wanted} samples a second is impossible")
    if rate == wanted or not len(samples):
        return samples
    divisor = gcd(rate, wanted)
    up, down = wanted // divisor, rate // divisor
    phases = _phases(up, down)
    reach = phases.shape[1] // 2
    padded = np.concatenate([np.zeros(reach), samples, np.zeros(reach + 1)]).astype(np.float32)
    count = round(len(samples) * up / down)
    blocks = [_block(padded, phases, up, down, at, min(at + _BLOCK, count)) for at in range(0, count, _BLOCK)]
    return np.clip(np.rint(np.concatenate(blocks)), -32768, 32767).astype(np.int16)


def _block(
    padded: NDArray[np.float32], phases: NDArray[np.float32], up: int, down: int, first: int, last: int
) -> NDArray[np.float32]:
    """Output samples `first` to `last`: each is the input around its place, weighed by the filter of its phase."""
    places = np.arange(first, last, dtype=np.int64) * down
    taps = phases.shape[1]
    windows = np.lib.stride_tricks.sliding_window_view(padded, taps)[np.minimum(places // up, len(padded) - taps)]
    weighed: NDArray[np.float32] = np.einsum("ij,ij->i", windows, phases[places % up])
    return weighed


@lru_cache(maxsize=32)
def _phases(up: int, down: int) -> NDArray[np.float32]:
    """The low-pass as one row of taps for each of the `up` places between two input samples."""
    # In units of input samples: the cutoff lies in the middle of the transition, which ends at the lower Nyquist.
    edge = min(1.0, up / down)
    width = edge * (1 - PASSBAND)
    half = ceil((STOPBAND_DB - 8) / (2.285 * pi * width) / 2)
    beta = 0.1102 * (STOPBAND_DB - 8.7)  # Kaiser's formula for more than 50 dB
    places = np.arange(-half, half + 1) - np.arange(up)[:, None] / up
    inside = np.clip(1 - (places / (half + 1)) ** 2, 0, None)
    cutoff = edge - width / 2
    taps = cutoff * np.sinc(cutoff * places) * np.i0(beta * np.sqrt(inside)) / np.i0(beta)
    rows: NDArray[np.float32] = (taps / taps.sum(axis=1, keepdims=True)).astype(np.float32)
    return rows
