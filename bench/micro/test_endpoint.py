"""CPU of the endpoint alone: no sockets, no application.

`call` is both legs of a B2BUA call: one endpoint as UAC, one as UAS, INVITE/100/180/200/ACK/BYE/200, parsing and
formatting of all messages included. `register` is one digest REGISTER as a registrar sees it: a stateless 401 from
the gate, then an admitted request that gets 200.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Protocol, TypeVar

from sipcore.aio.entropy import SystemEntropy
from sipcore.endpoint import Admit, Endpoint, Refuse, Verdict
from sipcore.events import RequestReceived, ResponseReceived
from sipcore.flow import Address, Flow
from sipcore.message import Request
from sipcore.outputs import Datagram, Output, Transmit

T = TypeVar("T")

ALICE, BOB = Address("192.0.2.1", 5060), Address("192.0.2.2", 5060)
TO_BOB, TO_ALICE = Flow("UDP", ALICE, BOB), Flow("UDP", BOB, ALICE)
SDP = (
    b"v=0\r\no=- 20518 0 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 54609 RTP/AVP 8 0 9 101\r\n"
    b"a=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:9 G722/8000\r\na=rtpmap:101 telephone-event/8000\r\n"
    b"a=fmtp:101 0-16\r\na=ptime:20\r\na=sendrecv\r\n"
)
SDP_HEADERS = [("Content-Type", "application/sdp"), ("Allow", "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE")]


class Benchmark(Protocol):
    """What these benches need of pytest-benchmark's fixture."""

    def __call__(self, function: object, *arguments: object) -> object: ...


def only(outputs: list[Output], kind: type[T]) -> T:
    return next(each for each in reversed(outputs) if isinstance(each, kind))


def endpoint(**options: object) -> Endpoint:
    return Endpoint(entropy=SystemEntropy(), **options)  # type: ignore[arg-type]


class Calls:
    """Two endpoints and a clock that runs as if there were a hundred calls a second."""

    def __init__(self) -> None:
        self.alice, self.bob = endpoint(), endpoint()
        self.now = 0.0

    def call(self) -> None:
        alice, bob = self.alice, self.bob
        self.now = now = self.now + 0.01
        for each in (alice, bob):
            if (deadline := each.next_timeout()) is not None and deadline <= now:
                each.handle_timeout(now)
        invite = Request(
            "INVITE",
            "sip:bob@192.0.2.2",
            [("From", '"Alice" <sip:alice@example.com>'), ("To", "<sip:bob@example.com>"), *SDP_HEADERS],
            SDP,
        )
        heard = self._to_bob(alice.send(alice.new_transaction(), invite, now, flow=TO_BOB))
        incoming = only(heard, RequestReceived)
        self._to_alice(bob.respond(incoming.transaction, 100, now))
        self._to_alice(bob.respond(incoming.transaction, 180, now))
        answered = self._to_alice(bob.respond(incoming.transaction, 200, now, headers=SDP_HEADERS, body=SDP))
        dialog = only(answered, ResponseReceived).dialog
        assert dialog is not None
        self._to_bob(alice.ack(dialog, now))
        bye = only(self._to_bob(alice.bye(dialog, now)), RequestReceived)
        self._to_alice(bob.respond(bye.transaction, 200, now))

    def _to_bob(self, outputs: list[Output]) -> list[Output]:
        return self.bob.receive(Datagram(only(outputs, Transmit).data, TO_ALICE), self.now)

    def _to_alice(self, outputs: list[Output]) -> list[Output]:
        return self.alice.receive(Datagram(only(outputs, Transmit).data, TO_BOB), self.now)


def register_bytes(number: int, credentials: str) -> bytes:
    return (
        "REGISTER sip:example.com SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK{number:08x};rport\r\n"
        "Max-Forwards: 70\r\n"
        f"From: <sip:1001@example.com>;tag=t{number}\r\n"
        "To: <sip:1001@example.com>\r\n"
        f"Call-ID: {number}@192.0.2.1\r\n"
        f"CSeq: {number} REGISTER\r\n"
        "Contact: <sip:1001@192.0.2.1:5060>\r\n"
        "Expires: 3600\r\n"
        f"{credentials}"
        "User-Agent: baresip v1.0.0\r\n"
        "Content-Length: 0\r\n\r\n"
    ).encode()


class Registrations:
    """A registrar whose gate looks for credentials and asks for them."""

    def __init__(self) -> None:
        self.endpoint = endpoint(gate=self._gate)
        self.numbers: Iterator[int] = count(1)
        self.now = 0.0

    def register(self) -> None:
        self.now = now = self.now + 0.0003
        number = next(self.numbers)
        deadline = self.endpoint.next_timeout()
        if deadline is not None and deadline <= now:
            self.endpoint.handle_timeout(now)
        self.endpoint.receive(Datagram(register_bytes(2 * number, ""), TO_ALICE), now)
        credentials = 'Authorization: Digest username="1001", realm="example.com", nonce="0", uri="x", response="0"\r\n'
        heard = self.endpoint.receive(Datagram(register_bytes(2 * number + 1, credentials), TO_ALICE), now)
        contact = ("Contact", "<sip:1001@192.0.2.1:5060>;expires=3600")
        self.endpoint.respond(only(heard, RequestReceived).transaction, 200, now, headers=[contact])

    def _gate(self, request: Request, _flow: Flow, _now: float) -> Verdict:
        if "Authorization" in request.headers:
            return Admit("1001")
        return Refuse(401, headers=(("WWW-Authenticate", 'Digest realm="example.com", nonce="0", qop="auth"'),))


def test_call(benchmark: Benchmark) -> None:
    benchmark(Calls().call)


def test_register(benchmark: Benchmark) -> None:
    benchmark(Registrations().register)
