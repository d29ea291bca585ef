"""RFC 3311 §5: UPDATE changes a session before and after the answer, one offer at a time."""

from __future__ import annotations

import pytest

from sipcore.errors import LocalProtocolError
from sipcore.events import DialogId, RequestReceived, ResponseReceived
from tests.endpoints import ALICE, ANSWER, BOB, OFFER, Pair, Side, request_bytes


def answered(side: Side) -> tuple[DialogId, str]:
    side.receive(request_bytes("INVITE", body=OFFER))
    event = side.event(RequestReceived)
    side.respond(event.transaction, 200, body=ANSWER)
    tag = side.last().to.tag or ""
    side.receive(request_bytes("ACK", branch="z9hG4bKack", to_tag=tag))
    side.labels()
    side.names()
    assert event.dialog is not None
    return event.dialog, tag


def update(tag: str, cseq: int, body: bytes = OFFER) -> bytes:
    return request_bytes("UPDATE", branch=f"z9hG4bKu{cseq}", to_tag=tag, cseq=cseq, body=body)


@pytest.mark.rfc(
    "3311",
    "5.2",
    "A UAS that receives an UPDATE before it has generated a final response to a previous UPDATE on the same dialog "
    "MUST return a 500 response to the new UPDATE, and MUST include a Retry-After header field with a randomly "
    "chosen value between 0 and 10 seconds.",
)
def test_an_update_before_the_last_one_is_answered_gets_500_with_retry_after() -> None:
    side = Side()
    _, tag = answered(side)
    side.receive(update(tag, 2, b""))
    first = side.event(RequestReceived)
    side.receive(update(tag, 3, b""))
    assert side.last().headers.get("Retry-After") is not None
    assert 0 <= int(side.last().headers.get("Retry-After") or "") <= 10
    side.respond(first.transaction, 200)
    assert side.labels() == ["500 UPDATE", "200 UPDATE"]
    side.receive(update(tag, 4, b""))
    assert side.names() == ["RequestReceived", "RequestReceived"]


@pytest.mark.rfc(
    "3311",
    "5.2",
    "If an UPDATE is received that contains an offer, and the UAS has generated an offer (in an UPDATE, PRACK or "
    "INVITE) to which it has not yet received an answer, the UAS MUST reject the UPDATE with a 491 response.",
)
def test_an_offer_while_ours_is_unanswered_gets_491() -> None:
    side = Side()
    dialog, tag = answered(side)
    side.in_dialog(dialog, "UPDATE", body=OFFER)
    side.receive(update(tag, 2))
    assert side.labels() == ["UPDATE", "491 UPDATE"]


@pytest.mark.rfc(
    "3311",
    "5.2",
    "If an UPDATE is received that contains an offer, and the UAS has generated an offer (in an UPDATE, PRACK or "
    "INVITE) to which it has not yet received an answer, the UAS MUST reject the UPDATE with a 491 response.",
)
def test_an_update_without_offer_passes_while_ours_is_unanswered() -> None:
    side = Side()
    dialog, tag = answered(side)
    side.in_dialog(dialog, "UPDATE", body=OFFER)
    side.receive(update(tag, 2, b""))
    assert side.names() == ["RequestReceived"]


@pytest.mark.rfc(
    "3311",
    "5.2",
    "Similarly, if an UPDATE is received that contains an offer, and the UAS has received an offer (in an UPDATE, "
    "PRACK, or INVITE) to which it has not yet generated an answer, the UAS MUST reject the UPDATE with a 500 "
    "response, and MUST include a Retry-After header field with a randomly chosen value between 0 and 10 seconds.",
)
def test_an_offer_before_the_one_of_the_invite_is_answered_gets_500() -> None:
    side = Side()
    side.receive(request_bytes("INVITE", body=OFFER))
    side.respond(side.event(RequestReceived).transaction, 180)
    tag = side.last().to.tag or ""
    side.receive(update(tag, 2))
    assert side.labels()[-1] == "500 UPDATE"


@pytest.mark.rfc(
    "3311",
    "5.2",
    "Similarly, if an UPDATE is received that contains an offer, and the UAS has received an offer (in an UPDATE, "
    "PRACK, or INVITE) to which it has not yet generated an answer, the UAS MUST reject the UPDATE with a 500 "
    "response, and MUST include a Retry-After header field with a randomly chosen value between 0 and 10 seconds.",
)
def test_an_update_in_an_early_dialog_passes_once_the_offer_is_answered_reliably() -> None:
    side = Side(supported=("100rel",))
    side.receive(request_bytes("INVITE", "Supported: 100rel", body=OFFER))
    side.respond(side.event(RequestReceived).transaction, 183, reliable=True, body=ANSWER)
    tag, rseq = side.last().to.tag or "", side.last().headers.get("RSeq")
    side.receive(request_bytes("PRACK", f"RAck: {rseq} 1 INVITE", branch="z9hG4bKp", to_tag=tag, cseq=2))
    side.receive(update(tag, 3))
    event = side.event(RequestReceived)
    assert event.request.method == "UPDATE"
    side.respond(event.transaction, 200, body=ANSWER)
    assert side.labels()[-1] == "200 UPDATE"


@pytest.mark.rfc(
    "3264",
    "4",
    "However, it MUST NOT generate a new offer if it has received an offer which it has not yet answered or rejected.",
)
@pytest.mark.rfc(
    "3311",
    "5.1",
    "If the UPDATE is being sent after the completion of the initial INVITE transaction, it cannot be sent with an "
    "offer if the callee has generated or received offers in a re-INVITE or UPDATE which have not been answered.",
)
def test_we_send_no_offer_while_one_is_pending_in_either_direction() -> None:
    side = Side()
    dialog, tag = answered(side)
    side.receive(update(tag, 2))
    pending = side.event(RequestReceived)
    with pytest.raises(LocalProtocolError) as refused:
        side.in_dialog(dialog, "UPDATE", body=OFFER)
    assert refused.value.status_hint == 491
    side.respond(pending.transaction, 488)
    side.in_dialog(dialog, "UPDATE", body=OFFER)
    with pytest.raises(LocalProtocolError):
        side.in_dialog(dialog, "INVITE", body=OFFER)


@pytest.mark.rfc(
    "3311",
    "5.1",
    "If the UPDATE is being sent before completion of the initial INVITE transaction, and the initial INVITE "
    "contained an offer, the UPDATE can contain an offer if the callee generated an answer in a reliable provisional "
    "response …",
)
def test_the_uac_sends_no_offer_before_its_invite_is_answered() -> None:
    side = Side(ALICE, BOB)
    side.send()
    invite = side.sent[-1].data
    side.receive(side.peer_response(180, of=invite))
    dialog = side.event(ResponseReceived).dialog
    with pytest.raises(LocalProtocolError):
        side.in_dialog(dialog, "UPDATE", body=OFFER)
    side.in_dialog(dialog, "UPDATE")


@pytest.mark.rfc(
    "3311",
    "5.1",
    "… modify the remote target while an INVITE transaction is in progress, and it is a UAS for that INVITE "
    "transaction, it MUST place the same value into the Contact header field of the 2xx to the INVITE that it "
    "placed into the UPDATE …",
)
def test_update_and_its_2xx_refresh_the_target_of_both_sides() -> None:
    pair = Pair()
    pair.alice.send()
    pair.settle()
    invite = pair.bob.event(RequestReceived)
    pair.bob.respond(invite.transaction, 200, body=ANSWER)
    pair.settle()
    dialog = pair.alice.event(ResponseReceived).dialog
    pair.alice.ack(dialog)
    pair.settle()
    pair.alice.in_dialog(dialog, "UPDATE", headers=(("Contact", "<sip:moved@10.0.0.1>"),))
    pair.settle()
    asked = pair.bob.event(RequestReceived)
    pair.bob.respond(asked.transaction, 200, headers=(("Contact", "<sip:elsewhere@10.0.0.2>"),))
    pair.settle()
    assert dialog is not None and invite.dialog is not None
    mine, theirs = pair.alice.endpoint.dialog(dialog), pair.bob.endpoint.dialog(invite.dialog)
    assert mine is not None and theirs is not None
    assert str(mine.remote_target) == "sip:elsewhere@10.0.0.2" and str(theirs.remote_target) == "sip:moved@10.0.0.1"


@pytest.mark.rfc(
    "3311",
    "5.3",
    "If a UA receives a non-2xx final response to a UPDATE, the session parameters MUST remain unchanged, as if no "
    "UPDATE had been issued.",
)
@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_a_refused_offer_is_no_longer_pending(method: str) -> None:
    side = Side()
    dialog, tag = answered(side)
    side.in_dialog(dialog, method, body=OFFER)
    side.receive(side.peer_response(488, of=side.sent[-1].data))
    side.receive(update(tag, 2))
    assert side.names()[-1] == "RequestReceived"
