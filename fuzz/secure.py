"""`python -m fuzz.secure --count N --seed S`: what comes to ports with SRTP, and to handshakes of DTLS.

Ports: sealed RTP and RTCP, mutated, replayed and cut, STUN, DTLS and noise from the phone and from a stranger. Law: no
exception; every datagram is counted; what reaches the plain side was sealed by the phone, once, and goes to its phone
alone. Handshakes: flights between two sides with mutated copies, losses and noise among them. Law: no exception; keys
on both sides are the same keys; who expects another certificate never gets any. A finding is printed with its seed and
number, and the exit status is 1.
"""

from __future__ import annotations

import random
import struct
import sys
from collections import Counter, deque

from pylibsrtp import Policy, Session

from fuzz.finding import Finding, command, told
from fuzz.rtp import PHONES, STRANGER, mutate, rtp, sender_report
from media import SUITES, Engine, FlightReceived, ManualClock, Port, SrtpKeys
from media.dtls import DtlsAssociation, DtlsContext, DtlsStep, Role

INPUTS_PER_HANDSHAKE = 60
INTERVAL = 0.002
FLIGHTS = 40  # of one handshake, with the mutated ones


class SealedPort:
    """A port with SRTP beside a plain one, and the phone that has its keys."""

    def __init__(self, engine: Engine, draw: random.Random, index: int) -> None:
        self._draw, self._sent = draw, 0
        suite = SUITES[index]
        keys = SrtpKeys(suite, send=draw.randbytes(suite.material), receive=draw.randbytes(suite.material))
        self.secure, self.plain = (
            engine.open_port("127.0.0.1", remote=phone, ssrc=100 * index + side + 1, sequence=65530, timestamp=0)
            for side, phone in enumerate(PHONES[:2])
        )
        engine.secure(self.secure, keys)
        engine.connect(self.secure, self.plain, a_to_b={0: 0}, b_to_a={0: 0})
        self._session = Session(Policy(keys.receive, Policy.SSRC_ANY_OUTBOUND, 0, suite.profile))
        self._old: deque[bytes] = deque(maxlen=64)
        self.numbers: set[int] = set()
        self.fed = 0

    def datagram(self) -> tuple[bytes, bool]:
        kind = self._draw.randrange(12)
        if kind < 4:
            return self._seal(), False
        if kind < 7:
            return mutate(self._seal(), self._draw), False
        if kind == 7:
            report = self._session.protect_rtcp(sender_report(self._sent))
            return (report if self._draw.randrange(2) else mutate(report, self._draw)), True
        if kind == 8 and self._old:
            return self._draw.choice(self._old), False
        if kind == 9:
            return mutate(struct.pack("!HHI12s", 1, 0, 0x2112A442, self._draw.randbytes(12)), self._draw), False
        if kind == 10:
            return mutate(b"\x16\xfe\xfd" + bytes(8) + b"\x00\x20" + self._draw.randbytes(32), self._draw), False
        return rtp(self._sent), False

    def _seal(self) -> bytes:
        self._sent += 1
        self.numbers.add(self._sent)
        packet: bytes = self._session.protect(rtp(self._sent, payload=struct.pack("!I", self._sent) * 40))
        self._old.append(packet)
        return packet


def ports(count: int, draw: random.Random, tally: Counter[str]) -> None:
    """Feed so many datagrams. Raises: AssertionError when a law is broken."""
    with Engine(clock=ManualClock(now=1.0, wallclock=1.7e9), port_range=(20000, 20099)) as engine:
        pairs = [SealedPort(engine, draw, index) for index in range(len(SUITES))]
        plain = {pair.plain: pair for pair in pairs}
        for number in range(count):
            pair = draw.choice(pairs)
            data, rtcp = pair.datagram()
            engine.feed(pair.secure, data, STRANGER if draw.randrange(12) == 0 else PHONES[0], rtcp=rtcp)
            pair.fed += 1
            engine.step(1.0 + number * INTERVAL)
            for port, to, packet, is_rtcp in engine.take():
                if not is_rtcp and port in plain:
                    _check(plain[port], to, packet, tally)
            tally.update(type(event).__name__ for event in engine.drain() if isinstance(event, FlightReceived))
        for pair in pairs:
            _check_counted(engine, pair.secure, pair.fed, tally)


def _check(pair: SealedPort, to: tuple[str, int], packet: bytes, tally: Counter[str]) -> None:
    (number,) = struct.unpack_from("!I", packet, 12)
    assert to == PHONES[1], f"sent to {to}"
    assert packet[12:] == struct.pack("!I", number) * 40, "a payload that the phone did not seal"
    assert number in pair.numbers, f"packet {number} was opened twice or never sealed"
    pair.numbers.discard(number)
    tally["opened"] += 1


def _check_counted(engine: Engine, port: Port, fed: int, tally: Counter[str]) -> None:
    stats = engine.stats(port)
    counted = stats.packets_in + stats.rtcp.packets_in + sum(stats.dropped.values())
    flights = tally[FlightReceived.__name__]
    assert counted <= fed + stats.dropped.get("late", 0), f"{fed} fed, {stats}"
    assert counted + flights >= fed, f"{fed} fed, {stats}"
    tally.update({f"dropped {name}": found for name, found in stats.dropped.items()})


class Handshakes:
    """Handshakes between two certificates that are made once."""

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw
        self._contexts = DtlsContext(), DtlsContext()

    def run(self, tally: Counter[str]) -> None:
        """One of them. Raises: AssertionError when a law is broken."""
        lies = self._draw.randrange(3) == 0
        sides = []
        roles: tuple[Role, Role] = ("client", "server")
        for role, own, other in zip(roles, self._contexts, reversed(self._contexts), strict=True):
            digest = bytes(32) if lies and role == "client" else other.fingerprint
            sides.append(DtlsAssociation(own, role, frozenset({("sha-256", digest)})))
        client, server = sides
        self._carry(client, server, lies=lies, tally=tally)

    def _carry(self, client: DtlsAssociation, server: DtlsAssociation, *, lies: bool, tally: Counter[str]) -> None:
        waiting: deque[tuple[DtlsAssociation, bytes]] = deque()
        keys: dict[DtlsAssociation, SrtpKeys] = {}

        def take(side: DtlsAssociation, step: DtlsStep) -> None:
            other = server if side is client else client
            waiting.extend((other, flight) for flight in step.flights)
            if step.keys is not None:
                keys[side] = step.keys
            tally["handshakes failed"] += step.failure is not None

        take(client, client.start())
        for _ in range(FLIGHTS):
            if not waiting:
                break
            side, flight = waiting.popleft()
            fate = self._draw.randrange(8)
            if fate == 0:
                take(side, side.receive(mutate(flight, self._draw)))
            elif fate == 1:
                take(side, side.receive(self._draw.randbytes(self._draw.randrange(1500))))
            take(side, side.receive(flight))
            if fate == 2:
                take(side, side.receive(flight))
        assert client not in keys or not lies, "keys for a certificate that was not expected"
        if client in keys and server in keys:
            assert keys[client].send == keys[server].receive, "two sides of one handshake with different keys"
            tally["handshakes"] += 1


def tried(count: int, seed: int) -> Counter[str]:
    """What became of `count` datagrams and of as many handshakes as go with them. Raises: Finding."""
    draw, tally = random.Random(seed), Counter[str]()
    shaking = Handshakes(draw)
    try:
        ports(count, draw, tally)
        for _ in range(count // INPUTS_PER_HANDSHAKE):
            shaking.run(tally)
    except Exception as error:
        raise Finding(f"fuzz.secure: seed {seed}: {error!r}") from error
    tally["mutants"] = count
    return tally


def run(count: int, seed: int) -> int:
    """Feed `count` datagrams; 0. Raises: Finding."""
    print(f"fuzz.secure: {count} datagrams, seed {seed}: {told(tried(count, seed))}")
    return 0


if __name__ == "__main__":
    sys.exit(command("fuzz.secure", __doc__, run))
