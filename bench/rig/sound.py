"""What sounds like speech to a codec and to a mixer: a voice with its overtones, in syllables, with pauses."""

from __future__ import annotations

import struct
from functools import lru_cache

import numpy as np

from media._dsp import ulaw_encode

RATE = 8000
VOICE_HZ, OVERTONES, SYLLABLES_HZ = 120.0, 24, 4.0
LOUDEST = 6000.0
PHRASE_S, PAUSE_S = 2.0, 0.5


@lru_cache(maxsize=4)
def speech(seconds: int) -> bytes:
    """G.711 µ-law at 8 kHz; the same octets each time."""
    time = np.arange(seconds * RATE) / RATE
    pitch = 2 * np.pi * np.cumsum(VOICE_HZ + 15.0 * np.sin(2 * np.pi * 0.7 * time)) / RATE
    voice = sum(np.sin(pitch * number) / number for number in range(1, OVERTONES + 1))
    breath = np.random.default_rng(1).normal(0.0, 0.2, len(time))
    syllables = 0.5 - 0.5 * np.cos(2 * np.pi * SYLLABLES_HZ * time)
    speaks = time % (PHRASE_S + PAUSE_S) < PHRASE_S
    samples = LOUDEST * (voice + breath) * syllables * speaks
    return ulaw_encode(samples.clip(-32767, 32767).astype(np.int16))


def wav(seconds: int) -> bytes:
    """The same as a file (G.711 µ-law is format 7)."""
    octets = speech(seconds)
    head = b"WAVEfmt " + struct.pack("<IHHIIHH", 18, 7, 1, RATE, RATE, 1, 8) + b"\0\0"
    head += b"data" + struct.pack("<I", len(octets))
    return b"RIFF" + struct.pack("<I", len(head) + len(octets)) + head + octets
