"""What simulated phones say and hear: G.711 µ-law and A-law tones, RFC 4733 digits, and a recorder that can tell them.

One RTP packet is 20 ms of 8 kHz audio. Frequencies are whole hertz, so that a tone repeats after one second.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

CLOCK_RATE: Final = 8000
FRAME: Final = 160
FRAME_SECONDS: Final = 0.02
PCMU, PCMA = 0, 8
DIGITS: Final = "0123456789*#ABCD"

# RFC 4733 §2.5.1.4: the end of an event is sent three times.
_DIGIT_PACKETS, _DIGIT_ENDS = 5, 3
_LOUDEST = 8000.0
_RTP_HEADER = struct.Struct("!BBHII")


@lru_cache(maxsize=64)
def tone_frames(hertz: int, payload_type: int = PCMU) -> tuple[bytes, ...]:
    """One second of a tone as 50 encoded frames; 0 Hz is silence."""
    samples = np.sin(2 * np.pi * hertz * np.arange(CLOCK_RATE) / CLOCK_RATE) * _LOUDEST
    codes = _encoder(payload_type)[(samples.astype(np.int32) + 32768)]
    return tuple(codes[start : start + FRAME].tobytes() for start in range(0, CLOCK_RATE, FRAME))


@lru_cache(maxsize=2)
def _encoder(payload_type: int) -> NDArray[np.uint8]:
    """The nearest code for each 16-bit sample: slow to make and plain to read, as a reference should be."""
    levels = decoder(payload_type)
    order = np.argsort(levels, kind="stable")
    borders = (levels[order][1:].astype(np.int64) + levels[order][:-1]) / 2
    return order[np.searchsorted(borders, np.arange(-32768, 32768))].astype(np.uint8)


@lru_cache(maxsize=2)
def decoder(payload_type: int) -> NDArray[np.int32]:
    """ITU-T G.711: the 16-bit sample of each of the 256 codes."""
    code = np.arange(256)
    if payload_type == PCMU:
        code = ~code & 0xFF
        magnitude = ((((code & 0x0F) << 3) + 0x84) << ((code & 0x70) >> 4)) - 0x84
        return np.where(code & 0x80, -magnitude, magnitude).astype(np.int32)
    code = code ^ 0x55
    segment, step = (code & 0x70) >> 4, (code & 0x0F) << 4
    magnitude = np.where(segment == 0, step + 8, (step + 0x108) << np.maximum(segment - 1, 0))
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.int32)


@dataclass(slots=True)
class Talker:
    """Makes the RTP packets of one phone: a tone, and between its frames the digits that are pressed."""

    ssrc: int
    sequence: int
    timestamp: int
    tone: int = 0
    payload_type: int = PCMU
    telephone_event: int | None = None
    _frame: int = 0
    _digits: list[tuple[int, bytes]] = field(default_factory=list)
    _marker: bool = True

    def press(self, digit: str) -> None:
        """Queue a digit of 100 ms: its packets take the place of the tone's."""
        event = DIGITS.index(digit)
        steps = [min(step, _DIGIT_PACKETS) for step in range(1, _DIGIT_PACKETS + _DIGIT_ENDS + 1)]
        for number, step in enumerate(steps):
            end = 0x80 if number >= _DIGIT_PACKETS else 0
            self._digits.append((number, struct.pack("!BBH", event, end | 10, step * FRAME)))

    @property
    def is_pressing(self) -> bool:
        """Whether digits are still being sent."""
        return bool(self._digits)

    def packet(self, *, skipped: int = 0) -> bytes:
        """The next packet; `skipped` frames of silence suppression lie before it."""
        self.timestamp = (self.timestamp + skipped * FRAME) & 0xFFFFFFFF
        self._frame += skipped
        if self._digits and self.telephone_event is not None:
            return self._digit_packet(self.telephone_event)
        frames = tone_frames(self.tone, self.payload_type)
        payload = frames[self._frame % len(frames)]
        packet = self._rtp(self.payload_type, self.timestamp, payload, marker=self._marker or skipped > 0)
        self._marker = False
        self._advance()
        return packet

    def _digit_packet(self, payload_type: int) -> bytes:
        number, payload = self._digits.pop(0)
        # All packets of one event carry the time of its start (RFC 4733 §2.1).
        start = (self.timestamp - number * FRAME) & 0xFFFFFFFF
        packet = self._rtp(payload_type, start, payload, marker=number == 0)
        self._advance()
        return packet

    def _rtp(self, payload_type: int, timestamp: int, payload: bytes, *, marker: bool) -> bytes:
        second = payload_type | (0x80 if marker else 0)
        return _RTP_HEADER.pack(0x80, second, self.sequence, timestamp, self.ssrc) + payload

    def _advance(self) -> None:
        self._frame += 1
        self.sequence = (self.sequence + 1) & 0xFFFF
        self.timestamp = (self.timestamp + FRAME) & 0xFFFFFFFF


@dataclass(slots=True)
class Recorder:
    """What a phone received: arrival, sequence number, timestamp and payload of each packet, and the digits."""

    telephone_event: int | None = None
    packets: int = 0
    digits: str = ""
    _audio: list[tuple[float, int, int, bytes]] = field(default_factory=list)
    _last_event: int | None = None

    def take(self, data: bytes, now: float) -> None:
        """One RTP packet came."""
        if len(data) < _RTP_HEADER.size or data[0] >> 6 != 2:
            return
        _, second, _, timestamp, _ = _RTP_HEADER.unpack_from(data)
        self.packets += 1
        payload_type, payload = second & 0x7F, data[_RTP_HEADER.size :]
        if payload_type == self.telephone_event:
            self._take_digit(timestamp, payload)
        elif payload_type in (PCMU, PCMA):
            self._audio.append((now, payload_type, timestamp, payload))

    def _take_digit(self, timestamp: int, payload: bytes) -> None:
        if timestamp != self._last_event and payload and payload[0] < len(DIGITS):
            self._last_event = timestamp
            self.digits += DIGITS[payload[0]]

    def samples(self, *, since: float = 0.0) -> NDArray[np.int32]:
        """The audio that arrived from `since` on, in order of its timestamps."""
        frames = sorted((item for item in self._audio if item[0] >= since), key=lambda item: item[2])
        decoded = [decoder(kind)[np.frombuffer(data, np.uint8)] for _, kind, _, data in frames]
        return np.concatenate([np.empty(0, np.int32), *decoded])

    def tone(self, *, since: float = 0.0) -> int | None:
        """The loudest frequency in hertz, or None for silence and for less than 100 ms of audio."""
        samples = self.samples(since=since)[-CLOCK_RATE:].astype(np.float64)
        if len(samples) < 5 * FRAME or np.abs(samples).max() < 100:
            return None
        spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), n=CLOCK_RATE))
        return int(spectrum.argmax())

    def hears(self, hertz: int, *, since: float = 0.0, within: int = 5) -> bool:
        """Whether the loudest frequency is `hertz`, give or take `within`."""
        tone = self.tone(since=since)
        return tone is not None and abs(tone - hertz) <= within

    def among(self, hertz: int, *, since: float = 0.0, within: int = 5) -> bool:
        """Whether `hertz` is one of the frequencies heard: at least a tenth of what the loudest has."""
        samples = self.samples(since=since)[-CLOCK_RATE:].astype(np.float64)
        if len(samples) < 5 * FRAME or np.abs(samples).max() < 100:
            return False
        spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), n=CLOCK_RATE))
        return bool(spectrum[max(0, hertz - within) : hertz + within + 1].max() > spectrum.max() / 10)

    def longest_gap(self) -> float:
        """The longest stretch without audio between the first and the last packet, in seconds of media time."""
        stamps = sorted({stamp for _, _, stamp, _ in self._audio})
        gaps = [after - before - FRAME for before, after in pairwise(stamps)]
        return max(gaps, default=0) / CLOCK_RATE
