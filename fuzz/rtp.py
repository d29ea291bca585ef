"""`python -m fuzz.rtp --count N --seed S`: mutated RTP and RTCP through the engine's kernels on the manual clock.

Law: no exception; every datagram is counted, as taken or as dropped; what leaves a port carries the port's own SSRC and
goes to its phone. A third of the inputs are the unmutated stream, so that most of the rest meet a latched port. A
finding is printed with its seed and number, and the exit status is 1.
"""

from __future__ import annotations

import random
import struct
import sys
from collections import Counter

from fuzz.finding import Finding, command, told
from media import EncodedAudio, Engine, ManualClock, Port

PHONES = (("192.0.2.1", 4000), ("192.0.2.2", 4000), ("192.0.2.3", 4000))
STRANGER = ("198.51.100.7", 666)
INTERVAL = 0.002
REOFFER_EVERY = 500
SSRC = 0x10000000


def rtp(number: int, *, payload_type: int = 0, payload: bytes = b"\xd5" * 160) -> bytes:
    return struct.pack("!BBHII", 0x80, payload_type, number & 0xFFFF, number * 160 & 0xFFFFFFFF, 7) + payload


def sender_report(number: int) -> bytes:
    report = struct.pack("!BBHIQIII", 0x81, 200, 12, 7, number << 20, number * 160 & 0xFFFFFFFF, number, number * 160)
    block = struct.pack("!IIIIII", SSRC, 0x01000001, number, 5, number, 9)
    return report + block + struct.pack("!BBHIBB", 0x81, 202, 2, 7, 1, 2) + b"ab"


def telephone_event(number: int, draw: random.Random) -> bytes:
    payload = struct.pack("!BBH", draw.randrange(20), draw.choice((10, 138)), draw.randrange(65536))
    return rtp(number, payload_type=101, payload=payload)


def mutate(packet: bytes, draw: random.Random) -> bytes:
    changed = bytearray(packet)
    for _ in range(draw.choice((0, 0, 1, 1, 2, 8))):
        changed[draw.randrange(min(len(changed), draw.choice((4, 16, len(changed)))))] = draw.randrange(256)
    length = draw.choice((len(changed), len(changed), len(changed), draw.randrange(len(changed) + 1)))
    return bytes(changed[:length]) + draw.randbytes(draw.choice((0, 0, 0, 0, 3, 400, 2000)))


def open_ports(engine: Engine) -> list[Port]:
    ports = [
        engine.open_port("127.0.0.1", remote=phone, ssrc=SSRC + index, sequence=65530, timestamp=2**32 - 900)
        for index, phone in enumerate(PHONES)
    ]
    engine.connect(ports[0], ports[1], a_to_b={0: 8, 101: 96}, b_to_a={8: 0, 0: 0, 96: 101})
    engine.echo(ports[2])
    return ports


class Run:
    """One engine, its phones, and what must hold after each datagram."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.engine = Engine(clock=ManualClock(now=1.0, wallclock=1.7e9), port_range=(20000, 20099))
        self.ports = open_ports(self.engine)
        self.seen: Counter[str] = Counter()
        self.fed: Counter[Port] = Counter()

    def datagram(self, number: int) -> tuple[bytes, bool]:
        kind = self.draw.randrange(9)
        if kind == 0:
            return mutate(sender_report(number), self.draw), True
        packet = telephone_event(number, self.draw) if kind == 1 else rtp(number)
        return (packet if kind < 4 else mutate(packet, self.draw)), False

    def feed(self, number: int) -> None:
        index = self.draw.randrange(3)
        source = STRANGER if self.draw.randrange(12) == 0 else PHONES[index]
        data, rtcp = self.datagram(number // 3)
        self.engine.feed(self.ports[index], data, source, rtcp=rtcp)
        self.fed[self.ports[index]] += 1
        self.engine.step(1.0 + number * INTERVAL)
        self.check_sent()
        if number % REOFFER_EVERY == 0:
            event = self.draw.choice((None, 101))
            self.engine.set_remote(self.ports[index], PHONES[index], telephone_event=event)
            self.produce(self.ports[index])

    def produce(self, port: Port) -> None:
        """Something of the port's own among what it forwards."""
        if self.draw.randrange(2):
            prompt, turns = EncodedAudio(bytes(self.draw.randrange(1, 3000))), 1 + self.draw.randrange(2)
            self.engine.play(port, [prompt], payload_type=0, silence=0xFF, turns=turns, stop_digits="12345678")
        else:
            self.engine.send_digits(port, "159#"[: self.draw.randrange(1, 5)], payload_type=101)

    def check_sent(self) -> None:
        for port, to, packet, rtcp in self.engine.take():
            ssrc = int.from_bytes(packet[4:8] if rtcp else packet[8:12], "big")
            assert ssrc == SSRC + self.ports.index(port), f"foreign SSRC {ssrc:#x} on port {port.id}"
            assert to[0] == PHONES[self.ports.index(port)][0], f"sent to {to}"
            self.seen["rtcp sent" if rtcp else "rtp sent"] += 1

    def finish(self) -> Counter[str]:
        for event in self.engine.drain():
            self.seen[type(event).__name__] += 1
        for port in self.ports:
            stats = self.engine.stats(port)
            refused = ("not_rtp", "payload_type", "learning", "foreign", "jump", "flood", "rtcp_junk", "rtcp_foreign")
            refused += ("stun", "dtls_unwanted")
            counted = stats.packets_in + stats.rtcp.packets_in + sum(stats.dropped.get(name, 0) for name in refused)
            late = stats.dropped.get("late", 0)  # before or after the packet was taken
            assert counted <= self.fed[port] <= counted + late, f"{self.fed[port]} fed, {stats}"
            self.seen["taken"] += stats.packets_in + stats.rtcp.packets_in
            self.seen.update({f"dropped {name}": count for name, count in stats.dropped.items()})
        self.engine.close()
        return self.seen


def tried(count: int, seed: int) -> Counter[str]:
    """What became of `count` datagrams to one engine. Raises: Finding."""
    number = 0
    one = Run(seed)
    try:
        for number in range(count):
            one.feed(number)
        tally = one.finish()
    except Exception as error:
        raise Finding(f"fuzz.rtp: seed {seed} input {number}: {error!r}") from error
    tally["mutants"] = count
    return tally


def run(count: int, seed: int) -> int:
    """Feed `count` datagrams; 0. Raises: Finding."""
    print(f"fuzz.rtp: {count} datagrams, seed {seed}: {told(tried(count, seed))}")
    return 0


if __name__ == "__main__":
    sys.exit(command("fuzz.rtp", __doc__, run))
