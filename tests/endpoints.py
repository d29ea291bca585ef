"""Two endpoints in one process, with a wire between them that can lose, hold and repeat messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from sipcore.endpoint import Endpoint
from sipcore.entropy import SeededEntropy
from sipcore.events import DialogId, Event, TransactionId
from sipcore.flow import Address, Flow
from sipcore.message import Request, Response
from sipcore.outputs import Close, Datagram, Output, Resolve, Transmit
from sipcore.parser import parse_message

E = TypeVar("E")

ALICE = Address("10.0.0.1", 5060)
BOB = Address("10.0.0.2", 5060)
OFFER = b"v=0\r\ns=offer\r\n"
ANSWER = b"v=0\r\ns=answer\r\n"


def request_bytes(
    method: str,
    *lines: str,
    branch: str = "z9hG4bKpeer1",
    cseq: int = 1,
    uri: str = "sip:bob@10.0.0.2",
    to_tag: str = "",
    from_tag: str = "a1",
    call_id: str = "call-1",
    via: str = "SIP/2.0/UDP 10.0.0.1:5060",
    body: bytes = b"",
) -> bytes:
    """A request as a peer at 10.0.0.1 would write it; `lines` are more headers."""
    head = [
        f"{method} {uri} SIP/2.0",
        f"Via: {via};branch={branch}" if branch else f"Via: {via}",
        "From: Alice <sip:alice@example.com>" + (f";tag={from_tag}" if from_tag else ""),
        "To: <sip:bob@example.com>" + (f";tag={to_tag}" if to_tag else ""),
        f"Call-ID: {call_id}",
        f"CSeq: {cseq} {method}",
        *lines,
        f"Content-Length: {len(body)}",
    ]
    if method == "INVITE" and not any(line.startswith("Contact") for line in lines):
        head.insert(-1, "Contact: <sip:alice@10.0.0.1:5060>")
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def label(data: bytes) -> str:
    """`INVITE`, `180`: how a message appears in a ladder."""
    message = parse_message(data)
    if isinstance(message, Request):
        return message.method
    return f"{message.status} {message.cseq.method}"


class Side:
    """One endpoint with what it sent and told, against a peer that the test plays by hand."""

    def __init__(
        self, local: Address = BOB, remote: Address = ALICE, *, seed: int = 1, transport: str = "UDP", **options: Any
    ) -> None:
        self.flow = Flow(transport, local, remote, 0 if transport == "UDP" else 1)
        self.endpoint = Endpoint(entropy=SeededEntropy(seed), **options)
        self.endpoint.listening(transport, local)
        self.now = 0.0
        self.sent: list[Transmit] = []
        self.events: list[Event] = []
        self.others: list[Output] = []

    def take(self, outputs: list[Output]) -> list[Output]:
        """Sort what a verb returned into `sent`, `events` and `others`."""
        for output in outputs:
            if isinstance(output, Transmit):
                self.sent.append(output)
            elif isinstance(output, (Close, Resolve)):
                self.others.append(output)
            else:
                self.events.append(output)
        return outputs

    def receive(self, data: bytes, flow: Flow | None = None) -> list[Output]:
        return self.take(self.endpoint.receive(Datagram(data, flow or self.flow), self.now))

    def advance(self, until: float) -> list[tuple[float, str]]:
        """Let time pass; what was sent, with its moment."""
        log: list[tuple[float, str]] = []
        while (deadline := self.endpoint.next_timeout()) is not None and deadline <= until:
            self.now = max(self.now, deadline)
            before = len(self.sent)
            self.take(self.endpoint.handle_timeout(self.now))
            log += [(round(self.now, 6), label(each.data)) for each in self.sent[before:]]
        self.now = until
        return log

    def labels(self) -> list[str]:
        """Everything sent since the last look."""
        sent, self.sent = self.sent, []
        return [label(each.data) for each in sent]

    def names(self) -> list[str]:
        """The names of the events since the last look."""
        events, self.events = self.events, []
        return [type(event).__name__ for event in events]

    def event(self, kind: type[E]) -> E:
        """The newest event of a kind."""
        found = [event for event in self.events if isinstance(event, kind)]
        assert found, f"no {kind.__name__} in {self.events}"
        return found[-1]

    def last(self) -> Request | Response:
        """The newest message sent."""
        return parse_message(self.sent[-1].data)

    # Verbs, in short

    def send(self, method: str = "INVITE", *headers: tuple[str, str], **options: Any) -> TransactionId:
        """An out-of-dialog request to the peer."""
        transaction = self.endpoint.new_transaction()
        uri = options.pop("uri", f"sip:peer@{self.flow.remote}")
        lines = [("From", "<sip:us@example.com>"), ("To", "<sip:peer@example.com>"), *headers]
        flow = options.pop("flow", self.flow)
        body = options.pop("body", OFFER if method == "INVITE" else b"")
        self.take(self.endpoint.send(transaction, Request(method, uri, lines, body), self.now, flow=flow))
        return transaction

    def respond(self, transaction: TransactionId, status: int, **options: Any) -> list[Output]:
        return self.take(self.endpoint.respond(transaction, status, self.now, **options))

    def ack(self, dialog: DialogId | None) -> list[Output]:
        assert dialog is not None
        return self.take(self.endpoint.ack(dialog, self.now))

    def bye(self, dialog: DialogId | None) -> list[Output]:
        assert dialog is not None
        return self.take(self.endpoint.bye(dialog, self.now))

    def cancel(self, transaction: TransactionId, **options: Any) -> list[Output]:
        return self.take(self.endpoint.cancel(transaction, self.now, **options))

    def in_dialog(self, dialog: DialogId | None, method: str, **options: Any) -> TransactionId:
        assert dialog is not None
        transaction = self.endpoint.new_transaction()
        self.take(self.endpoint.send_in_dialog(dialog, transaction, method, self.now, **options))
        return transaction

    def peer_response(
        self, status: int, *lines: str, to_tag: str = "b1", of: bytes | None = None, body: bytes = b""
    ) -> bytes:
        """A response to the newest request sent (or `of`), as the peer would write it."""
        request = parse_message(of if of is not None else self.sent[-1].data)
        to = request.headers.get("To") or ""
        if to_tag and "tag=" not in to:
            to += f";tag={to_tag}"
        head = [
            f"SIP/2.0 {status} x",
            *(f"Via: {via}" for via in request.headers.get_all("Via")),
            f"From: {request.headers.get('From')}",
            f"To: {to}",
            f"Call-ID: {request.call_id}",
            f"CSeq: {request.cseq}",
            *lines,
            f"Content-Length: {len(body)}",
        ]
        if status < 300 and not any(line.startswith("Contact") for line in lines):
            head.insert(-1, f"Contact: <sip:peer@{self.flow.remote}>")
        return "\r\n".join(head).encode() + b"\r\n\r\n" + body

    def leaks(self) -> tuple[int, int]:
        """After everything that can time out has: transactions and dialogs left."""
        self.advance(self.now + 400.0)
        return self.endpoint.transaction_count, self.endpoint.dialog_count


class Pair:
    """Alice and Bob, whose messages are delivered at once, held back, or lost as `wire` says."""

    def __init__(self, *, transport: str = "UDP", **options: Any) -> None:
        self.alice = Side(ALICE, BOB, seed=1, transport=transport, **options)
        self.bob = Side(BOB, ALICE, seed=2, transport=transport, **options)
        self.ladder: list[str] = []
        self.wire: Callable[[str, bytes], bool] = lambda _line, _data: True

    @property
    def now(self) -> float:
        return self.alice.now

    def settle(self) -> None:
        """Deliver until nobody has anything to say."""
        while self.alice.sent or self.bob.sent:
            self._carry(self.alice, self.bob, "alice", "bob")
            self._carry(self.bob, self.alice, "bob", "alice")

    def advance(self, until: float) -> None:
        """Let both clocks run, delivering what is sent."""
        self.settle()
        while True:
            deadlines = [d for s in (self.alice, self.bob) if (d := s.endpoint.next_timeout()) is not None]
            if not deadlines or min(deadlines) > until:
                break
            moment = max(self.now, min(deadlines))
            self.alice.now = self.bob.now = moment
            for side in (self.alice, self.bob):
                side.take(side.endpoint.handle_timeout(moment))
            self.settle()
        self.alice.now = self.bob.now = until

    def _carry(self, sender: Side, receiver: Side, name: str, other: str) -> None:
        sent, sender.sent = sender.sent, []
        for each in sent:
            line = f"{name} → {other}: {label(each.data)}"
            if self.wire(line, each.data):
                self.ladder.append(line)
                receiver.receive(each.data)
            else:
                self.ladder.append(f"{line} (lost)")

    def leaks(self) -> tuple[int, int, int, int]:
        self.advance(self.now + 400.0)
        a, b = self.alice.endpoint, self.bob.endpoint
        return a.transaction_count, b.transaction_count, a.dialog_count, b.dialog_count
