"""Each refusal of the endpoint's own carries what its maker wants said of it, and without a maker's word nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sipcore.events import RelayReceived, RequestReceived
from sipcore.flow import Flow
from sipcore.limits import Limits
from sipcore.message import Request, Response, response_to
from sipcore.parser import parse_message
from sipcore.proxy import ProxyTarget, Search
from sipcore.refusals import Refusal
from sipcore.state import Relay
from sipcore.transaction import HeaderPairs
from sipcore.uri import Uri
from tests.endpoints import ANSWER, OFFER, Side, request_bytes

Scene = Callable[[Side], object]


def named(refusal: Refusal, flow: Flow) -> HeaderPairs:
    return (("Warning", f'399 {flow.local} "{refusal.name}"'),)


def ask(side: Side, method: str, *lines: str, **parts: object) -> None:
    side.receive(request_bytes(method, "Max-Forwards: 70", *lines, **parts))  # type: ignore[arg-type]


def ring(side: Side, *, reliable: bool = False) -> str:
    """An INVITE, and our tag."""
    ask(side, "INVITE", "Supported: 100rel", body=OFFER)
    side.respond(side.event(RequestReceived).transaction, 180, reliable=reliable)
    return side.last().to.tag or ""


def talk(side: Side) -> str:
    tag = ring(side)
    side.respond(side.event(RequestReceived).transaction, 200, body=ANSWER)
    ask(side, "ACK", to_tag=tag, branch="z9hG4bKack")
    return tag


def cancelled(side: Side) -> None:
    ring(side)
    ask(side, "CANCEL")


def hung_up(side: Side) -> None:
    tag = talk(side)
    ask(side, "INVITE", to_tag=tag, branch="z9hG4bKre", cseq=2)
    ask(side, "BYE", to_tag=tag, branch="z9hG4bKbye", cseq=3)


def crossing(side: Side) -> None:
    tag = talk(side)
    side.in_dialog(side.event(RequestReceived).dialog, "INVITE", body=OFFER)
    ask(side, "INVITE", to_tag=tag, branch="z9hG4bKre", cseq=2, body=OFFER)


def overlapping(side: Side) -> None:
    tag = talk(side)
    ask(side, "INVITE", to_tag=tag, branch="z9hG4bKre", cseq=2, body=OFFER)
    ask(side, "INVITE", to_tag=tag, branch="z9hG4bKre2", cseq=3, body=OFFER)


def merged(side: Side) -> None:
    ask(side, "MESSAGE")
    ask(side, "MESSAGE", branch="z9hG4bKother")


def failed(side: Side) -> None:
    ask(side, "OPTIONS")
    side.take(side.endpoint.fail(side.event(RequestReceived).transaction, side.flow, side.now))


def prack(side: Side, *lines: str) -> None:
    tag = ring(side, reliable=True)
    ask(side, "PRACK", *lines, to_tag=tag, branch="z9hG4bKprack", cseq=2)


def full(side: Side) -> None:
    ask(side, "MESSAGE", call_id="first")
    ask(side, "MESSAGE", call_id="second", branch="z9hG4bKsecond")


SCENES: dict[Refusal, Scene] = {
    Refusal.UNREADABLE: lambda side: ask(side, "OPTIONS", "CSeq: 1 OPTIONS"),
    Refusal.UNKNOWN_SCHEME: lambda side: ask(side, "MESSAGE", uri="mailto:bob@example.com"),
    Refusal.UNKNOWN_EXTENSION: lambda side: ask(side, "MESSAGE", "Require: x-nothing"),
    Refusal.MERGED: merged,
    Refusal.TOO_MANY_HOPS: lambda side: side.receive(request_bytes("MESSAGE", "Max-Forwards: 0")),
    Refusal.TABLE_FULL: full,
    Refusal.NO_DIALOG: lambda side: ask(side, "BYE", to_tag="nobody"),
    Refusal.NO_SUBSCRIPTION: lambda side: ask(side, "NOTIFY", to_tag="nobody"),
    Refusal.NOTHING_TO_CANCEL: lambda side: ask(side, "CANCEL"),
    Refusal.NOTHING_TO_PRACK: lambda side: prack(side, "RAck: 4711 1 INVITE"),
    Refusal.UNREADABLE_RACK: prack,
    Refusal.OUT_OF_ORDER: lambda side: ask(side, "INFO", to_tag=talk(side), branch="z9hG4bKinfo", cseq=1),
    Refusal.OVERLAPPING: overlapping,
    Refusal.CROSSING: crossing,
    Refusal.CANCELLED: cancelled,
    Refusal.HUNG_UP: hung_up,
    Refusal.FAILED: failed,
}


@pytest.mark.parametrize("refusal", SCENES)
def test_a_refusal_says_what_the_maker_of_the_endpoint_wants(refusal: Refusal) -> None:
    limits = Limits(max_transactions=1) if refusal is Refusal.TABLE_FULL else Limits()
    side, plain = Side(refusal_headers=named, limits=limits), Side(limits=limits)
    for each in (side, plain):
        SCENES[refusal](each)
    [found] = finals(side)
    assert (found.status, found.headers.get("Warning")) == (refusal.status, f'399 10.0.0.2:5060 "{refusal.name}"')
    assert [each.headers.get("Warning") for each in finals(plain)] == [None]


def search(*targets: str) -> Search:
    return Search((tuple(ProxyTarget(Uri.parse(target)) for target in targets),))


@pytest.mark.parametrize(
    ("refusal", "lines", "targets"),
    [
        (Refusal.TOO_MANY_HOPS, ("Max-Forwards: 0",), ()),
        (Refusal.UNKNOWN_EXTENSION, ("Max-Forwards: 70", "Proxy-Require: x-nothing"), ()),
        (Refusal.NO_TARGET, ("Max-Forwards: 70",), ()),
        (Refusal.TOO_BROAD, ("Max-Forwards: 70", "Max-Breadth: 1"), ("sip:1@10.0.0.3", "sip:2@10.0.0.4")),
        (Refusal.NO_RESPONSE, ("Max-Forwards: 70",), ("sip:1@10.0.0.3",)),
        (Refusal.UNKNOWN_SCHEME, ("Max-Forwards: 70",), ("tel:+4711",)),
    ],
)
def test_the_finals_of_a_proxy_say_it_too(refusal: Refusal, lines: tuple[str, ...], targets: tuple[str, ...]) -> None:
    side = Side(refusal_headers=named, gate=lambda request, flow, now: Relay())
    side.receive(request_bytes("INVITE", *lines))
    for event in list(side.events):
        if isinstance(event, RelayReceived):
            side.take(side.endpoint.relay(event.transaction, search(*targets), side.now))
    side.advance(40.0)
    found = finals(side)[0]
    assert (found.status, found.headers.get("Warning")) == (refusal.status, f'399 10.0.0.2:5060 "{refusal.name}"')


def forwarded(side: Side) -> Request:
    """What the proxy sent on."""
    side.receive(request_bytes("INVITE", "Max-Forwards: 70"))
    side.take(side.endpoint.relay(side.event(RelayReceived).transaction, search("sip:bob@10.0.0.2"), side.now))
    return next(sent for each in side.sent if isinstance(sent := parse_message(each.data), Request))


def test_a_proxy_says_why_of_the_next_hop_and_of_a_loop() -> None:
    for refusal in (Refusal.NEXT_HOP_FAILED, Refusal.BAD_RESPONSE, Refusal.LOOPED):
        side = Side(refusal_headers=named, gate=lambda request, flow, now: Relay())
        sent = forwarded(side)
        if refusal is Refusal.LOOPED:
            side.receive(sent.to_bytes())
        else:
            response = response_to(sent, 503 if refusal is Refusal.NEXT_HOP_FAILED else 404, to_tag="hop")
            if refusal is Refusal.BAD_RESPONSE:
                top = response.headers.get_all("Via")[0]
                response.headers.remove("Via")
                response.headers.prepend("Via", top)
            side.receive(response.to_bytes())
        [found] = finals(side)
        assert (found.status, found.headers.get("Warning")) == (refusal.status, f'399 10.0.0.2:5060 "{refusal.name}"')


def finals(side: Side) -> list[Response]:
    found = [message for each in side.sent if isinstance(message := parse_message(each.data), Response)]
    return [each for each in found if each.status >= 300]
