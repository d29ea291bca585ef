"""An endpoint that proxies, with callers and callees that a test plays by hand."""

from __future__ import annotations

from sipcore.events import RelayReceived
from sipcore.flow import Address, Flow
from sipcore.message import Request, Response
from sipcore.outputs import Transmit
from sipcore.parser import parse_message
from sipcore.proxy import ProxyTarget, Search
from sipcore.state import Relay
from sipcore.uri import Uri
from tests.endpoints import ALICE, BOB, Side, request_bytes

CAROL = Address("10.0.0.3", 5060)
DAVE = Address("10.0.0.4", 5060)
PROXY = BOB  # the address that `Side` has


class ProxySide(Side):
    """Everything that comes from Alice is to be proxied."""

    def __init__(self, **options: object) -> None:
        super().__init__(gate=lambda request, flow, now: Relay(), **options)

    def invite(self, *lines: str, method: str = "INVITE", **options: object) -> RelayReceived:
        """A request of Alice's for bob@example.com."""
        uri = str(options.pop("uri", "sip:bob@example.com"))
        self.receive(request_bytes(method, "Max-Forwards: 70", *lines, uri=uri, **options))  # type: ignore[arg-type]
        return self.event(RelayReceived)

    def relay(self, event: RelayReceived, *groups: list[Address], **options: object) -> list[Transmit]:
        """Try the addresses, group by group; what was sent."""
        before = len(self.sent)
        targets = tuple(tuple(ProxyTarget(Uri.parse(f"sip:bob@{each}")) for each in group) for group in groups)
        search = Search(targets, **options)  # type: ignore[arg-type]
        self.take(self.endpoint.relay(event.transaction, search, self.now))
        return self.sent[before:]

    def answer(self, sent: Transmit, status: int, *lines: str, to_tag: str = "b1", body: bytes = b"") -> list[Transmit]:
        """The callee's response to a request that was sent to it; what that caused."""
        before = len(self.sent)
        flow = Flow(sent.flow.transport, sent.flow.local, sent.flow.remote, sent.flow.connection)
        self.receive(self.peer_response(status, *lines, of=sent.data, to_tag=to_tag, body=body), flow)
        return self.sent[before:]

    def to_alice(self) -> list[Response]:
        """The responses that went back."""
        messages = [parse_message(each.data) for each in self.sent if each.flow.remote == ALICE]
        return [each for each in messages if isinstance(each, Response)]


def request_of(sent: Transmit) -> Request:
    message = parse_message(sent.data)
    assert isinstance(message, Request)
    return message


def in_dialog_bytes(
    method: str, route: list[str], *, uri: str, cseq: int = 2, branch: str = "z9hG4bKin", sender: Address = ALICE,
    tags: tuple[str, str] = ("a1", "b1"),
) -> bytes:  # fmt: skip
    """A request within the dialog, from `sender`, along the route set."""
    routes = [f"Route: {value}" for value in route]
    return request_bytes(
        method, "Max-Forwards: 70", *routes, uri=uri, cseq=cseq, branch=branch, from_tag=tags[0], to_tag=tags[1],
        via=f"SIP/2.0/UDP {sender}",
    )  # fmt: skip
