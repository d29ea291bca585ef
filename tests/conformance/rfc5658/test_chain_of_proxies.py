"""RFC 5658, RFC 3261 §16: a dialog over three proxies, each hop of another transport, in both directions."""

from __future__ import annotations

import pytest

from sipcore.events import RelayReceived
from sipcore.flow import Address, Flow
from sipcore.message import Request, Response
from sipcore.outputs import Transmit
from sipcore.parser import parse_message
from sipcore.proxy import ProxyTarget, Search
from sipcore.uri import Uri
from tests.endpoints import ALICE, request_bytes
from tests.proxy_side import CAROL, ProxySide, in_dialog_bytes

FIRST, SECOND, THIRD = (Address(f"10.0.1.{number}", 5060) for number in (1, 2, 3))
# The hops from Alice to Carol: between these two, by this.
HOPS = {
    (ALICE, FIRST): "UDP",
    (FIRST, SECOND): "TCP",
    (SECOND, THIRD): "UDP",
    (THIRD, CAROL): "TCP",
}
NEXT = {FIRST: SECOND, SECOND: THIRD, THIRD: CAROL}


class Chain:
    """Three proxies that hand each other what they send; what the two phones at the ends get is kept."""

    def __init__(self) -> None:
        self.proxies = {address: ProxySide(local=address, seed=seed) for seed, address in enumerate(NEXT)}
        for address, side in self.proxies.items():
            side.endpoint.listening("TCP", address)
        self.got: dict[Address, list[tuple[str, Request | Response]]] = {ALICE: [], CAROL: []}
        self.handed = dict.fromkeys(self.proxies, 0)

    def send(self, source: Address, destination: Address, data: bytes) -> None:
        """From a phone."""
        self._hand(source, Transmit(data, flow(source, destination)))
        while self._pass_on():
            pass

    def _pass_on(self) -> bool:
        for address, side in self.proxies.items():
            for event in [each for each in side.events if isinstance(each, RelayReceived)]:
                side.events.remove(event)
                after = NEXT[address]
                target = ProxyTarget(Uri.parse(f"sip:carol@{after}"), flow(address, after))
                side.take(side.endpoint.relay(event.transaction, Search(((target,),)), side.now))
            if self.handed[address] < len(side.sent):
                sent = side.sent[self.handed[address]]
                self.handed[address] += 1
                self._hand(address, sent)
                return True
        return False

    def _hand(self, source: Address, sent: Transmit) -> None:
        destination = sent.flow.remote
        assert sent.flow.transport == flow(source, destination).transport, f"{source} to {destination}"
        if destination in self.got:
            self.got[destination].append((sent.flow.transport, parse_message(sent.data)))
        else:
            self.proxies[destination].receive(sent.data, flow(destination, source))


def flow(local: Address, remote: Address) -> Flow:
    """The one between two neighbours, as the first has it."""
    transport = HOPS.get((local, remote)) or HOPS[remote, local]
    return Flow(transport, local, remote, 0 if transport == "UDP" else 1)


def last(chain: Chain, phone: Address, kind: type) -> Request | Response:
    return next(message for _, message in reversed(chain.got[phone]) if isinstance(message, kind))


@pytest.mark.rfc(
    "5658", "5", "a proxy MAY remove two Route headers instead of one when using the double Record-Routing"
)
def test_a_dialog_over_three_proxies_finds_its_way_in_both_directions() -> None:
    chain = Chain()
    contact = "Contact: <sip:alice@10.0.0.1:5060>"
    chain.send(ALICE, FIRST, request_bytes("INVITE", "Max-Forwards: 70", contact, uri="sip:carol@example.com"))
    invite = last(chain, CAROL, Request)
    routes = invite.headers.get_all("Record-Route")
    assert len(routes) == 6, "two of each proxy"
    target = f"sip:carol@{CAROL};transport=tcp"
    recorded = [f"Record-Route: {value}" for value in routes]
    answer = chain.proxies[THIRD].peer_response(200, f"Contact: <{target}>", *recorded, of=invite.to_bytes())
    chain.send(CAROL, THIRD, answer)
    answered = last(chain, ALICE, Response)
    assert answered.status == 200 and answered.headers.get_all("Record-Route") == routes

    tag = answered.to.tag or ""
    for method, number in (("ACK", 1), ("INFO", 2)):
        data = in_dialog_bytes(
            method, routes[::-1], uri=target, cseq=number, branch=f"z9hG4bK{method}", tags=("a1", tag)
        )
        chain.send(ALICE, FIRST, data)
        request = last(chain, CAROL, Request)
        assert (request.method, request.uri_text) == (method, target) and "Route" not in request.headers

    bye = in_dialog_bytes(
        "BYE", routes, uri="sip:alice@10.0.0.1:5060", cseq=1, branch="z9hG4bKbye", sender=CAROL, tags=(tag, "a1")
    )
    chain.send(CAROL, THIRD, bye.replace(b"SIP/2.0/UDP", b"SIP/2.0/TCP"))
    request = last(chain, ALICE, Request)
    assert request.method == "BYE" and "Route" not in request.headers
