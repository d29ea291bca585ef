"""RFC 3261 §13: the 2xx to INVITE and its ACK, forked responses, early dialogs."""

from __future__ import annotations

import pytest

from sipcore.events import AckReceived, RequestReceived, ResponseReceived
from sipcore.message import Request
from tests.endpoints import ANSWER, Pair, Side, request_bytes


def incoming(side: Side, **options: object) -> RequestReceived:
    side.receive(request_bytes("INVITE", **options))  # type: ignore[arg-type]
    return side.event(RequestReceived)


@pytest.mark.rfc(
    "3261",
    "13.3.1.4",
    "The 2xx response is passed to the transport with an interval that starts at T1 seconds and doubles for each "
    "retransmission until it reaches T2 seconds … Response retransmissions cease when an ACK request for the "
    "response is received. This is independent of whatever transport protocols are used to send the response.",
)
@pytest.mark.parametrize("transport", ["UDP", "TCP"])
def test_the_2xx_is_repeated_until_the_ack_on_every_transport(transport: str) -> None:
    # "The 2xx response is passed to the transport with an interval that starts at T1 seconds and doubles for each
    # retransmission until it reaches T2 seconds" and "even if reliable transports are used".
    side = Side(transport=transport)
    event = incoming(side, via=f"SIP/2.0/{transport} 10.0.0.1:5060")
    side.respond(event.transaction, 200)
    log = side.advance(31.9)
    times = [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert log == [(time, "200 INVITE") for time in times]
    side.names()
    side.advance(32.0)
    assert side.names() == ["AckTimedOut"]


@pytest.mark.rfc("3261", "13.3.1.4", "Response retransmissions cease when an ACK request for the response is received.")
def test_the_ack_ends_the_repetition_and_is_told_once() -> None:
    side = Side()
    event = incoming(side)
    side.respond(event.transaction, 200)
    ack = request_bytes("ACK", branch="z9hG4bKack", to_tag=side.last().to.tag or "", body=ANSWER)
    side.receive(ack)
    side.receive(ack)
    assert side.event(AckReceived).request.body == ANSWER
    assert side.names() == ["RequestReceived", "AckReceived"]
    assert side.advance(60.0) == []


@pytest.mark.rfc("3261", "13.3.1.4", "Response retransmissions cease when an ACK request for the response is received.")
def test_an_ack_with_the_branch_of_its_invite_is_taken_for_the_2xx() -> None:
    side = Side()
    event = incoming(side)
    side.respond(event.transaction, 200)
    side.receive(request_bytes("ACK", to_tag=side.last().to.tag or ""))
    assert side.names() == ["RequestReceived", "AckReceived"]


def test_an_ack_for_another_number_or_dialog_changes_nothing() -> None:
    side = Side()
    event = incoming(side)
    side.respond(event.transaction, 200)
    tag = side.last().to.tag or ""
    side.receive(request_bytes("ACK", branch="z9hG4bKack", to_tag=tag, cseq=2))
    side.receive(request_bytes("ACK", branch="z9hG4bKack", to_tag="other"))
    assert side.names() == ["RequestReceived"]
    assert side.endpoint.counters["acks_absorbed"] == 2


@pytest.mark.rfc(
    "3261",
    "17.1.1.3",
    "A UAC core that generates an ACK for 2xx MUST instead follow the rules described in Section 13.",
)
@pytest.mark.rfc(
    "3261",
    "13.2.2.4",
    "The UAC core MUST generate an ACK request for each 2xx received from the transaction layer. … The ACK MUST "
    "contain the same credentials as the INVITE.",
)
def test_the_ack_goes_by_the_route_set_with_the_credentials_of_the_invite() -> None:
    side = Side()
    side.send("INVITE", ("Authorization", 'Digest username="us"'))
    invite = side.last()
    side.receive(side.peer_response(200, "Record-Route: <sip:10.1.1.1;lr>", "Contact: <sip:peer@10.9.9.9>"))
    side.ack(side.event(ResponseReceived).dialog)
    ack = side.last()
    assert isinstance(ack, Request)
    assert (ack.uri_text, ack.headers.get("Route")) == ("sip:peer@10.9.9.9", "<sip:10.1.1.1;lr>")
    assert ack.headers.get("Authorization") == 'Digest username="us"'
    assert ack.via.branch != invite.via.branch
    assert ack.to.tag == "b1"


@pytest.mark.rfc(
    "3261",
    "13.2.2.4",
    "The ACK MUST be passed to the client transport every time a retransmission of the 2xx final response that "
    "triggered the ACK arrives.",
)
def test_each_repeated_2xx_gets_the_same_ack_and_is_not_told_again() -> None:
    side = Side()
    side.send()
    success = side.peer_response(200)
    side.receive(success)
    side.ack(side.event(ResponseReceived).dialog)
    first = side.sent[-1].data
    side.receive(success)
    side.receive(success)
    assert [each.data for each in side.sent[-2:]] == [first, first]
    assert side.names() == ["ResponseReceived"]


def test_a_2xx_repeated_before_the_user_has_acknowledged_is_not_told_again() -> None:
    side = Side()
    side.send()
    success = side.peer_response(200)
    side.receive(success)
    side.receive(success)
    assert side.names() == ["ResponseReceived"]
    assert side.labels() == ["INVITE"]


@pytest.mark.rfc(
    "3261",
    "13.2.2.4",
    "Multiple 2xx responses may arrive at the UAC for a single INVITE request due to a forking proxy. Each response "
    "is distinguished by the tag parameter in the To header field, and each represents a distinct dialog, with a "
    "distinct dialog identifier.",
)
def test_each_fork_that_answers_is_told_with_its_own_dialog() -> None:
    side = Side()
    side.send()
    invite = side.sent[-1].data
    side.receive(side.peer_response(180, of=invite, to_tag="b1"))
    first_early = side.event(ResponseReceived).dialog
    side.receive(side.peer_response(180, of=invite, to_tag="b2"))
    second_early = side.event(ResponseReceived).dialog
    side.receive(side.peer_response(200, of=invite, to_tag="b2"))
    assert side.event(ResponseReceived).dialog == second_early != first_early
    side.ack(second_early)
    side.receive(side.peer_response(200, of=invite, to_tag="b3"))
    third = side.event(ResponseReceived).dialog
    assert third not in (first_early, second_early)
    side.ack(third)
    side.bye(third)
    side.receive(side.peer_response(200))
    side.names()
    # §13.2.2.4: 64*T1 after the first 2xx, early dialogs that nobody answered are over.
    side.advance(32.0)
    assert side.names() == ["DialogEnded"]
    assert side.endpoint.dialog_count == 1


@pytest.mark.rfc(
    "3261",
    "13.2.2.3",
    "All early dialogs are considered terminated upon reception of the non-2xx final response.",
)
def test_a_failure_ends_all_early_dialogs_and_is_acknowledged_hop_by_hop() -> None:
    side = Side()
    side.send("INVITE", ("Route", "<sip:10.0.0.9;lr>"))
    invite = side.last()
    data = side.sent[-1].data
    side.receive(side.peer_response(180, of=data, to_tag="b1"))
    side.receive(side.peer_response(183, of=data, to_tag="b2"))
    side.names()
    side.receive(side.peer_response(486, of=data, to_tag="b1"))
    ack = side.last()
    assert side.names() == ["ResponseReceived", "DialogEnded", "DialogEnded"]
    assert isinstance(ack, Request) and isinstance(invite, Request)
    assert ack.headers.get_all("Via") == invite.headers.get_all("Via")[:1]
    assert (ack.uri_text, ack.headers.get("Route")) == (invite.uri_text, "<sip:10.0.0.9;lr>")
    assert (str(ack.cseq), ack.to.tag) == ("1 ACK", "b1")
    assert side.leaks() == (0, 0)


def test_a_failure_repeated_gets_the_same_ack_and_is_not_told_again() -> None:
    side = Side()
    side.send()
    failure = side.peer_response(404)
    side.receive(failure)
    side.receive(failure)
    assert side.sent[-1].data == side.sent[-2].data
    assert side.labels() == ["INVITE", "ACK", "ACK"]
    assert side.names() == ["ResponseReceived"]


def test_the_caller_may_hang_up_an_early_dialog_and_the_callee_may_not() -> None:
    from sipcore.errors import LocalProtocolError

    side = Side()
    side.send()
    invite = side.sent[-1].data
    side.receive(side.peer_response(180))
    early = side.event(ResponseReceived).dialog
    side.bye(early)
    side.receive(side.peer_response(200))
    side.receive(side.peer_response(487, of=invite))
    assert side.leaks() == (0, 0)

    callee = Side()
    event = incoming(callee)
    with pytest.raises(LocalProtocolError):
        callee.bye(event.dialog)
    callee.respond(event.transaction, 180)
    with pytest.raises(LocalProtocolError):
        callee.bye(event.dialog)


@pytest.mark.rfc("3261", "13.1", "A UA that supports INVITE MUST also support ACK, CANCEL and BYE.")
@pytest.mark.rfc("3261", "13.3.1.1", "Each of these MUST indicate the same dialog ID.")
def test_an_incoming_call_and_its_end_as_a_ladder() -> None:
    pair = Pair()
    pair.alice.send()
    pair.settle()
    event = pair.bob.event(RequestReceived)
    pair.bob.respond(event.transaction, 180)
    pair.bob.respond(event.transaction, 200, body=ANSWER)
    pair.settle()
    dialog = pair.alice.event(ResponseReceived).dialog
    pair.alice.ack(dialog)
    pair.settle()
    pair.alice.bye(dialog)
    pair.settle()
    pair.bob.respond(pair.bob.event(RequestReceived).transaction, 200)
    pair.settle()
    assert pair.ladder == [
        "alice → bob: INVITE",
        "bob → alice: 180 INVITE",
        "bob → alice: 200 INVITE",
        "alice → bob: ACK",
        "alice → bob: BYE",
        "bob → alice: 200 BYE",
    ]
    assert pair.alice.names() == ["ResponseReceived", "ResponseReceived", "ResponseReceived", "DialogEnded"]
    assert pair.bob.names() == ["RequestReceived", "AckReceived", "RequestReceived", "DialogEnded"]
    assert pair.leaks() == (0, 0, 0, 0)


def test_a_lost_ack_is_sent_again_for_the_repeated_2xx() -> None:
    pair = Pair()
    lost = iter([False])
    pair.wire = lambda line, _data: next(lost, True) if line.endswith("ACK") else True
    pair.alice.send()
    pair.settle()
    pair.bob.respond(pair.bob.event(RequestReceived).transaction, 200)
    pair.settle()
    dialog = pair.alice.event(ResponseReceived).dialog
    pair.alice.ack(dialog)
    pair.advance(1.0)
    assert pair.ladder[2:] == ["alice → bob: ACK (lost)", "bob → alice: 200 INVITE", "alice → bob: ACK"]
    assert pair.bob.names() == ["RequestReceived", "AckReceived"]


def test_a_call_that_nobody_acknowledges_is_hung_up_by_the_user_and_leaves_nothing() -> None:
    side = Side()
    event = incoming(side)
    side.respond(event.transaction, 200)
    side.advance(32.0)
    side.labels()
    side.bye(event.dialog)
    assert side.labels() == ["BYE"]
    assert side.leaks() == (0, 0)


def test_an_invite_that_gets_no_answer_leaves_nothing() -> None:
    side = Side()
    side.send()
    side.advance(31.9)
    assert side.labels() == ["INVITE"] * 7
    side.advance(32.0)
    assert side.names() == ["RequestFailed"]
    assert side.leaks() == (0, 0)


def test_a_lost_connection_fails_the_request_and_its_early_dialogs() -> None:
    side = Side(transport="TCP")
    side.send()
    side.receive(side.peer_response(180))
    side.names()
    side.take(side.endpoint.flow_lost(side.flow, 1.0))
    assert side.names() == ["RequestFailed", "DialogEnded"]
    assert side.leaks() == (0, 0)


def test_a_2xx_without_a_to_tag_makes_a_dialog_all_the_same() -> None:
    side = Side()
    side.send()
    side.receive(side.peer_response(200, to_tag=""))
    dialog = side.event(ResponseReceived).dialog
    side.ack(dialog)
    side.receive(side.peer_response(200, of=side.sent[0].data, to_tag=""))
    assert side.labels() == ["INVITE", "ACK", "ACK"]


def test_an_error_of_the_user_is_told_to_the_user() -> None:
    from sipcore.errors import LocalProtocolError

    side = Side()
    ours = side.send()
    for transaction, status in ((ours, 200), (incoming(side).transaction, 99), (incoming(side).transaction, 700)):
        with pytest.raises(LocalProtocolError):
            side.respond(transaction, status)
