"""RFC 3261 §8.2: what a new request has to pass before the transaction user hears of it."""

from __future__ import annotations

import pytest

from sipcore.endpoint import Admit, Drop, Refuse
from sipcore.events import MessageDropped, RequestReceived
from sipcore.flow import Flow
from sipcore.message import Request, Response
from tests.endpoints import Side, request_bytes


def answer(side: Side) -> Response:
    message = side.last()
    assert isinstance(message, Response)
    return message


@pytest.mark.rfc(
    "3261",
    "8.2",
    "Note that request processing is atomic. If a request is accepted, all state changes associated with it MUST be "
    "performed. If it is rejected, all state changes MUST NOT be performed.",
)
def test_a_request_outside_of_a_dialog_reaches_the_user_once() -> None:
    side = Side()
    side.receive(request_bytes("OPTIONS"))
    side.receive(request_bytes("OPTIONS"))
    event = side.event(RequestReceived)
    assert side.names() == ["RequestReceived"]
    assert (event.in_dialog, event.dialog, event.identity) == (False, None, None)


@pytest.mark.rfc(
    "3261",
    "8.2.2.1",
    "If the Request-URI uses a scheme not supported by the UAS, it SHOULD reject the request with a 416 "
    "(Unsupported URI Scheme) response.",
)
@pytest.mark.parametrize("uri", ["http://example.com", "mailto:bob@example.com", "unknown:x"])
def test_an_unknown_scheme_gets_416(uri: str) -> None:
    side = Side()
    side.receive(request_bytes("OPTIONS", uri=uri))
    assert (answer(side).status, side.names(), side.endpoint.transaction_count) == (416, [], 0)


@pytest.mark.rfc(
    "3261",
    "8.2.2.1",
    "If the Request-URI does not identify an address that the UAS is willing to accept requests for, it SHOULD "
    "reject the request with a 404 (Not Found) response.",
)
def test_a_tel_uri_is_for_the_user_to_judge() -> None:
    side = Side()
    side.receive(request_bytes("OPTIONS", uri="tel:+4930123456"))
    assert side.names() == ["RequestReceived"]


@pytest.mark.rfc(
    "3261",
    "8.2.2.2",
    "If the request has no tag in the To header field, the UAS core MUST check the request against ongoing "
    "transactions. If the From tag, Call-ID, and CSeq exactly match those associated with an ongoing transaction, "
    "but the request does not match that transaction …, the UAS core SHOULD generate a 482 (Loop Detected) "
    "response.",
)
def test_the_same_request_on_another_branch_is_merged_482() -> None:
    side = Side()
    side.receive(request_bytes("INVITE", branch="z9hG4bKone"))
    side.receive(request_bytes("INVITE", branch="z9hG4bKtwo"))
    assert answer(side).status == 482
    assert side.names() == ["RequestReceived"]
    assert side.endpoint.dialog_count == 1


@pytest.mark.rfc(
    "3261",
    "8.2.2.2",
    "If the From tag, Call-ID, and CSeq exactly match those associated with an ongoing transaction, but the request "
    "does not match that transaction …, the UAS core SHOULD generate a 482 (Loop Detected) response.",
)
@pytest.mark.parametrize("other", [{"cseq": 2}, {"from_tag": "other"}, {"call_id": "other"}])
def test_another_cseq_tag_or_call_is_not_merged(other: dict[str, object]) -> None:
    side = Side()
    side.receive(request_bytes("OPTIONS", branch="z9hG4bKone"))
    side.receive(request_bytes("OPTIONS", branch="z9hG4bKtwo", **other))  # type: ignore[arg-type]
    assert side.names() == ["RequestReceived", "RequestReceived"]


@pytest.mark.rfc(
    "3261",
    "21.4.15",
    "The server MUST include a list of the unsupported extensions in an Unsupported header field in the response.",
)
@pytest.mark.rfc(
    "3261",
    "20.32",
    "Although an optional header field, the Require MUST NOT be ignored if it is present.",
)
@pytest.mark.rfc(
    "3261",
    "8.2.2.3",
    "If a UAS does not understand an option-tag listed in a Require header field, it MUST respond by generating a "
    "response with status code 420 (Bad Extension). The UAS MUST add an Unsupported header field, and list in it "
    "those options it does not understand amongst those in the Require header field of the request.",
)
def test_an_unknown_option_in_require_gets_420_with_unsupported() -> None:
    side = Side(supported=("timer",))
    side.receive(request_bytes("INVITE", "Require: timer, 100rel", "Require: frobnicate"))
    assert answer(side).status == 420
    assert answer(side).headers.get("Unsupported") == "100rel, frobnicate"
    assert side.names() == []


@pytest.mark.rfc(
    "3261",
    "8.2.2.3",
    "Note that Require and Proxy-Require MUST NOT be used in a SIP CANCEL request, or in an ACK request sent for a "
    "non-2xx response. These header fields MUST be ignored if they are present in these requests.",
)
def test_require_is_ignored_in_cancel() -> None:
    side = Side()
    side.receive(request_bytes("INVITE"))
    side.receive(request_bytes("CANCEL", "Require: frobnicate"))
    assert side.labels() == ["200 CANCEL", "487 INVITE"]


@pytest.mark.rfc(
    "3261",
    "16.3",
    "If the request contains a Max-Forwards header field with a field value of zero (0), the element MUST NOT "
    "forward the request.",
)
def test_max_forwards_0_gets_483_except_for_requests_about_the_hop_itself() -> None:
    side = Side()
    side.receive(request_bytes("INVITE", "Max-Forwards: 0"))
    assert side.labels() == ["483 INVITE"]
    side.receive(request_bytes("OPTIONS", "Max-Forwards: 0", call_id="2"))
    assert side.names() == ["RequestReceived"]


@pytest.mark.rfc(
    "3261",
    "8.2.6.2",
    "If a request contained a To tag in the request, the To header field in the response MUST equal that of the "
    "request. However, if the To header field in the request did not contain a tag, the URI in the To header field "
    "in the response MUST equal the URI in the To header field; additionally, the UAS MUST add a tag to the To "
    "header field in the response … The same tag MUST be used for all responses to that request, both final and "
    "provisional.",
)
def test_a_response_copies_what_it_must_and_keeps_one_to_tag() -> None:
    side = Side()
    side.receive(request_bytes("INVITE", "Via: SIP/2.0/UDP 9.9.9.9;branch=z9hG4bK9"))
    transaction = side.event(RequestReceived).transaction
    side.respond(transaction, 100)
    assert answer(side).to.tag is None
    side.respond(transaction, 180)
    first = answer(side)
    side.respond(transaction, 200)
    second = answer(side)
    assert first.to.tag and first.to.tag == second.to.tag
    assert [via.host for via in second.vias] == ["10.0.0.1", "9.9.9.9"]
    assert (second.call_id, str(second.cseq), second.from_.tag) == ("call-1", "1 INVITE", "a1")


@pytest.mark.rfc(
    "3261",
    "8.2.7",
    "A stateless UAS MUST NOT retransmit responses. … To header tags MUST be generated for responses in a stateless "
    "manner - in a manner that will generate the same tag for the same request consistently.",
)
def test_a_refusal_of_the_gate_leaves_no_state_and_is_the_same_for_every_copy() -> None:
    side = Side(gate=lambda _request, _flow, _now: Refuse(401, headers=(("WWW-Authenticate", 'Digest realm="x"'),)))
    side.receive(request_bytes("INVITE"))
    first = side.sent[-1].data
    side.receive(request_bytes("INVITE"))
    assert side.sent[-1].data == first
    assert answer(side).to.tag
    assert answer(side).headers.get("WWW-Authenticate") == 'Digest realm="x"'
    assert (side.endpoint.transaction_count, side.endpoint.dialog_count, side.names()) == (0, 0, [])


@pytest.mark.rfc("3261", "8.2.7", "A stateless UAS MUST ignore ACK requests.")
def test_the_ack_to_a_stateless_refusal_is_absorbed() -> None:
    side = Side(gate=lambda _request, _flow, _now: Refuse(403))
    side.receive(request_bytes("INVITE"))
    tag = answer(side).to.tag
    side.labels()
    side.receive(request_bytes("ACK", to_tag=tag or ""))
    assert (side.labels(), side.names()) == ([], [])
    assert side.endpoint.counters["acks_absorbed"] == 1


def test_what_the_gate_drops_gets_silence_and_a_counter() -> None:
    side = Side(gate=lambda _request, _flow, _now: Drop("banned"))
    side.receive(request_bytes("REGISTER"))
    assert side.labels() == []
    assert side.events == [MessageDropped("banned", side.flow)]
    assert side.endpoint.counters["banned"] == 1


def test_the_gate_sees_new_requests_only_and_its_identity_comes_back() -> None:
    seen: list[str] = []

    def gate(request: Request, _flow: Flow, _now: float) -> Admit:
        seen.append(request.method)
        return Admit("alice")

    side = Side(gate=gate)
    side.receive(request_bytes("INVITE"))
    side.receive(request_bytes("INVITE"))
    side.receive(request_bytes("CANCEL"))
    side.receive(request_bytes("ACK", to_tag=answer(side).to.tag or ""))
    assert seen == ["INVITE"]
    assert side.event(RequestReceived).identity == "alice"


def test_above_the_limit_of_transactions_new_requests_get_503_without_state() -> None:
    from sipcore.limits import Limits

    side = Side(limits=Limits(max_transactions=2))
    for number in range(4):
        side.receive(request_bytes("OPTIONS", branch=f"z9hG4bK{number}", call_id=str(number)))
    assert side.labels() == ["503 OPTIONS", "503 OPTIONS"]
    assert side.endpoint.transaction_count == 2


@pytest.mark.rfc(
    "3261",
    "17.2.3",
    "The request matches a transaction if: 1. the branch parameter in the request is equal to the one in the top "
    "Via header field of the request that created the transaction, and 2. the sent-by value in the top Via of the "
    "request is equal to the one in the request that created the transaction, and 3. the method of the request "
    "matches the one that created the transaction, except for ACK, where the method of the request that created the "
    "transaction is INVITE.",
)
def test_the_same_branch_with_another_sent_by_is_another_transaction() -> None:
    side = Side()
    side.receive(request_bytes("OPTIONS"))
    side.receive(request_bytes("OPTIONS", via="SIP/2.0/UDP 10.0.0.9:5060", call_id="other"))
    assert side.names() == ["RequestReceived", "RequestReceived"]


@pytest.mark.rfc(
    "3261",
    "17.2.3",
    "If the branch parameter in the top Via header field is not present, or does not contain the magic cookie, the "
    "following procedures are used. These exist to handle backwards compatibility with RFC 2543 compliant "
    "implementations.",
)
def test_without_a_branch_retransmissions_ack_and_cancel_match_by_the_fields_of_rfc_2543() -> None:
    side = Side()
    invite = request_bytes("INVITE", branch="")
    side.receive(invite)
    side.receive(invite)
    assert side.names() == ["RequestReceived"]
    assert side.labels() == ["100 INVITE"]
    side.receive(request_bytes("CANCEL", branch=""))
    assert side.labels() == ["200 CANCEL", "487 INVITE"]
    side.receive(request_bytes("ACK", branch="", to_tag="whatever-we-sent"))
    assert side.advance(30.0) == []


@pytest.mark.rfc(
    "3261",
    "8.2.6.1",
    "… UASs SHOULD NOT issue a provisional response for a non-INVITE request. Rather, UASs SHOULD generate a final "
    "response to a non-INVITE request as soon as possible.",
)
def test_unreadable_requests_with_readable_essentials_get_400_and_others_silence() -> None:
    side = Side()
    side.receive(request_bytes("OPTIONS").replace(b"CSeq: 1 OPTIONS", b"CSeq: 1 INVITE"))
    assert answer(side).status == 400
    side.labels()
    side.receive(b"\x00\xff nothing of SIP")
    assert side.labels() == []
    assert side.names() == ["MessageDropped"]


@pytest.mark.rfc(
    "3261",
    "8.2.6.1",
    "When a 100 (Trying) response is generated, any Timestamp header field present in the request MUST be copied "
    "into this 100 (Trying) response.",
)
def test_timestamp_is_copied_into_the_100() -> None:
    side = Side()
    side.receive(request_bytes("INVITE", "Timestamp: 54"))
    side.respond(side.event(RequestReceived).transaction, 100)
    assert answer(side).headers.get("Timestamp") == "54"
    assert "Timestamp" not in request_headers_of(side, 180)


def request_headers_of(side: Side, status: int) -> list[str]:
    side.respond(side.event(RequestReceived).transaction, status)
    return [name for name, _ in answer(side).headers.items()]


@pytest.mark.rfc(
    "3261",
    "8.2.2",
    "If a UAS does not understand a header field in a request (that is, the header field is not defined in this "
    "specification or in any supported extension), the server MUST ignore that header field and continue processing "
    "the message.",
)
@pytest.mark.rfc(
    "3261",
    "7.3.2",
    "If a header field appears in a message not matching its category (such as a request header field in a "
    "response), it MUST be ignored.",
)
@pytest.mark.parametrize(
    "line",
    [
        'X-Never-Heard: of\tit; a="b',
        "Unsupported: 100rel",
        "WWW-Authenticate: broken",
        "Proxy-Authenticate: ,,,",
        "Retry-After: never",
        "Min-Expires: -1",
        "Authentication-Info: x",
        "Warning: nothing",
    ],
)
def test_headers_that_mean_nothing_here_are_ignored(line: str) -> None:
    side = Side()
    side.receive(request_bytes("OPTIONS", line))
    assert side.names() == ["RequestReceived"] and side.labels() == []


@pytest.mark.rfc(
    "6665",
    "4.6",
    "If a User Agent Server (UAS) receives a CANCEL request that matches a known SUBSCRIBE or NOTIFY transaction, it "
    "MUST respond to the CANCEL request, but otherwise ignore it.",
)
@pytest.mark.parametrize("method", ["SUBSCRIBE", "MESSAGE", "OPTIONS"])
def test_a_cancel_for_anything_but_invite_is_answered_and_ignored(method: str) -> None:
    side = Side()
    lines = ("Event: dialog", "Contact: <sip:alice@10.0.0.1>") if method == "SUBSCRIBE" else ()
    side.receive(request_bytes(method, *lines))
    event = side.event(RequestReceived)
    side.receive(request_bytes("CANCEL"))
    assert side.labels() == ["200 CANCEL"] and side.names() == ["RequestReceived"]
    side.respond(event.transaction, 200)
    assert side.labels() == [f"200 {method}"]
