"""RFC 3261 §9: CANCEL as UAC and UAS, crossing everything it can cross."""

from __future__ import annotations

import pytest

from sipcore.events import CancelReceived, RequestReceived, ResponseReceived
from sipcore.message import Request
from tests.endpoints import Pair, Side, request_bytes


@pytest.mark.rfc(
    "3261",
    "9.1",
    "If no provisional response has been received, the CANCEL request MUST NOT be sent; rather, the client MUST "
    "wait for the arrival of a provisional response before sending the request.",
)
def test_no_cancel_is_sent_before_a_provisional_response() -> None:
    side = Side()
    transaction = side.send()
    invite = side.sent[-1].data
    side.labels()
    side.cancel(transaction)
    assert side.labels() == []
    side.receive(side.peer_response(100, of=invite, to_tag=""))
    assert side.labels() == ["CANCEL"]


@pytest.mark.rfc(
    "3261",
    "9.1",
    "The Request-URI, Call-ID, To, the numeric part of CSeq, and From header fields in the CANCEL request MUST be "
    "identical to those in the request being cancelled, including tags. A CANCEL constructed by a client MUST have "
    "only a single Via header field value matching the top Via value in the request being cancelled. … If the "
    "request being cancelled contains a Route header field, the CANCEL request MUST include that Route header "
    "field's values. … The CANCEL request MUST NOT contain any Require or Proxy-Require header fields.",
)
def test_the_cancel_has_branch_route_and_number_of_the_invite_and_no_require() -> None:
    side = Side()
    transaction = side.send("INVITE", ("Route", "<sip:10.0.0.9;lr>"), ("Require", "timer"))
    invite = side.last()
    side.receive(side.peer_response(180))
    side.cancel(transaction, headers=[("Reason", 'SIP;cause=200;text="Call completed elsewhere"')])
    cancel = side.last()
    assert isinstance(cancel, Request) and isinstance(invite, Request)
    assert cancel.headers.get_all("Via") == invite.headers.get_all("Via")
    assert cancel.uri_text == invite.uri_text
    for name in ("From", "To", "Call-ID", "Route"):
        assert cancel.headers.get(name) == invite.headers.get(name)
    assert str(cancel.cseq) == "1 CANCEL"
    assert "Require" not in cancel.headers and "Proxy-Require" not in cancel.headers
    assert cancel.headers.get("Reason") == 'SIP;cause=200;text="Call completed elsewhere"'


@pytest.mark.rfc(
    "3261",
    "9.1",
    "If the original request has generated a final response, the CANCEL SHOULD NOT be sent, as it is an effective "
    "no-op.",
)
def test_cancel_after_the_final_response_sends_nothing() -> None:
    side = Side()
    transaction = side.send()
    side.receive(side.peer_response(486))
    side.labels()
    side.cancel(transaction)
    assert side.labels() == []


@pytest.mark.rfc(
    "3261",
    "9.1",
    "When the client decides to send the CANCEL, it creates a client transaction for the CANCEL and passes it the "
    "CANCEL request.",
)
def test_cancel_is_sent_once_however_often_it_is_asked_for() -> None:
    side = Side()
    transaction = side.send()
    invite = side.sent[-1].data
    side.receive(side.peer_response(180, of=invite))
    side.labels()
    side.cancel(transaction)
    side.cancel(transaction)
    side.receive(side.peer_response(183, of=invite))
    assert side.labels() == ["CANCEL"]


@pytest.mark.rfc(
    "3261",
    "9.1",
    "If there is no final response for the original request in 64*T1 seconds …, the client SHOULD then consider the "
    "original transaction cancelled and SHOULD destroy the client transaction handling the original request.",
)
def test_487_that_never_comes_is_given_up_after_64_t1() -> None:
    side = Side()
    transaction = side.send()
    side.receive(side.peer_response(180))
    side.cancel(transaction)
    cancel = side.sent[-1].data
    side.receive(side.peer_response(200, of=cancel))
    side.events.clear()
    side.advance(31.9)
    assert side.names() == []
    side.advance(32.0)
    assert side.names() == ["RequestFailed", "DialogEnded"]
    assert side.leaks() == (0, 0)


@pytest.mark.rfc(
    "3261",
    "9.1",
    "Note that both the transaction corresponding to the original request and the CANCEL transaction will complete "
    "independently. However, a UAC canceling a request cannot rely on receiving a 487 (Request Terminated) response "
    "for the original request …",
)
def test_a_200_that_crosses_our_cancel_is_reported_with_its_dialog() -> None:
    side = Side()
    transaction = side.send()
    invite = side.sent[-1].data
    side.receive(side.peer_response(180, of=invite))
    side.cancel(transaction)
    side.labels()
    side.receive(side.peer_response(200, of=invite))
    dialog = side.event(ResponseReceived).dialog
    side.ack(dialog)
    side.bye(dialog)
    assert side.labels() == ["ACK", "BYE"]


@pytest.mark.rfc(
    "3261",
    "9.2",
    "Regardless of the method of the original request, as long as the CANCEL matched an existing transaction, the "
    "UAS answers the CANCEL request itself with a 200 (OK) response. This response is constructed following the "
    "procedures described in Section 8.2.6 noting that the To tag of the response to the CANCEL and the To tag in "
    "the response to the original request SHOULD be the same.",
)
def test_cancel_gets_200_and_the_invite_487_with_one_to_tag() -> None:
    side = Side()
    side.receive(request_bytes("INVITE"))
    side.respond(side.event(RequestReceived).transaction, 180)
    tag = side.last().to.tag
    side.sent.clear()
    side.receive(request_bytes("CANCEL"))
    assert side.labels() == ["200 CANCEL", "487 INVITE"]
    assert side.event(CancelReceived).request.method == "CANCEL"
    assert side.names() == ["RequestReceived", "CancelReceived", "DialogEnded"]
    side.receive(request_bytes("CANCEL"))
    assert side.last().to.tag == tag


@pytest.mark.rfc(
    "3261",
    "9.2",
    "If the UAS did not find a matching transaction for the CANCEL according to the procedure above, it SHOULD "
    "respond to the CANCEL with a 481 (Call Leg/Transaction Does Not Exist).",
)
def test_cancel_for_nothing_gets_481() -> None:
    side = Side()
    side.receive(request_bytes("CANCEL"))
    assert side.labels() == ["481 CANCEL"]


@pytest.mark.rfc(
    "3261",
    "9.2",
    "… depends on whether it has already sent a final response for the original request. If it has, the CANCEL "
    "request has no effect on the processing of the original request, no effect on any session state, and no effect "
    "on the responses generated for the original request.",
)
@pytest.mark.parametrize("final", [200, 302, 486, 503, 603])
def test_cancel_after_our_final_response_gets_200_and_changes_nothing(final: int) -> None:
    side = Side()
    side.receive(request_bytes("INVITE"))
    side.respond(side.event(RequestReceived).transaction, final)
    side.labels()
    side.names()
    side.receive(request_bytes("CANCEL"))
    assert (side.labels(), side.names()) == (["200 CANCEL"], [])


@pytest.mark.rfc(
    "3261",
    "9.2",
    "If the original request was an INVITE, the UAS SHOULD immediately respond to the INVITE with a 487 (Request "
    "Terminated).",
)
def test_a_response_of_the_user_that_crosses_the_cancel_is_dropped_and_counted() -> None:
    side = Side()
    side.receive(request_bytes("INVITE"))
    side.receive(request_bytes("CANCEL"))
    side.labels()
    assert side.respond(side.event(RequestReceived).transaction, 200) == []
    assert side.endpoint.counters["responses_late"] == 1


def test_a_repeated_cancel_gets_its_200_again_and_is_told_once() -> None:
    side = Side()
    side.receive(request_bytes("INVITE"))
    side.receive(request_bytes("CANCEL"))
    side.receive(request_bytes("CANCEL"))
    assert side.labels() == ["200 CANCEL", "487 INVITE", "200 CANCEL"]
    assert side.names() == ["RequestReceived", "CancelReceived"]


def test_cancel_while_the_name_is_looked_up_ends_the_request() -> None:
    side = Side()
    transaction = side.send(uri="sip:bob@example.com", flow=None)
    side.cancel(transaction)
    assert side.names() == ["RequestFailed"]
    assert side.endpoint.transaction_count == 0


def test_cancel_crossing_200_on_the_wire_ends_in_ack_and_bye_on_both_sides() -> None:
    pair = Pair()
    transaction = pair.alice.send()
    pair.settle()
    bob_transaction = pair.bob.event(RequestReceived).transaction
    pair.bob.respond(bob_transaction, 180)
    pair.settle()
    # Both speak before either hears the other.
    pair.alice.cancel(transaction)
    pair.bob.respond(bob_transaction, 200)
    pair.settle()
    dialog = pair.alice.event(ResponseReceived).dialog
    pair.alice.ack(dialog)
    pair.alice.bye(dialog)
    pair.settle()
    pair.bob.respond(pair.bob.event(RequestReceived).transaction, 200)
    pair.settle()
    assert pair.ladder[2:] == [
        "alice → bob: CANCEL",
        "bob → alice: 200 INVITE",
        "bob → alice: 200 CANCEL",
        "alice → bob: ACK",
        "alice → bob: BYE",
        "bob → alice: 200 BYE",
    ]
    assert pair.leaks() == (0, 0, 0, 0)
