"""RFC 3261 §14 (one INVITE at a time) and §15 (BYE), with what crosses on the wire (RFC 5407)."""

from __future__ import annotations

import pytest

from sipcore.errors import LocalProtocolError
from sipcore.events import DialogId, RequestReceived, ResponseReceived
from sipcore.message import Request
from tests.endpoints import OFFER, Pair, Side, request_bytes


def answered_call(side: Side) -> tuple[DialogId, str]:
    side.receive(request_bytes("INVITE"))
    event = side.event(RequestReceived)
    side.respond(event.transaction, 200)
    tag = side.last().to.tag or ""
    side.receive(request_bytes("ACK", branch="z9hG4bKack", to_tag=tag))
    side.labels()
    side.names()
    assert event.dialog is not None
    return event.dialog, tag


def connected(pair: Pair) -> tuple[DialogId, DialogId]:
    pair.alice.send()
    pair.settle()
    event = pair.bob.event(RequestReceived)
    pair.bob.respond(event.transaction, 200)
    pair.settle()
    dialog = pair.alice.event(ResponseReceived).dialog
    pair.alice.ack(dialog)
    pair.settle()
    pair.ladder.clear()
    pair.alice.names()
    pair.bob.names()
    assert dialog is not None and event.dialog is not None
    return dialog, event.dialog


@pytest.mark.rfc(
    "3261",
    "14.2",
    "A UAS that receives a second INVITE before it sends the final response to a first INVITE with a lower CSeq "
    "sequence number on the same dialog MUST return a 500 (Server Internal Error) response to the second INVITE and "
    "MUST include a Retry-After header field with a randomly chosen value of between 0 and 10 seconds.",
)
def test_a_second_invite_before_the_first_is_answered_gets_500_with_retry_after() -> None:
    side = Side()
    _, tag = answered_call(side)
    side.receive(request_bytes("INVITE", branch="z9hG4bK2", to_tag=tag, cseq=2))
    side.receive(request_bytes("INVITE", branch="z9hG4bK3", to_tag=tag, cseq=3))
    assert side.labels() == ["500 INVITE"]
    assert side.names() == ["RequestReceived"]
    side.receive(request_bytes("INVITE", branch="z9hG4bK3", to_tag=tag, cseq=3))
    assert 0 <= int(side.last().headers.get("Retry-After") or "-1") <= 10


@pytest.mark.rfc(
    "3261",
    "14.2",
    "A UAS that receives an INVITE on a dialog while an INVITE it had sent on that dialog is in progress MUST "
    "return a 491 (Request Pending) response to the received INVITE.",
)
def test_an_invite_while_ours_is_pending_gets_491() -> None:
    side = Side()
    dialog, tag = answered_call(side)
    side.in_dialog(dialog, "INVITE")
    side.labels()
    side.receive(request_bytes("INVITE", branch="z9hG4bK2", to_tag=tag, cseq=2))
    assert side.labels() == ["491 INVITE"]
    assert side.names() == []


@pytest.mark.rfc(
    "3261",
    "14.1",
    "Note that a UAC MUST NOT initiate a new INVITE transaction within a dialog while another INVITE transaction is "
    "in progress in either direction.",
)
def test_we_send_no_invite_while_another_is_under_way_in_either_direction() -> None:
    side = Side()
    dialog, tag = answered_call(side)
    side.receive(request_bytes("INVITE", branch="z9hG4bK2", to_tag=tag, cseq=2))
    with pytest.raises(LocalProtocolError) as refused:
        side.in_dialog(dialog, "INVITE")
    assert refused.value.status_hint == 491
    side.respond(side.event(RequestReceived).transaction, 488)
    side.in_dialog(dialog, "INVITE")
    with pytest.raises(LocalProtocolError):
        side.in_dialog(dialog, "INVITE")


@pytest.mark.rfc(
    "3261",
    "14.1",
    "If a UA receives a non-2xx final response to a re-INVITE, the session parameters MUST remain unchanged, as if "
    "no re-INVITE had been issued.",
)
def test_a_failed_reinvite_keeps_the_dialog() -> None:
    side = Side()
    dialog, _ = answered_call(side)
    side.in_dialog(dialog, "INVITE")
    side.receive(side.peer_response(488))
    assert side.names() == ["ResponseReceived"]
    assert side.endpoint.dialog(dialog) is not None


@pytest.mark.rfc(
    "3261",
    "14.2",
    "A UAS that receives an INVITE on a dialog while an INVITE it had sent on that dialog is in progress MUST "
    "return a 491 (Request Pending) response to the received INVITE.",
)
def test_an_invite_while_the_answer_in_the_ack_is_awaited_gets_491() -> None:
    side = Side()
    side.receive(request_bytes("INVITE"))
    side.respond(side.event(RequestReceived).transaction, 200, body=OFFER)
    tag = side.last().to.tag or ""
    side.labels()
    side.receive(request_bytes("INVITE", branch="z9hG4bK2", to_tag=tag, cseq=2))
    assert side.labels() == ["491 INVITE"]


def test_both_sides_reinvite_at_once_and_both_get_491() -> None:
    pair = Pair()
    alice, bob = connected(pair)
    pair.alice.in_dialog(alice, "INVITE")
    pair.bob.in_dialog(bob, "INVITE")
    pair.settle()
    assert sorted(pair.ladder) == sorted(
        [
            "alice → bob: INVITE",
            "bob → alice: INVITE",
            "alice → bob: 491 INVITE",
            "bob → alice: 491 INVITE",
            "alice → bob: ACK",
            "bob → alice: ACK",
        ]
    )
    assert pair.alice.names() == pair.bob.names() == ["ResponseReceived"]


def test_a_cancelled_reinvite_keeps_the_dialog() -> None:
    pair = Pair()
    alice, bob = connected(pair)
    transaction = pair.alice.in_dialog(alice, "INVITE")
    pair.settle()
    pair.bob.respond(pair.bob.event(RequestReceived).transaction, 100)
    pair.settle()
    pair.alice.cancel(transaction)
    pair.settle()
    assert pair.bob.names() == ["RequestReceived", "CancelReceived"]
    assert pair.alice.names() == ["ResponseReceived", "ResponseReceived"]
    assert pair.alice.endpoint.dialog(alice) and pair.bob.endpoint.dialog(bob)


@pytest.mark.rfc(
    "3261",
    "15",
    "… the callee's UA MUST NOT send a BYE on a confirmed dialog until it has received an ACK for its 2xx response "
    "or until the server transaction times out.",
)
@pytest.mark.parametrize("acknowledged", [True, False])
def test_the_callee_holds_its_bye_back_until_the_ack_or_its_timeout(acknowledged: bool) -> None:
    side = Side()
    side.receive(request_bytes("INVITE"))
    event = side.event(RequestReceived)
    side.respond(event.transaction, 200)
    tag = side.last().to.tag or ""
    side.labels()
    side.bye(event.dialog)
    side.bye(event.dialog)
    assert side.labels() == []
    if acknowledged:
        side.receive(request_bytes("ACK", branch="z9hG4bKack", to_tag=tag))
    else:
        side.advance(32.0)
    assert side.labels()[-1] == "BYE"
    assert "AckTimedOut" not in side.names()
    side.endpoint.bye(event.dialog or DialogId(0), side.now)
    assert side.leaks() == (0, 0)


@pytest.mark.rfc(
    "3261",
    "15.1.1",
    "If the response for the BYE is a 481 (Call/Transaction Does Not Exist) or a 408 (Request Timeout) or no "
    "response at all is received for the BYE …, the UAC MUST consider the session and the dialog terminated.",
)
@pytest.mark.parametrize("status", [200, 403, 481, 408, 500])
def test_any_final_response_to_bye_ends_the_dialog(status: int) -> None:
    side = Side()
    dialog, _ = answered_call(side)
    side.bye(dialog)
    side.receive(side.peer_response(status))
    assert side.names() == ["ResponseReceived", "DialogEnded"]
    assert side.labels() == ["BYE"]
    assert side.leaks() == (0, 0)


@pytest.mark.rfc(
    "3261",
    "15.1.1",
    "If the response for the BYE is a 481 (Call/Transaction Does Not Exist) or a 408 (Request Timeout) or no "
    "response at all is received for the BYE …, the UAC MUST consider the session and the dialog terminated.",
)
def test_a_bye_without_any_response_ends_the_dialog() -> None:
    side = Side()
    dialog, _ = answered_call(side)
    side.bye(dialog)
    side.advance(32.0)
    assert side.names() == ["RequestFailed", "DialogEnded"]
    assert side.leaks() == (0, 0)


@pytest.mark.parametrize("retried", [True, False])
def test_a_challenged_bye_can_be_sent_again_and_is_forgotten_otherwise(retried: bool) -> None:
    side = Side()
    dialog, _ = answered_call(side)
    side.bye(dialog)
    side.receive(side.peer_response(407))
    assert side.names() == ["ResponseReceived"]
    if retried:
        side.in_dialog(dialog, "BYE", headers=[("Proxy-Authorization", "Digest x")])
        side.receive(side.peer_response(200))
        assert side.names() == ["ResponseReceived", "DialogEnded"]
    else:
        side.advance(32.0)
        assert side.names() == ["DialogEnded"]
    assert side.leaks() == (0, 0)


@pytest.mark.rfc(
    "3261",
    "15.1.2",
    "The UAS MUST still respond to any pending requests received for that dialog. It is RECOMMENDED that a 487 "
    "(Request Terminated) response be generated to those pending requests.",
)
def test_a_bye_ends_pending_invites_with_487() -> None:
    side = Side()
    _dialog, tag = answered_call(side)
    side.receive(request_bytes("INVITE", branch="z9hG4bK2", to_tag=tag, cseq=2))
    side.receive(request_bytes("BYE", branch="z9hG4bK3", to_tag=tag, cseq=3))
    assert side.labels() == ["487 INVITE"]
    side.respond(side.event(RequestReceived).transaction, 200)
    assert side.labels() == ["200 BYE"]
    assert side.names() == ["RequestReceived", "RequestReceived", "DialogEnded"]
    assert side.leaks() == (0, 0)


@pytest.mark.rfc(
    "3261",
    "15.1.2",
    "The UAS MUST still respond to any pending requests received for that dialog. It is RECOMMENDED that a 487 "
    "(Request Terminated) response be generated to those pending requests.",
)
def test_a_bye_in_an_early_dialog_ends_the_invite_with_487() -> None:
    side = Side()
    side.receive(request_bytes("INVITE"))
    side.respond(side.event(RequestReceived).transaction, 180)
    tag = side.last().to.tag or ""
    side.labels()
    side.receive(request_bytes("BYE", branch="z9hG4bK3", to_tag=tag, cseq=2))
    side.respond(side.event(RequestReceived).transaction, 200)
    assert side.labels() == ["487 INVITE", "200 BYE"]
    assert side.names() == ["RequestReceived", "RequestReceived", "DialogEnded"]
    assert side.leaks() == (0, 0)


@pytest.mark.rfc("5407", "3.1.6")
def test_a_bye_before_the_ack_ends_the_repetition_of_the_2xx() -> None:
    side = Side()
    side.receive(request_bytes("INVITE"))
    side.respond(side.event(RequestReceived).transaction, 200)
    tag = side.last().to.tag or ""
    side.receive(request_bytes("BYE", branch="z9hG4bK3", to_tag=tag, cseq=2))
    side.respond(side.event(RequestReceived).transaction, 200)
    side.labels()
    assert side.advance(31.0) == []
    assert "AckTimedOut" not in side.names()


@pytest.mark.rfc(
    "3261",
    "12.2.2",
    "If the remote sequence number was not empty, but the sequence number of the request is lower than the remote "
    "sequence number, the request is out of order and MUST be rejected with a 500 (Server Internal Error) response.",
)
def test_a_bye_that_a_later_request_overtook_is_sent_again() -> None:
    """The peer must refuse it by 500 for its number, and would go on with the call."""
    side = Side()
    side.send()
    side.receive(side.peer_response(200, of=side.sent[-1].data))
    dialog = side.event(ResponseReceived).dialog
    assert dialog is not None
    side.ack(dialog)
    side.bye(dialog)
    bye = side.sent[-1].data
    found = side.endpoint._state.dialogs.get(dialog)
    assert found is not None
    found.next_cseq()
    side.receive(side.peer_response(500, of=bye))
    again = side.last()
    assert isinstance(again, Request) and (again.method, again.cseq.number) == ("BYE", 4)
    side.receive(side.peer_response(200, of=side.sent[-1].data))
    assert side.endpoint.dialog_count == 0


@pytest.mark.rfc("5407", "3.2.1")
def test_byes_that_cross_are_both_answered_without_the_user() -> None:
    pair = Pair()
    alice, bob = connected(pair)
    pair.alice.bye(alice)
    pair.bob.bye(bob)
    pair.settle()
    assert sorted(pair.ladder) == sorted(
        ["alice → bob: BYE", "bob → alice: BYE", "alice → bob: 200 BYE", "bob → alice: 200 BYE"]
    )
    assert pair.alice.names().count("DialogEnded") == pair.bob.names().count("DialogEnded") == 1
    assert pair.leaks() == (0, 0, 0, 0)


@pytest.mark.rfc("5407", "3.2.2")
def test_a_reinvite_that_crosses_our_bye_gets_481_and_leaves_nothing() -> None:
    pair = Pair()
    alice, bob = connected(pair)
    pair.alice.bye(alice)
    pair.bob.in_dialog(bob, "INVITE")
    pair.settle()
    pair.bob.respond(pair.bob.event(RequestReceived).transaction, 200)
    pair.settle()
    assert "alice → bob: 481 INVITE" in pair.ladder
    assert pair.alice.names().count("DialogEnded") == pair.bob.names().count("DialogEnded") == 1
    assert pair.leaks() == (0, 0, 0, 0)


def test_our_bye_refuses_the_peers_pending_reinvite() -> None:
    pair = Pair()
    alice, bob = connected(pair)
    pair.bob.in_dialog(bob, "INVITE")
    pair.settle()
    pair.alice.bye(alice)
    pair.settle()
    pair.bob.respond(pair.bob.event(RequestReceived).transaction, 200)
    pair.settle()
    assert "alice → bob: 487 INVITE" in pair.ladder
    assert pair.leaks() == (0, 0, 0, 0)


def test_our_pending_reinvite_does_not_outlive_the_dialog() -> None:
    side = Side()
    dialog, tag = answered_call(side)
    side.in_dialog(dialog, "INVITE")
    side.receive(side.peer_response(100, to_tag=""))
    side.receive(request_bytes("BYE", branch="z9hG4bK3", to_tag=tag, cseq=3))
    side.respond(side.event(RequestReceived).transaction, 200)
    assert side.leaks() == (0, 0)


def test_a_bye_that_the_user_never_answers_ends_the_dialog_all_the_same() -> None:
    side = Side()
    _, tag = answered_call(side)
    side.receive(request_bytes("BYE", branch="z9hG4bK3", to_tag=tag, cseq=3))
    side.names()
    side.advance(33.0)
    assert side.names() == ["DialogEnded"]
    assert side.leaks() == (0, 0)


@pytest.mark.rfc("5407", "3.1.3")
def test_a_200_that_crosses_the_bye_of_an_early_dialog_is_acknowledged() -> None:
    side = Side()
    side.send()
    invite = side.sent[-1].data
    side.receive(side.peer_response(180, of=invite))
    side.bye(side.event(ResponseReceived).dialog)
    bye = side.sent[-1].data
    side.labels()
    side.receive(side.peer_response(200, of=invite))
    side.receive(side.peer_response(200, of=invite))
    assert side.labels() == ["ACK", "ACK"]
    side.receive(side.peer_response(200, of=bye))
    assert side.names().count("DialogEnded") == 1
    assert side.leaks() == (0, 0)


def test_a_200_after_the_early_dialog_has_gone_is_acknowledged_and_hung_up() -> None:
    side = Side()
    side.send()
    invite = side.sent[-1].data
    side.receive(side.peer_response(180, of=invite))
    side.bye(side.event(ResponseReceived).dialog)
    side.receive(side.peer_response(481))
    side.labels()
    side.receive(side.peer_response(200, of=invite))
    assert side.labels() == ["ACK", "BYE"]
    assert side.leaks() == (0, 0)


def test_a_200_to_our_reinvite_that_crosses_our_bye_is_acknowledged() -> None:
    side = Side()
    dialog, _ = answered_call(side)
    side.in_dialog(dialog, "INVITE")
    reinvite = side.sent[-1].data
    side.bye(dialog)
    side.labels()
    side.receive(side.peer_response(200, of=reinvite))
    assert side.labels() == ["ACK"]
    assert side.leaks() == (0, 0)


def test_an_update_moves_the_remote_target_by_its_2xx() -> None:
    side = Side()
    dialog, _ = answered_call(side)
    side.in_dialog(dialog, "UPDATE")
    side.receive(side.peer_response(200, "Contact: <sip:alice@10.0.0.66>"))
    view = side.endpoint.dialog(dialog)
    assert view is not None and str(view.remote_target) == "sip:alice@10.0.0.66"


def test_a_cancelled_reinvite_waits_for_its_provisional_response_too() -> None:
    side = Side()
    dialog, _ = answered_call(side)
    transaction = side.in_dialog(dialog, "INVITE")
    reinvite = side.sent[-1].data
    side.cancel(transaction)
    side.labels()
    side.receive(side.peer_response(100, of=reinvite, to_tag=""))
    assert side.labels() == ["CANCEL"]
    side.receive(side.peer_response(487, of=reinvite))
    assert side.endpoint.dialog(dialog) is not None


def test_an_unsupported_option_within_a_dialog_gets_420() -> None:
    side = Side()
    _, tag = answered_call(side)
    side.receive(request_bytes("INFO", "Require: frobnicate", branch="z9hG4bK2", to_tag=tag, cseq=2))
    assert side.labels() == ["420 INFO"]


def test_nothing_more_is_sent_in_a_dialog_whose_bye_waits_for_the_ack() -> None:
    side = Side()
    side.receive(request_bytes("INVITE"))
    event = side.event(RequestReceived)
    side.respond(event.transaction, 200)
    side.bye(event.dialog)
    for method in ("INFO", "BYE", "INVITE"):
        with pytest.raises(LocalProtocolError):
            side.in_dialog(event.dialog, method)
