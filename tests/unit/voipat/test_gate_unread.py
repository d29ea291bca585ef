"""What overload control refuses before the endpoint reads it (RFC 3261 §8.2.7, §21.5.4), and what it leaves alone."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from sipcore.endpoint import Refuse
from sipcore.entropy import SeededEntropy
from sipcore.flow import Address, Flow
from sipcore.guard import Guard
from sipcore.message import Response
from sipcore.parser import parse_message
from tests.unit.voipat.test_auth_gate import FLOW, Door
from voipat.accounts import TrunkIdentity
from voipat.overload import Overload

TAG = "0123456789abcdef"


def shedding(shed: float) -> Door:
    """The host of `FLOW` is known; overload control refuses so much."""
    door = Door(guard=Guard(trusted=[ip_network("198.51.100.0/24")]), public="open")
    door.gate.overload = Overload(SeededEntropy(3))
    door.gate.overload.shed = shed
    door.gate.refusal_tag = TAG
    return door


def invite(
    *, to: str = "bob", tag: str = "", sender: str = "alice@example.com", more: str = "", method: str = "INVITE"
) -> bytes:
    return (
        f"{method} sip:{to}@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.9:5060;branch=z9hG4bKx;rport\r\n"
        f"Via: SIP/2.0/UDP 10.0.0.8;branch=z9hG4bKy\r\nMax-Forwards: 70\r\nFrom: <sip:{sender}>;tag=1\r\n"
        f"To: <sip:{to}@example.com>{tag}\r\nCall-ID: c\r\nCSeq: 7 {method}\r\n{more}Content-Length: 0\r\n\r\n"
    ).encode()


def refusal_of(answer: bytes | None) -> Response:
    assert answer
    response = parse_message(answer)
    assert isinstance(response, Response)
    return response


@pytest.mark.rfc(
    "3261",
    "8.2.7",
    "To header tags MUST be generated for responses in a stateless manner - in a manner that will generate the same "
    "tag for the same request consistently.",
)
def test_a_call_is_refused_unread_as_the_endpoint_would_refuse_it() -> None:
    gate = shedding(3.0).gate
    response = refusal_of(gate.unread(invite(), FLOW, 1.0))
    assert response.status == 503 and 5 <= int(response.headers.get("Retry-After") or "") <= 30
    assert response.headers.get_all("Via") == [
        "SIP/2.0/UDP 10.0.0.9:5060;branch=z9hG4bKx;rport=40000;received=198.51.100.7",
        "SIP/2.0/UDP 10.0.0.8;branch=z9hG4bKy",
    ]
    assert (response.call_id, str(response.cseq), response.to.tag) == ("c", "7 INVITE", TAG)
    assert refusal_of(gate.unread(invite(), FLOW, 1.5)).to.tag == TAG
    assert gate.overload is not None and gate.overload.counters == {"overload_call": 2}


@pytest.mark.rfc("3261", "8.2.7", "A stateless UAS MUST ignore ACK requests.")
def test_the_ack_to_it_is_dropped_and_no_other() -> None:
    gate = shedding(3.0).gate
    assert gate.unread(invite(method="ACK", tag=f";tag={TAG}"), FLOW, 1.0) == b""
    assert gate.unread(invite(method="ACK", tag=";tag=other"), FLOW, 1.0) is None
    gate.refusal_tag = ""
    assert gate.unread(invite(method="ACK", tag=";tag=other"), FLOW, 1.0) is None


@pytest.mark.parametrize(
    "data",
    [
        invite(tag=";tag=2"),
        invite(to="open"),
        invite(to="112"),
        invite(sender="alice@elsewhere.test"),
        invite(more='Authorization: Digest realm="example.com", nonce="0"\r\n'),
        invite(method="REGISTER"),
        invite(method="BYE"),
        invite().replace(b"CSeq: 7", b"CSeq: x"),
    ],
    ids=["in a dialog", "public", "emergency", "not ours", "credentials", "REGISTER", "BYE", "malformed"],
)
def test_what_would_not_only_be_challenged_is_read(data: bytes) -> None:
    gate = shedding(5.0).gate
    gate.emergency_numbers = frozenset({"112"})
    assert gate.unread(invite(), FLOW, 1.0)
    assert gate.unread(data, FLOW, 1.0) is None


def test_strangers_connections_and_trunks_are_read() -> None:
    door = shedding(5.0)
    assert door.gate.unread(invite(), Flow("UDP", FLOW.local, Address("192.0.2.99", 5060)), 1.0) is None
    assert door.gate.unread(invite(), Flow("TCP", FLOW.local, FLOW.remote, 3), 1.0) is None
    trunk = TrunkIdentity("example.com", "+4930123", "carrier", "+12025550100")
    door.gate.trunk_of = lambda flow, request: trunk
    assert door.gate.unread(invite(), FLOW, 1.0) is None


def test_what_is_let_in_is_not_asked_about_again() -> None:
    """Half of the calls are refused, unread, and the others challenged: the gate does not halve them once more."""
    door = shedding(2.5)
    refused = challenged = 0
    for _ in range(100):
        if door.gate.unread(invite(), FLOW, 1.0):
            refused += 1
        else:
            verdict = door.knock()
            challenged += isinstance(verdict, Refuse) and verdict.status == 401
    assert (refused, challenged) == (50, 50)
    assert door.gate.unread(b"\r\n", FLOW, 1.0) is None
    statuses = [verdict.status for verdict in (door.knock() for _ in range(10)) if isinstance(verdict, Refuse)]
    assert statuses.count(503) == 5, "one message is let in, not its sender"
