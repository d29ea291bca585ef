"""What the tests of `media` speak: RTP in and out of an engine on the manual clock."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from media import Engine, Port

Pair = tuple[str, int]


def rtp(
    sequence: int, timestamp: int, *, ssrc: int = 7, payload_type: int = 0, payload: bytes = b"\xd5" * 160
) -> bytes:
    return struct.pack("!BBHII", 0x80, payload_type, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc) + payload


@dataclass(frozen=True)
class Sent:
    """A packet that left a port."""

    port: Port
    to: Pair
    packet: bytes
    rtcp: bool

    @property
    def sequence(self) -> int:
        return int.from_bytes(self.packet[2:4], "big")

    @property
    def timestamp(self) -> int:
        return int.from_bytes(self.packet[4:8], "big")

    @property
    def ssrc(self) -> int:
        return int.from_bytes(self.packet[8:12], "big")

    @property
    def payload_type(self) -> int:
        return self.packet[1] & 0x7F

    @property
    def marker(self) -> bool:
        return self.packet[1] >= 0x80


@dataclass
class Bench:
    """An engine on a manual clock, and what it takes to talk to it."""

    engine: Engine
    now: float = 0.0
    number: int = 0
    dropped: dict[str, int] = field(default_factory=dict)

    def open(self, remote: Pair | None = None, **numbers: int) -> Port:
        values = {"ssrc": 0xAAAA, "sequence": 1000, "timestamp": 50000} | numbers
        return self.engine.open_port("127.0.0.1", remote=remote, **values)

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.engine.step(self.now)

    def talk(self, port: Port, source: Pair, packets: int = 1, *, ssrc: int = 7, payload_type: int = 0) -> None:
        """A steady stream of 20 ms packets; every call of one test continues the same numbers."""
        for _ in range(packets):
            self.engine.feed(port, rtp(self.number, self.number * 160, ssrc=ssrc, payload_type=payload_type), source)
            self.number += 1
            self.wait(0.02)

    def sent(self, *, rtcp: bool = False) -> list[Sent]:
        return [sent for item in self.engine.take() if (sent := Sent(*item)).rtcp == rtcp]

    def drops(self, port: Port) -> dict[str, int]:
        return dict(self.engine.stats(port).dropped)
