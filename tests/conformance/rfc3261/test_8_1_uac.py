"""RFC 3261 §8.1: what a request outside of a dialog is completed with, where it goes, which responses are ours."""

from __future__ import annotations

import pytest

from sipcore.errors import LocalProtocolError
from sipcore.events import Failure, RequestFailed, ResponseReceived
from sipcore.flow import Address, Flow, TlsFlow
from sipcore.message import Request
from sipcore.outputs import Resolve
from tests.endpoints import BOB, Side

NOWHERE = Address("0.0.0.0", 0)


@pytest.mark.rfc(
    "3261",
    "8.1.1",
    "A valid SIP request formulated by a UAC MUST, at a minimum, contain the following header fields: To, From, "
    "CSeq, Call-ID, Max-Forwards, and Via; all of these header fields are mandatory in all SIP requests.",
)
def test_a_bare_request_is_completed_with_all_that_is_mandatory() -> None:
    side = Side()
    transaction = side.endpoint.new_transaction()
    side.take(side.endpoint.send(transaction, Request("INVITE", "sip:x@10.0.0.1"), 0.0))
    sent = side.last()
    assert sent.to.tag is None and sent.from_.tag
    assert sent.call_id and str(sent.cseq) == "1 INVITE" and sent.max_forwards == 70
    assert (sent.via.branch or "").startswith("z9hG4bK")
    assert sent.contact is not None and str(sent.contact.uri) == "sip:10.0.0.2:5060"


def test_what_the_caller_has_set_is_kept() -> None:
    side = Side()
    lines = [
        ("From", "<sip:a@b>;tag=mine"),
        ("To", "<sip:c@d>"),
        ("Call-ID", "my-call"),
        ("CSeq", "7 REGISTER"),
        ("Max-Forwards", "5"),
    ]
    side.take(
        side.endpoint.send(side.endpoint.new_transaction(), Request("REGISTER", "sip:d", lines), 0.0, flow=side.flow)
    )
    sent = side.last()
    assert (sent.from_.tag, sent.call_id, str(sent.cseq), sent.max_forwards) == ("mine", "my-call", "7 REGISTER", 5)
    assert sent.contact is None


@pytest.mark.rfc(
    "3261",
    "8.1.2",
    "Unless there is local policy specifying otherwise, the destination MUST be determined by applying the DNS "
    "procedures described in [4] as follows. If the first element in the route set indicated a strict router …, the "
    "procedures MUST be applied to the Request-URI of the request. Otherwise, the procedures are applied to the "
    "first Route header field value in the request (if one exists), or to the request's Request-URI.",
)
@pytest.mark.parametrize(
    ("uri", "route", "expected"),
    [
        ("sip:x@10.0.0.1", None, Flow("UDP", BOB, Address("10.0.0.1", 5060))),
        ("sip:x@10.0.0.1:5070;transport=udp", None, Flow("UDP", BOB, Address("10.0.0.1", 5070))),
        ("sip:x@10.0.0.1", "<sip:10.0.0.9:5080;lr>", Flow("UDP", BOB, Address("10.0.0.9", 5080))),
        ("sip:x@10.0.0.1;maddr=10.0.0.3", None, Flow("UDP", BOB, Address("10.0.0.3", 5060))),
        ("sip:x@10.0.0.1;transport=tcp", None, Flow("TCP", Address("0.0.0.0", 0), Address("10.0.0.1", 5060))),
        ("sips:x@10.0.0.1", None, TlsFlow("TLS", NOWHERE, Address("10.0.0.1", 5061), domain="10.0.0.1")),
        ("sip:x@[2001:db8::1]:5062", None, Flow("UDP", Address("0.0.0.0", 0), Address("2001:db8::1", 5062))),
    ],
)
def test_the_next_hop_is_the_first_route_or_the_request_uri(uri: str, route: str | None, expected: Flow) -> None:
    side = Side()
    headers = [("Route", route)] if route else []
    side.send("OPTIONS", *headers, uri=uri, flow=None)
    assert side.sent[-1].flow == expected


@pytest.mark.rfc(
    "3263",
    "4",
    "The procedures here MUST be done exactly once per transaction, where transaction is as defined in [1].",
)
def test_a_host_name_is_resolved_before_anything_is_sent() -> None:
    side = Side()
    side.send("OPTIONS", uri="sip:x@example.com:5080;transport=tcp", flow=None)
    assert side.labels() == []
    resolve = side.others[-1]
    assert isinstance(resolve, Resolve)
    assert (resolve.host, resolve.port, resolve.transport) == ("example.com", 5080, "TCP")
    assert side.endpoint.transaction_count == 1
    side.take(side.endpoint.resolved(resolve.query, [Address("10.0.0.5", 5080)], 1.0))
    assert side.sent[-1].flow == Flow("TCP", Address("0.0.0.0", 0), Address("10.0.0.5", 5080))
    assert side.leaks() == (0, 0)


def test_a_name_without_address_fails_the_request() -> None:
    side = Side()
    transaction = side.send("OPTIONS", uri="sip:x@example.com", flow=None)
    resolve = side.others[-1]
    assert isinstance(resolve, Resolve)
    side.take(side.endpoint.resolved(resolve.query, [], 1.0))
    side.take(side.endpoint.resolved(resolve.query, [Address("10.0.0.5", 5080)], 1.0))
    assert side.events == [RequestFailed(transaction, Failure.RESOLVE)]
    assert side.leaks() == (0, 0)


@pytest.mark.parametrize("uri", ["tel:+4930123456", "urn:service:sos"])
def test_a_uri_that_says_no_next_hop_needs_a_flow(uri: str) -> None:
    side = Side()
    with pytest.raises(LocalProtocolError):
        side.send("INVITE", uri=uri, flow=None)
    side.send("INVITE", uri=uri)
    assert side.labels() == ["INVITE"]


def test_ack_and_cancel_have_verbs_of_their_own_and_an_id_serves_once() -> None:
    side = Side()
    for method in ("ACK", "CANCEL"):
        with pytest.raises(LocalProtocolError):
            side.send(method)
    transaction = side.send("OPTIONS")
    with pytest.raises(LocalProtocolError):
        side.endpoint.send(transaction, Request("OPTIONS", "sip:x@10.0.0.1"), 0.0)


@pytest.mark.rfc(
    "3261",
    "17.1.3",
    "A response matches a client transaction under two conditions: 1. If the response has the same value of the "
    "branch parameter in the top Via header field as the branch parameter in the top Via header field of the "
    "request that created the transaction. 2. If the method parameter in the CSeq header field matches the method "
    "of the request that created the transaction.",
)
def test_a_response_with_another_branch_or_method_is_stray() -> None:
    side = Side()
    side.send("OPTIONS")
    good = side.peer_response(200)
    branch = (side.last().via.branch or "").encode()
    side.receive(good.replace(branch, b"z9hG4bKother"))
    side.receive(good.replace(b"1 OPTIONS", b"1 INFO"))
    assert side.endpoint.counters["responses_stray"] == 2
    side.receive(good)
    assert side.names() == ["MessageDropped", "MessageDropped", "ResponseReceived"]


@pytest.mark.rfc(
    "3261",
    "8.1.3.3",
    "If more than one Via header field value is present in a response, the UAC SHOULD discard the message.",
)
def test_a_response_with_two_vias_is_discarded() -> None:
    side = Side()
    side.send("OPTIONS")
    side.receive(side.peer_response(200, "Via: SIP/2.0/UDP 10.0.0.9;branch=z9hG4bKx"))
    assert side.names() == ["MessageDropped"]


def test_the_advertised_address_is_in_via_and_contact() -> None:
    side = Side(advertised=lambda _flow: Address("203.0.113.1", 5099))
    side.send("INVITE")
    sent = side.last()
    assert (sent.via.host, sent.via.port) == ("203.0.113.1", 5099)
    assert sent.contact is not None and str(sent.contact.uri) == "sip:203.0.113.1:5099"


def test_a_udp_peer_known_to_be_unreachable_fails_what_waits_for_it() -> None:
    side = Side()
    transaction = side.send("OPTIONS")
    side.take(side.endpoint.flow_lost(side.flow, 0.1))
    assert side.events == [RequestFailed(transaction, Failure.TRANSPORT)]
    assert side.leaks() == (0, 0)


@pytest.mark.rfc(
    "3261",
    "18.1.2",
    'If the value of the "sent-by" parameter in that header field value does not correspond to a value that the '
    "client transport is configured to insert into requests, the response MUST be silently discarded.",
)
def test_a_response_to_another_sent_by_is_discarded() -> None:
    side = Side()
    side.send("OPTIONS")
    good = side.peer_response(200)
    for other in (b"10.9.9.9:5060", b"10.0.0.2:5061", b"elsewhere.example:5060"):
        side.receive(good.replace(b"10.0.0.2:5060", other, 1))
    assert side.endpoint.counters["responses_stray"] == 3
    side.receive(good)
    assert side.names()[-1] == "ResponseReceived"


@pytest.mark.rfc(
    "3261",
    "8.1.3.2",
    "A UAC MUST treat any final response it does not recognize as being equivalent to the x00 response code of that "
    "class, and MUST be able to process the x00 response code for all classes.",
)
@pytest.mark.parametrize("status", [200, 299, 300, 398, 400, 499, 500, 599, 600, 699])
def test_a_final_response_that_nobody_knows_counts_as_its_class(status: int) -> None:
    side = Side()
    side.send()
    side.receive(side.peer_response(status))
    event = side.event(ResponseReceived)
    assert event.response.status == status
    if status < 300:
        side.ack(event.dialog)
        side.bye(event.dialog)
        assert side.labels() == ["INVITE", "ACK", "BYE"]
        return
    assert side.labels() == ["INVITE", "ACK"]
    assert side.leaks() == (0, 0)


@pytest.mark.rfc(
    "3261",
    "8.1.3.2",
    "A UAC MUST treat any provisional response different than 100 that it does not recognize as 183 (Session "
    "Progress).",
)
def test_a_provisional_response_that_nobody_knows_counts_as_183() -> None:
    side = Side()
    side.send()
    side.receive(side.peer_response(189))
    event = side.event(ResponseReceived)
    assert event.dialog is not None and side.endpoint.dialog(event.dialog) is not None


@pytest.mark.rfc("3261", "20.43", "A system receiving this warning MUST NOT take any automated action.")
def test_a_warning_changes_nothing() -> None:
    outcomes = []
    for lines in ((), ('Warning: 370 isi.edu "Insufficient bandwidth", 399 x "Hang up now"',)):
        side = Side()
        side.send()
        side.receive(side.peer_response(200, *lines))
        side.ack(side.event(ResponseReceived).dialog)
        outcomes.append((side.names(), side.labels()))
    assert outcomes[0] == outcomes[1]


@pytest.mark.rfc(
    "3261",
    "7.3.2",
    "If a header field appears in a message not matching its category (such as a request header field in a "
    "response), it MUST be ignored.",
)
def test_a_request_header_in_a_response_is_ignored() -> None:
    side = Side()
    side.send()
    lines = ("Require: x-nothing", "Proxy-Require: x-nothing", "Priority: emergency", "Authorization: Digest broken")
    side.receive(side.peer_response(200, *lines))
    side.ack(side.event(ResponseReceived).dialog)
    assert (side.labels(), side.names()) == (["INVITE", "ACK"], ["ResponseReceived"])


def test_a_preloaded_route_of_a_strict_router_is_in_the_request_line_each_time_that_the_request_goes_out() -> None:
    # §8.1.2: "If the first element in the route set indicates a strict router, then these procedures MUST be applied to
    # the Request-URI of the request."
    side = Side()
    request = Request("INVITE", "sip:x@10.0.0.7", [("Route", "<sip:10.0.0.9>"), ("Route", "<sip:10.0.0.8;lr>")])
    for _ in range(2):
        side.take(side.endpoint.send(side.endpoint.new_transaction(), request, side.now))
        sent = side.last()
        assert isinstance(sent, Request) and sent.uri_text == "sip:10.0.0.9"
        assert sent.headers.get_all("Route") == ["<sip:10.0.0.8;lr>", "<sip:x@10.0.0.7>"]
        assert side.sent[-1].flow.remote.host == "10.0.0.9"
