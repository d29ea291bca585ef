"""The media kernels one by one, on the manual clock: no socket, no thread; what Python adds to feed them counts too."""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING

import numpy as np

from bench.rig.sound import speech
from media import Engine, ManualClock, Port, SrtpKeys
from media._dsp import Resampler, ulaw_decode, ulaw_encode
from media.codecs import PCMU, Format
from media.keys import AES_CM_80

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

PHONES = [("192.0.2.1", 4000), ("192.0.2.2", 4000)]
SPOKEN = Format(PCMU, 0)
FRAME_S = 0.02
SAMPLES = np.frombuffer(ulaw_decode(speech(1)[:160]), np.int16)


class Line:
    """Ports of an engine, fed one packet each and stepped by 20 ms a time."""

    def __init__(self, parties: int = 2) -> None:
        self.engine = Engine(clock=ManualClock(), port_range=(20000, 20000 + 4 * parties + 9))
        self.sources = [("192.0.2.1", 4000 + index) for index in range(parties)]
        self.ports = [self._open(index) for index in range(parties)]
        self.number = 0
        self._sound = speech(1)

    def _open(self, index: int) -> Port:
        port = self.engine.open_port("127.0.0.1", remote=self.sources[index], ssrc=index + 1, sequence=1, timestamp=1)
        self.engine.set_remote(port, self.sources[index], payload_types={0, 101}, telephone_event=101)
        return port

    def relay(self) -> None:
        self.engine.connect(*self.ports[:2], a_to_b={0: 0}, b_to_a={0: 0})

    def room(self) -> None:
        room = self.engine.mixer(8000)
        for port in self.ports:
            self.engine.set_audio(port, rate=8000, receive=[SPOKEN], send=SPOKEN)
            room.add(port)

    def tick(self) -> None:
        """A packet into each port, and what comes out of all."""
        self.number += 1
        at = self.number % 50 * 160
        payload = self._sound[at : at + 160]
        for index, port in enumerate(self.ports):
            head = struct.pack("!BBHII", 0x80, 0, self.number & 0xFFFF, self.number * 160 & 0xFFFFFFFF, 7 + index)
            self.engine.feed(port, head + payload, self.sources[index])
        self.engine.step(self.number * FRAME_S)
        self.engine.take()


def test_relay_a_packet_each_way(benchmark: BenchmarkFixture) -> None:
    line = Line()
    line.relay()
    benchmark(line.tick)
    line.engine.close()


def test_relay_a_packet_each_way_and_seal_it(benchmark: BenchmarkFixture) -> None:
    line, material = Line(), os.urandom(AES_CM_80.material)
    line.relay()
    line.engine.secure(line.ports[1], SrtpKeys(AES_CM_80, material, material))
    benchmark(line.tick)
    line.engine.close()


def test_a_tick_of_a_room_of_ten_who_speak(benchmark: BenchmarkFixture) -> None:
    line = Line(10)
    line.room()
    benchmark(line.tick)
    line.engine.close()


def test_encode_20_ms_as_g711(benchmark: BenchmarkFixture) -> None:
    assert len(benchmark(ulaw_encode, SAMPLES)) == 160


def test_resample_20_ms_from_8_to_48_khz(benchmark: BenchmarkFixture) -> None:
    assert len(benchmark(Resampler(8000, 48000).resample, SAMPLES)) >= 2 * 900
