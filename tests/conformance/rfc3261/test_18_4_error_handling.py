"""RFC 3261 §18.4: ICMP errors, and what they are believed for."""

from __future__ import annotations

import pytest

from sipcore.events import Failure, RequestFailed
from sipcore.flow import Address, Flow
from tests.endpoints import ALICE, Side

pytestmark = pytest.mark.rfc(
    "3261",
    "18.4",
    "If the transport user asks for a message to be sent over an unreliable transport, and the result is an ICMP "
    "error, the behavior depends on the type of ICMP error. Host, network, port or protocol unreachable errors, or "
    "parameter problem errors SHOULD cause the transport layer to inform the transport user of a failure in "
    "sending.",
)


def calling() -> Side:
    side = Side()
    side.send("INVITE")
    side.sent_data = side.sent[-1].data  # type: ignore[attr-defined]
    return side


def report(side: Side, beginning: bytes, flow: Flow | None = None) -> list[RequestFailed]:
    side.take(side.endpoint.undelivered(flow or side.flow, beginning, side.now))
    return [event for event in side.events if isinstance(event, RequestFailed)]


@pytest.mark.parametrize("quoted", [200, 520, 5000])
def test_a_request_that_did_not_arrive_fails_at_once(quoted: int) -> None:
    """ "the transport layer SHOULD inform the transport user of a failure in sending" """
    side = calling()
    assert [event.failure for event in report(side, side.sent[-1].data[:quoted])] == [Failure.TRANSPORT]
    assert side.endpoint.transaction_count == 0


def test_everything_else_that_waits_for_this_peer_fails_with_it() -> None:
    side = calling()
    side.send("OPTIONS")
    assert len(report(side, side.sent[0].data)) == 2


@pytest.mark.parametrize(
    "beginning", [b"", b"INVITE sip:bob", b"INVITE sip:b SIP/2.0\r\nVia: SIP/2.0/UDP x;branch=z9hG4bKguess;rport\r\n"]
)
def test_an_error_that_quotes_no_request_of_ours_is_ignored(beginning: bytes) -> None:
    side = calling()
    assert report(side, beginning) == []
    assert side.endpoint.transaction_count == 1
    assert side.endpoint.counters["undelivered_ignored"] == 1


def test_an_error_from_another_peer_than_the_request_went_to_is_ignored() -> None:
    side = calling()
    other = Flow("UDP", side.flow.local, Address("10.9.9.9", ALICE.port))
    assert report(side, side.sent[-1].data, other) == []


def test_an_error_about_a_request_that_was_answered_is_ignored() -> None:
    side = calling()
    first = side.sent[-1].data
    assert len(report(side, first)) == 1
    assert len(report(side, first)) == 1
