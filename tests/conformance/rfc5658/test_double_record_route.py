"""RFC 5658: where the transport changes there are two Record-Routes, and each direction finds its way back."""

from __future__ import annotations

import pytest

from sipcore.fields import NameAddr
from sipcore.flow import Address, Flow
from sipcore.outputs import Transmit
from sipcore.proxy import ProxyTarget, Search
from sipcore.uri import Uri
from tests.endpoints import ALICE, BOB, request_bytes
from tests.proxy_side import CAROL, ProxySide, in_dialog_bytes, request_of

TCP = Flow("TCP", BOB, CAROL, 7)


def proxied(side: ProxySide, flow: Flow) -> tuple[Transmit, list[str]]:
    event = side.invite()
    before = len(side.sent)
    search = Search(((ProxyTarget(Uri.parse("sip:bob@192.168.1.9:5070"), flow),),))
    side.take(side.endpoint.relay(event.transaction, search, side.now))
    [sent] = side.sent[before:]
    return sent, request_of(sent).headers.get_all("Record-Route")


@pytest.mark.rfc(
    "5658",
    "3.2",
    "The URI placed in the Record-Route header field value MUST be a SIP or SIPS URI. … The URI SHOULD NOT "
    "contain the transport parameter unless the proxy has knowledge (such as in a private network) that the next "
    "downstream …",
)
def test_a_change_of_transport_is_recorded_twice_the_next_hop_s_side_first() -> None:
    # "the proxy [...] inserts two Record-Route header fields", the topmost with the outgoing transport.
    side = ProxySide()
    side.endpoint.listening("TCP", BOB)
    _, record_route = proxied(side, TCP)
    assert ["transport=tcp" in value for value in record_route] == [True, False]


@pytest.mark.rfc(
    "5658",
    "3.2",
    "The URI placed in the Record-Route header field value MUST be a SIP or SIPS URI. … The URI SHOULD NOT "
    "contain the transport parameter unless the proxy has knowledge (such as in a private network) that the next "
    "downstream …",
)
@pytest.mark.rfc("5626", "5.3")
def test_both_directions_find_the_flow_though_the_contact_is_private() -> None:
    side = ProxySide()
    side.endpoint.listening("TCP", BOB)
    sent, record_route = proxied(side, TCP)
    side.answer(sent, 200)
    # Alice's route set is the Record-Route turned round, the callee's is as it came.
    before = len(side.sent)
    side.receive(in_dialog_bytes("BYE", record_route[::-1], uri="sip:bob@192.168.1.9:5070"))
    bye = side.sent[before]
    assert (bye.flow.transport, bye.flow.remote, bye.flow.connection) == ("TCP", CAROL, 7)
    assert "Route" not in request_of(bye).headers
    data = request_bytes(
        "INFO",
        "Max-Forwards: 70",
        *(f"Route: {value}" for value in record_route),
        uri="sip:alice@10.0.0.1:5060",
        from_tag="b1",
        to_tag="a1",
        branch="z9hG4bKcarol",
        via="SIP/2.0/TCP 10.0.0.3:5060",
    )
    before = len(side.sent)
    side.receive(data, TCP)
    info = side.sent[before]
    assert (info.flow.transport, info.flow.remote) == ("UDP", ALICE)


@pytest.mark.rfc("5626", "5.3")
def test_a_phone_behind_a_nat_is_reached_by_its_flow_with_one_record_route() -> None:
    side = ProxySide()
    flow = Flow("UDP", BOB, Address("10.0.0.3", 61234))
    sent, record_route = proxied(side, flow)
    assert len(record_route) == 1
    side.answer(sent, 200)
    before = len(side.sent)
    side.receive(in_dialog_bytes("BYE", record_route, uri="sip:bob@192.168.1.9:5070"))
    assert side.sent[before].flow.remote == flow.remote


@pytest.mark.rfc(
    "5658",
    "6.2",
    "When TLS is used on the transport on either side of the proxy, the URI placed in the Record-Route header field "
    "MUST encode a next-hop that will be reached using TLS.",
)
def test_the_side_of_tls_is_reached_by_tls() -> None:
    side = ProxySide()
    side.endpoint.listening("TLS", Address(BOB.host, 5061))
    _, record_route = proxied(side, Flow("TLS", Address(BOB.host, 5061), CAROL, 7))
    secure, plain = (NameAddr.parse(value).uri for value in record_route)
    assert (secure.scheme, secure.port) == ("sips", 5061) or secure.params.get("transport") == "tls"
    assert plain.scheme == "sip" and plain.params.get("transport") != "tls"
