"""RFC 3262 §4: the UAC takes reliable responses in order, and acknowledges each once; §5: three ways to offer."""

from __future__ import annotations

import pytest

from sipcore.errors import LocalProtocolError
from sipcore.events import DialogId, RequestReceived, ResponseReceived
from sipcore.message import Request
from tests.endpoints import ALICE, ANSWER, BOB, OFFER, Pair, Side


def reliable(side: Side, rseq: int, status: int = 180, *, of: bytes, to_tag: str = "b1", body: bytes = b"") -> None:
    lines = ("Require: 100rel", f"RSeq: {rseq}")
    side.receive(side.peer_response(status, *lines, of=of, to_tag=to_tag, body=body))


def prack(side: Side, dialog: DialogId | None, body: bytes = b"") -> Request:
    assert dialog is not None
    side.take(side.endpoint.prack(dialog, side.endpoint.new_transaction(), side.now, body=body))
    request = side.last()
    assert isinstance(request, Request)
    return request


@pytest.mark.rfc(
    "3262",
    "4",
    "Assuming the response is to be transmitted reliably, the UAC MUST create a new request with method PRACK. This "
    "request is sent within the dialog associated with the provisional response.",
)
def test_rack_names_rseq_and_cseq_of_the_response() -> None:
    side = Side(ALICE, BOB)
    side.send("INVITE", ("Supported", "100rel"))
    reliable(side, 4711, of=side.sent[-1].data)
    event = side.event(ResponseReceived)
    assert event.is_reliable
    request = prack(side, event.dialog)
    assert request.method == "PRACK" and request.headers.get("RAck") == "4711 1 INVITE"
    assert request.cseq.number == 2 and request.to.tag == "b1"


@pytest.mark.rfc(
    "3262",
    "4",
    "Once a reliable provisional response is received, retransmissions of that response MUST be discarded. … its "
    "RSeq value is not one higher than the value of the sequence number, that response MUST NOT be acknowledged with "
    "a PRACK, and MUST NOT be processed further by the UAC.",
)
def test_a_repeated_response_is_not_told_again_and_one_out_of_order_is_not_taken() -> None:
    side = Side(ALICE, BOB)
    side.send()
    invite = side.sent[-1].data
    reliable(side, 10, of=invite)
    reliable(side, 10, of=invite)
    reliable(side, 12, of=invite)
    assert side.names() == ["ResponseReceived"]
    reliable(side, 11, of=invite)
    assert side.names() == ["ResponseReceived"]


@pytest.mark.rfc(
    "3262",
    "4",
    "A response is a retransmission when its dialog ID, CSeq, and RSeq match the original response. The UAC MUST "
    "maintain a sequence number that indicates the most recently received in-order reliable provisional response "
    "for the initial request.",
)
def test_each_early_dialog_counts_for_itself() -> None:
    side = Side(ALICE, BOB)
    side.send()
    invite = side.sent[-1].data
    reliable(side, 10, of=invite, to_tag="b1")
    first = side.event(ResponseReceived).dialog
    reliable(side, 900, of=invite, to_tag="b2")
    second = side.event(ResponseReceived).dialog
    assert first != second
    assert prack(side, second).headers.get("RAck") == "900 1 INVITE"
    assert prack(side, first).headers.get("RAck") == "10 1 INVITE"


@pytest.mark.rfc(
    "3262",
    "4",
    "If a provisional response is received for an initial request, and that response contains a Require header "
    "field containing the option tag 100rel, the response is to be sent reliably. If the response is a 100 (Trying) "
    "(as opposed to 101 to 199), this option tag MUST be ignored, and the procedures below MUST NOT be used.",
)
def test_there_is_no_prack_for_what_was_not_sent_reliably() -> None:
    side = Side(ALICE, BOB)
    side.send()
    side.receive(side.peer_response(180))
    with pytest.raises(LocalProtocolError):
        prack(side, side.event(ResponseReceived).dialog)


# §5: who offers where; the description that each message carries.
MODELS = {
    "offer in INVITE, answer in 1xx": (OFFER, ANSWER, b"", b""),
    "offer in 1xx, answer in PRACK": (b"", OFFER, ANSWER, b""),
    "offer in INVITE, answer in 1xx, offer in PRACK, answer in its 200": (OFFER, ANSWER, OFFER, ANSWER),
}


@pytest.mark.rfc(
    "3262",
    "5",
    "… if a reliable provisional response is the first reliable message sent back to the UAC, and the INVITE did "
    "not contain an offer, one MUST appear in that reliable provisional response. If the UAC receives a reliable "
    "provisional response with an offer …, it MUST generate an answer in the PRACK. … If the UAS receives a PRACK "
    "with an offer, it MUST place the answer in the 2xx to the PRACK.",
)
@pytest.mark.parametrize("lost", ["", "183", "PRACK", "200 PRACK"])
@pytest.mark.parametrize("model", MODELS)
def test_the_three_models_of_offer_and_answer_pass_with_any_message_lost(model: str, lost: str) -> None:
    in_invite, in_progress, in_prack, in_success = MODELS[model]
    pair = Pair(supported=("100rel",))
    dropped: list[str] = []

    def wire(line: str, data: bytes) -> bool:
        label = line.rpartition(": ")[2]
        if lost and label.startswith(lost) and not dropped:
            dropped.append(label)
            return False
        return True

    pair.wire = wire
    pair.alice.send("INVITE", ("Supported", "100rel"), body=in_invite)
    pair.settle()
    invite = pair.bob.event(RequestReceived)
    pair.bob.respond(invite.transaction, 183, reliable=True, body=in_progress)
    pair.bob.respond(invite.transaction, 200)
    pair.advance(2.0)
    progress = pair.alice.event(ResponseReceived)
    assert progress.response.status == 183 and progress.response.body == in_progress
    assert "bob → alice: 200 INVITE" not in pair.ladder
    prack(pair.alice, progress.dialog, in_prack)
    pair.advance(4.0)
    if in_prack:
        asked = pair.bob.event(RequestReceived)
        assert asked.request.method == "PRACK" and asked.request.body == in_prack
        pair.bob.respond(asked.transaction, 200, body=in_success)
        pair.advance(12.0)
    assert pair.alice.event(ResponseReceived).response.status == 200
    dialog = progress.dialog
    pair.alice.ack(dialog)
    pair.settle()
    pair.alice.in_dialog(dialog, "UPDATE", body=OFFER)  # nothing is pending any more
    pair.settle()
    pair.bob.respond(pair.bob.event(RequestReceived).transaction, 200, body=ANSWER)
    pair.alice.bye(dialog)
    pair.settle()
    pair.bob.respond(pair.bob.event(RequestReceived).transaction, 200)
    assert pair.leaks() == (0, 0, 0, 0)
