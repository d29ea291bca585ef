"""What the flight recorder adds to a call: its sixteen messages, and the events and decisions between them."""

from __future__ import annotations

from itertools import count
from typing import Protocol

from sipcore.flow import Address, Flow
from voipat import events, reasons
from voipat.recorder import Recorder

FLOW = Flow("UDP", Address("192.0.2.1", 5060), Address("192.0.2.2", 5060))
HEAD = (
    b"Via: SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bK0123456789abcdef;rport=5060;received=192.0.2.2\r\n"
    b'From: "Alice" <sip:alice@example.com>;tag=0123456789\r\nTo: <sip:bob@example.com>;tag=9876543210\r\nCall-ID: '
)
TAIL = b"\r\nCSeq: 1 INVITE\r\nContact: <sip:bob@192.0.2.2:5060>\r\nContent-Length: 200\r\n\r\n" + b"a=x\r\n" * 40
ANSWERED = events.Cause(200, 16, reasons.NORMAL_CLEARING.id, reasons.NORMAL_CLEARING.text)


class Benchmark(Protocol):
    """What these benches need of pytest-benchmark's fixture."""

    def __call__(self, function: object, *arguments: object) -> object: ...


class Calls:
    """B2BUA calls: INVITE, 401, ACK, INVITE, 100 and so on to BYE, eight messages a leg."""

    def __init__(self) -> None:
        self.recorder = Recorder()
        self.recorder.start(lambda: 1.0, lambda: 1e9, lambda data, flow: frozenset())
        self.numbers = count()

    def call(self) -> None:
        number, recorder = next(self.numbers), self.recorder
        a_leg, b_leg = f"{number}@phone", f"{number}@voipat"
        self._messages(b"INVITE sip:bob@example.com SIP/2.0\r\n", a_leg, 4)
        self._start(f"a{number}", f"a{number}", "a", a_leg)
        recorder.note(f"a{number}", "admitted as call %d of %s", 1, 500)
        recorder.note(f"a{number}", "routed to extension %s", "bob")
        self._start(f"b{number}", f"a{number}", "b", b_leg)
        self._messages(b"INVITE sip:bob@192.0.2.2 SIP/2.0\r\n", b_leg, 8)
        self._messages(b"SIP/2.0 200 OK\r\n", a_leg, 4)
        for leg in ("a", "b"):
            identifier = f"{leg}{number}"
            linked = f"a{number}"
            recorder.on_event(events.CallRinging(identifier, linked, "example.com", 1.0))
            recorder.on_event(events.CallAnswered(identifier, linked, "example.com", 1.0, "PCMU"))
            recorder.note(identifier, "%s has media port %d", identifier, 20000)
            recorder.on_event(self._end(identifier, linked, "a" if leg == "a" else "b"))

    def _messages(self, first: bytes, call_id: str, many: int) -> None:
        data = first + HEAD + call_id.encode() + TAIL
        for _ in range(many):
            self.recorder.observe(data, FLOW, False, 1.0)

    def _start(self, identifier: str, linked: str, leg: events.LegName, call_id: str) -> None:
        self.recorder.on_event(
            events.CallStarted(
                identifier, linked, "example.com", leg, "inbound", "alice", "bob", call_id, 1.0
            )
        )  # fmt: skip

    def _end(self, identifier: str, linked: str, leg: events.LegName) -> events.CallEnded:
        return events.CallEnded(
            *(identifier, linked, "example.com", leg, "inbound", "alice", "bob", "x", 1.0, 1.0, 1.0, 1.0, 1.0),
            *("answered", "caller", ANSWERED, events.MediaFigures(), 1),
        )


def test_recorded_call(benchmark: Benchmark) -> None:
    benchmark(Calls().call)
