"""Two phones on the engine's manual clock that say samples and write down what they hear, with a line between."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from media_bench import Bench, rtp
from numpy.typing import NDArray

from media import Port
from media.codecs import Format

Samples = NDArray[np.int16]
TICK = 0.02


def tone(hertz: float, seconds: float, rate: int = 8000, peak: float = 8000.0) -> Samples:
    return np.rint(np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate) * peak).astype(np.int16)


@dataclass
class Phone:
    """Says `payloads`, one for `ptime` seconds, each `delay(index)` seconds late (None: lost)."""

    port: Port
    address: tuple[str, int]
    form: Format
    payloads: list[bytes]
    ptime: float = 0.02
    delay: Callable[[int], float | None] = lambda _: 0.0
    skew: float = 0.0  # how much faster its clock runs
    pauses: dict[int, int] = field(default_factory=dict)  # before the packet of that index: units of silence

    def arrivals(self, start: float) -> list[tuple[float, bytes]]:
        units = round(self.ptime * self.form.codec.clock_rate)
        found, timestamp, clock_rate = [], 1000, self.form.codec.clock_rate
        for index, payload in enumerate(self.payloads):
            timestamp += self.pauses.get(index, 0)
            late = self.delay(index)
            packet = rtp(index, timestamp, payload_type=self.form.payload_type, payload=payload)
            if late is not None:
                found.append((start + (timestamp - 1000) / clock_rate / (1 + self.skew) + late, packet))
            timestamp += units
        return found


def run(bench: Bench, phones: list[Phone], seconds: float) -> None:
    """Everything arrives in the order of its times; the engine ticks in between."""
    start = bench.now + 0.003
    queue = sorted(
        ((due, phone, packet) for phone in phones for due, packet in phone.arrivals(start)), key=lambda item: item[0]
    )
    at, end = 0, bench.now + seconds
    while bench.now < end - 1e-9:
        tick = bench.now + TICK
        while at < len(queue) and queue[at][0] <= tick:
            due, phone, packet = queue[at]
            bench.wait(max(due - bench.now, 0.0))
            bench.engine.feed(phone.port, packet, phone.address)
            at += 1
        bench.wait(tick - bench.now)


def jittered(seed: int, spread: float, loss: float = 0.0) -> Callable[[int], float | None]:
    draw = random.Random(seed)
    return lambda _: None if draw.random() < loss else draw.random() * spread


def snr_db(wanted: Samples, got: Samples) -> float:
    """Signal to noise when `got` is `wanted`, delayed by what fits best."""
    length = min(len(wanted), len(got))
    spectrum = np.fft.rfft(got[:length], 2 * length) * np.conj(np.fft.rfft(wanted[:length], 2 * length))
    lag = int(np.argmax(np.fft.irfft(spectrum)[:length]))
    a, b = wanted[: length - lag].astype(float), got[lag:length].astype(float)
    noise = float(np.mean((a - b) ** 2))
    return 10 * np.log10(float(np.mean(a**2)) / max(noise, 1e-9))


def sinad_db(samples: Samples, hertz: int, rate: int) -> float:
    """How far everything else is below the tone, over one second."""
    power = np.abs(np.fft.rfft(samples[:rate].astype(float) * np.hanning(rate))) ** 2
    tone_power = power[hertz - 3 : hertz + 4].sum()
    return float(10 * np.log10(tone_power / max(power.sum() - tone_power, 1e-9)))


def longest_step(samples: Samples) -> int:
    return int(np.abs(np.diff(samples.astype(int))).max())


def packed_l16(samples: Samples, frame: int) -> list[bytes]:
    data = samples.astype(">i2").tobytes()
    return [data[at : at + 2 * frame] for at in range(0, len(data) - 2 * frame + 1, 2 * frame)]


def unpacked(packet: bytes) -> tuple[int, int, int, bytes]:
    """Payload type, sequence, timestamp, payload."""
    second, sequence, timestamp = struct.unpack_from("!xBHI", packet)
    return second & 0x7F, sequence, timestamp, packet[12:]
