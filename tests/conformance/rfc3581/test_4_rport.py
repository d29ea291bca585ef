"""RFC 3581: `rport` and `received`, and where responses go (RFC 3261 §18.2)."""

from __future__ import annotations

import pytest

from sipcore.flow import Address, Flow
from sipcore.outputs import Transmit
from tests.endpoints import BOB, Side, request_bytes

NAT = Flow("UDP", BOB, Address("192.0.2.7", 40123))


def via_of_answer(side: Side) -> str:
    return side.last().headers.get_all("Via")[0]


def refuse(side: Side, data: bytes, flow: Flow) -> Transmit:
    side.receive(data, flow)
    return side.sent[-1]


@pytest.fixture
def side() -> Side:
    # Every request is answered at once: 481, nothing kept.
    return Side()


@pytest.mark.rfc(
    "3581",
    "4",
    "If this Via header field value contains an 'rport' parameter with no value, it MUST set the value of the "
    "parameter to the source port of the request.",
)
def test_received_and_rport_are_filled_in_and_the_response_goes_to_the_source(side: Side) -> None:
    data = request_bytes("BYE", to_tag="none", via="SIP/2.0/UDP 10.0.0.1:5060;rport")
    assert refuse(side, data, NAT).flow == NAT
    assert "rport=40123" in via_of_answer(side)
    assert "received=192.0.2.7" in via_of_answer(side)


@pytest.mark.rfc(
    "3581",
    "4",
    'In fact, the server MUST insert a "received" parameter containing the source IP address that the request '
    'came from, even if it is identical to the value of the "sent-by" component.',
)
def test_both_are_filled_in_even_when_equal(side: Side) -> None:
    # "it MUST set the value of the [received] parameter ... even if it is identical"
    data = request_bytes("BYE", to_tag="none", via="SIP/2.0/UDP 10.0.0.1:5060;rport")
    refuse(side, data, side.flow)
    assert "rport=5060" in via_of_answer(side)
    assert "received=10.0.0.1" in via_of_answer(side)


@pytest.mark.rfc(
    "3261",
    "18.2.1",
    'If the host portion of the "sent-by" parameter contains a domain name, or if it contains an IP address that '
    'differs from the packet source address, the server MUST add a "received" parameter to that Via header field '
    "value. This parameter MUST contain the source address from which the packet was received.",
)
def test_received_is_added_when_sent_by_is_not_the_source(side: Side) -> None:
    refuse(side, request_bytes("BYE", to_tag="none"), NAT)
    assert "received=192.0.2.7" in via_of_answer(side)
    assert "rport" not in via_of_answer(side)


@pytest.mark.rfc(
    "3261",
    "18.2.1",
    'If the host portion of the "sent-by" parameter contains a domain name, or if it contains an IP address that '
    'differs from the packet source address, the server MUST add a "received" parameter to that Via header field '
    "value. This parameter MUST contain the source address from which the packet was received.",
)
def test_a_host_name_in_sent_by_gets_received(side: Side) -> None:
    refuse(side, request_bytes("BYE", to_tag="none", via="SIP/2.0/UDP pc33.example.com"), side.flow)
    assert "received=10.0.0.1" in via_of_answer(side)


def test_values_of_received_and_rport_that_the_client_wrote_do_not_survive(side: Side) -> None:
    via = "SIP/2.0/UDP 10.0.0.1:5060;received=203.0.113.9;rport=1"
    assert refuse(side, request_bytes("BYE", to_tag="none", via=via), NAT).flow == NAT
    assert "203.0.113.9" not in via_of_answer(side)
    assert "rport=40123" in via_of_answer(side)


@pytest.mark.rfc(
    "3261",
    "18.2.2",
    'Otherwise (for unreliable unicast transports), if the top Via has a "received" parameter, the response MUST '
    'be sent to the address in the "received" parameter, using the port indicated in the "sent-by" value, or '
    "using port 5060 if none is specified explicitly.",
)
def test_without_rport_a_strict_endpoint_answers_to_the_port_of_sent_by() -> None:
    side = Side(symmetric=False)
    sent = refuse(side, request_bytes("BYE", to_tag="none", via="SIP/2.0/UDP 10.0.0.1:5070"), NAT)
    assert sent.flow.remote == Address("192.0.2.7", 5070)
    sent = refuse(side, request_bytes("BYE", to_tag="none", via="SIP/2.0/UDP 10.0.0.1"), NAT)
    assert sent.flow.remote == Address("192.0.2.7", 5060)


def test_without_rport_the_default_answers_to_the_source(side: Side) -> None:
    assert refuse(side, request_bytes("BYE", to_tag="none"), NAT).flow == NAT


def test_maddr_aims_no_response(side: Side) -> None:
    data = request_bytes("BYE", to_tag="none", via="SIP/2.0/UDP 10.0.0.1:5060;maddr=203.0.113.9")
    assert refuse(side, data, side.flow).flow == side.flow


def test_other_vias_keep_their_place(side: Side) -> None:
    data = request_bytes("BYE", "Via: SIP/2.0/UDP 1.1.1.1;branch=z9hG4bKx, SIP/2.0/UDP 2.2.2.2", to_tag="none")
    refuse(side, data, NAT)
    hosts = [via.host for via in side.last().vias]
    assert hosts == ["10.0.0.1", "1.1.1.1", "2.2.2.2"]


@pytest.mark.rfc(
    "3581",
    "3",
    "This parameter MUST have no value; it serves as a flag to indicate to the server that this extension is "
    "supported and requested for the transaction.",
)
def test_our_requests_ask_for_rport_without_a_value(side: Side) -> None:
    side.send("OPTIONS")
    via = side.last().via
    assert "rport" in via.params and via.params["rport"] is None


@pytest.mark.rfc(
    "3261",
    "18.2.2",
    'If the "sent-protocol" is a reliable transport protocol such as TCP or SCTP, or TLS over those, the response '
    "MUST be sent using the existing connection to the source of the original request that created the "
    "transaction, if that connection is still open.",
)
def test_the_response_goes_on_the_connection_of_the_request() -> None:
    side = Side(transport="TCP")
    data = request_bytes("BYE", to_tag="none", via="SIP/2.0/TCP 10.0.0.1:5060")
    assert refuse(side, data, side.flow).flow == side.flow


@pytest.mark.rfc(
    "3261",
    "18.2.2",
    "If that connection is no longer open, the server SHOULD open a connection to the IP address in the "
    '"received" parameter, if present, using the port in the "sent-by" value, or the default port for that '
    "transport, if no port is specified.",
)
def test_when_that_connection_is_lost_the_response_opens_one_to_received_and_sent_by() -> None:
    from sipcore.events import RequestReceived

    flow = Flow("TCP", BOB, Address("192.0.2.7", 40123), 9)
    side = Side(transport="TCP")
    side.receive(request_bytes("OPTIONS", via="SIP/2.0/TCP 10.0.0.1:5070"), flow)
    side.take(side.endpoint.flow_lost(flow, 1.0))
    side.respond(side.event(RequestReceived).transaction, 200)
    assert side.sent[-1].flow == Flow("TCP", BOB, Address("192.0.2.7", 5070), 0)
    assert side.endpoint.transaction_count == 0
