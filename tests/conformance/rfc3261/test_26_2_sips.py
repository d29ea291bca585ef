"""RFC 3261 §26.2 and §12.1.1, RFC 5630, RFC 5922: what is asked over TLS stays on TLS, and only with who proved it."""

from __future__ import annotations

import pytest

from sipcore.fields import Via
from sipcore.flow import Address, Flow, TlsFlow
from sipcore.routing import dialog_flow, next_hop, reconnect_flow
from sipcore.uri import Uri
from tests.endpoints import ALICE, BOB, Side, request_bytes

UDP = Flow("UDP", BOB, ALICE)
TLS = TlsFlow("TLS", BOB, Address("10.0.0.1", 40123), 7)


def invite(side: Side, uri: str, *lines: str, transport: str) -> str:
    """The Contact of our answer to an INVITE."""
    via = f"SIP/2.0/{transport} 10.0.0.1"
    side.receive(request_bytes("INVITE", *lines, uri=uri, via=via))
    side.take(side.endpoint.respond(side.events[-1].transaction, 200, 0.0))  # type: ignore[attr-defined]
    return str(side.last().contact)


@pytest.mark.rfc(
    "3261",
    "12.1.1",
    "If the request that initiated the dialog contained a SIPS URI in the Request-URI or in the top Record-Route "
    "header field value … the Contact header field in the response MUST be a SIPS URI.",
)
@pytest.mark.parametrize(
    ("uri", "lines", "transport", "contact"),
    [
        ("sips:bob@10.0.0.2", (), "TLS", "<sips:10.0.0.2:5060>"),
        ("sip:bob@10.0.0.2", ("Record-Route: <sips:10.0.0.9;lr>",), "TLS", "<sips:10.0.0.2:5060>"),
        ("sip:bob@10.0.0.2", (), "TLS", "<sip:10.0.0.2:5060;transport=tls>"),
        ("sip:bob@10.0.0.2", (), "TCP", "<sip:10.0.0.2:5060;transport=tcp>"),
    ],
)
def test_who_was_called_by_a_sips_uri_is_told_a_sips_contact(
    uri: str, lines: tuple[str, ...], transport: str, contact: str
) -> None:
    assert invite(Side(transport=transport), uri, *lines, transport=transport) == contact


@pytest.mark.rfc(
    "3261",
    "8.1.1.8",
    "If the Request-URI or top Route header field value contains a SIPS URI, the Contact header field MUST contain "
    "a SIPS URI as well.",
)
def test_a_request_for_a_sips_uri_has_a_sips_contact() -> None:
    side = Side(transport="TLS")
    side.send("INVITE", uri="sips:x@10.0.0.1", flow=None)
    assert str(side.last().contact) == "<sips:10.0.0.2:5060>"
    assert side.last().via.transport == "TLS"
    assert side.sent[-1].flow == TlsFlow("TLS", BOB, Address("10.0.0.1", 5061), domain="10.0.0.1")


@pytest.mark.rfc(
    "3263",
    "4.1",
    'First, a client resolving a SIPS URI MUST discard any services that do not contain "SIPS" as the protocol in '
    "the service field.",
)
@pytest.mark.parametrize(
    ("uri", "transport", "port"),
    [
        ("sips:h.example", "TLS", 5061),
        ("sips:h.example;transport=tcp", "TLS", 5061),
        ("sips:h.example;transport=udp", "TLS", 5061),
        ("sips:h.example;transport=ws", "WSS", 5061),
        ("sip:h.example;transport=tls", "TLS", 5061),
        ("sip:h.example:5070;transport=tls", "TLS", 5070),
    ],
)
def test_tls_is_meant(uri: str, transport: str, port: int) -> None:
    hop = next_hop(Uri.parse(uri))
    assert (hop.transport, hop.address.port) == (transport, port)


@pytest.mark.rfc("5630", "3.1")
@pytest.mark.parametrize("flow", [UDP, Flow("TCP", BOB, ALICE, 3)])
def test_a_sips_target_is_not_reached_over_the_open_flow_of_the_dialog(flow: Flow) -> None:
    found = dialog_flow(next_hop(Uri.parse("sips:alice@10.0.0.1")), flow, has_route_set=False)
    assert found == TlsFlow("TLS", Address("0.0.0.0", 0), Address("10.0.0.1", 5061), domain="10.0.0.1")


@pytest.mark.rfc("5627", "10.1", "Proxies and registrars MUST support the SIPS URI and MUST support TLS.")
@pytest.mark.rfc("5923", "5")
@pytest.mark.parametrize("target", ["sip:alice@10.0.0.1;transport=tls", "sips:alice@10.0.0.1:5071", "sip:a@10.0.0.1"])
def test_requests_in_a_dialog_go_on_the_connection_of_the_peer(target: str) -> None:
    assert dialog_flow(next_hop(Uri.parse(target)), TLS, has_route_set=False) is TLS


@pytest.mark.rfc("3263", "5", "When this value is present, the server MUST use TLS over TCP to send the response.")
@pytest.mark.rfc("5922", "4")
def test_a_response_whose_connection_is_gone_goes_only_to_who_proves_to_be_the_sender() -> None:
    found = reconnect_flow(Via.parse("SIP/2.0/TLS Proxy.example;branch=z9hG4bKx"), TLS)
    assert found == TlsFlow("TLS", BOB, Address("10.0.0.1", 5061), domain="proxy.example")
