"""RFC 3262 §3 and §5: the UAS sends provisional responses reliably, one after another, and waits for their PRACKs."""

from __future__ import annotations

import pytest

from sipcore.errors import LocalProtocolError
from sipcore.events import CancelReceived, PrackTimedOut, ProvisionalAcknowledged, RequestReceived
from tests.endpoints import ANSWER, OFFER, Side, request_bytes

RELIABLE = "Supported: 100rel"


def ringing(*lines: str, body: bytes = OFFER) -> tuple[Side, RequestReceived]:
    side = Side(supported=("100rel",))
    side.receive(request_bytes("INVITE", *(lines or (RELIABLE,)), body=body))
    return side, side.event(RequestReceived)


def prack(side: Side, rseq: int, *, cseq: int = 2, body: bytes = b"", rack: str | None = None) -> bytes:
    value = rack or f"{rseq} 1 INVITE"
    return request_bytes(
        "PRACK", f"RAck: {value}", branch=f"z9hG4bKprack{cseq}", to_tag=_tag(side), cseq=cseq, body=body
    )


def _tag(side: Side) -> str:
    invite = next(each for each in side.events if isinstance(each, RequestReceived))
    assert invite.dialog is not None
    view = side.endpoint.dialog(invite.dialog)
    assert view is not None
    return view.local_tag


def rseq_of(side: Side) -> int:
    return int(side.last().headers.get("RSeq") or "0")


@pytest.mark.rfc(
    "3262",
    "3",
    "The value of the header field for the first reliable provisional response in a transaction MUST be between 1 "
    "and 2**31 - 1. It is RECOMMENDED that it be chosen uniformly in this range.",
)
def test_rseq_starts_between_1_and_2_to_the_31_less_1_and_differs_from_call_to_call() -> None:
    first = set()
    for seed in range(20):
        side = Side(seed=seed)
        side.receive(request_bytes("INVITE", RELIABLE))
        side.respond(side.event(RequestReceived).transaction, 180, reliable=True)
        assert side.last().headers.get("Require") == "100rel"
        first.add(rseq_of(side))
    assert len(first) == 20 and all(1 <= value <= 2**31 - 1 for value in first)


@pytest.mark.rfc(
    "3262",
    "3",
    "The reliable provisional response is passed to the transaction layer periodically with an interval that starts "
    "at T1 seconds and doubles for each retransmission … If a reliable provisional response is retransmitted for "
    "64*T1 seconds without reception of a corresponding PRACK, the UAS SHOULD reject the original request with a "
    "5xx response.",
)
def test_a_response_is_repeated_from_t1_on_doubling_and_given_up_after_64_t1() -> None:
    side, invite = ringing()
    side.respond(invite.transaction, 180, reliable=True)
    log = [moment for moment, line in side.advance(40.0) if line == "180 INVITE"]
    assert log == [0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert side.event(PrackTimedOut).transaction == invite.transaction
    side.respond(invite.transaction, 504)
    assert side.leaks() == (0, 0)


@pytest.mark.rfc(
    "3262",
    "3",
    "If the PRACK does match an unacknowledged reliable provisional response, it MUST be responded to with a 2xx "
    "response. The UAS can be certain at this point that the provisional response has been received in order. It "
    "SHOULD cease retransmissions of the reliable provisional response, and MUST remove it from the list of "
    "unacknowledged provisional responses.",
)
def test_prack_stops_the_repetitions_and_is_answered_200() -> None:
    side, invite = ringing()
    side.respond(invite.transaction, 180, reliable=True)
    side.receive(prack(side, rseq_of(side)))
    assert side.event(ProvisionalAcknowledged).transaction == invite.transaction
    assert side.labels() == ["180 INVITE", "200 PRACK"]
    assert side.advance(40.0) == []


@pytest.mark.rfc(
    "3262",
    "3",
    "If a PRACK request is received by the UA core that does not match any unacknowledged reliable provisional "
    "response, the UAS MUST respond to the PRACK with a 481 response.",
)
@pytest.mark.parametrize("rack", ["1 1 INVITE", "{rseq} 2 INVITE", "{rseq} 1 UPDATE"])
def test_a_prack_that_matches_nothing_gets_481(rack: str) -> None:
    side, invite = ringing()
    side.respond(invite.transaction, 180, reliable=True)
    rseq = rseq_of(side)
    side.receive(prack(side, rseq, rack=rack.format(rseq=rseq)))
    assert side.labels()[-1] == "481 PRACK"
    assert [line for _, line in side.advance(1.0)] == ["180 INVITE"], "the response still waits"


@pytest.mark.rfc(
    "3262",
    "3",
    "If a PRACK request is received by the UA core that does not match any unacknowledged reliable provisional "
    "response, the UAS MUST respond to the PRACK with a 481 response.",
)
def test_a_second_prack_for_one_response_gets_481_and_a_broken_rack_400() -> None:
    side, invite = ringing()
    side.respond(invite.transaction, 180, reliable=True)
    rseq = rseq_of(side)
    side.receive(prack(side, rseq))
    side.receive(prack(side, rseq, cseq=3))
    side.receive(prack(side, rseq, cseq=4, rack="one two"))
    assert side.labels() == ["180 INVITE", "200 PRACK", "481 PRACK", "400 PRACK"]


@pytest.mark.rfc("3262", "3", "send a second reliable provisional response until the first is acknowledged")
def test_a_second_reliable_response_waits_for_the_prack_of_the_first() -> None:
    side, invite = ringing()
    side.respond(invite.transaction, 183, reliable=True, body=ANSWER)
    first = rseq_of(side)
    side.respond(invite.transaction, 180, reliable=True)
    assert side.labels() == ["183 INVITE"]
    side.respond(invite.transaction, 181)
    side.receive(prack(side, first))
    assert side.labels() == ["181 INVITE", "200 PRACK", "180 INVITE"]


@pytest.mark.rfc(
    "3262",
    "3",
    "The value of the RSeq in each subsequent reliable provisional response for the same request MUST be greater by "
    "exactly one. RSeq numbers MUST NOT wrap around.",
)
def test_rseq_grows_by_one() -> None:
    side, invite = ringing()
    side.respond(invite.transaction, 183, reliable=True)
    first = rseq_of(side)
    side.receive(prack(side, first))
    side.respond(invite.transaction, 180, reliable=True)
    assert rseq_of(side) == first + 1


@pytest.mark.rfc(
    "3262", "3", "In that case, it MUST NOT send a final response until those provisional responses are acknowledged."
)
def test_the_2xx_waits_while_a_description_is_unacknowledged() -> None:
    side, invite = ringing()
    side.respond(invite.transaction, 183, reliable=True, body=ANSWER)
    first = rseq_of(side)
    side.respond(invite.transaction, 200, body=ANSWER)
    assert side.labels() == ["183 INVITE"] and side.endpoint.is_held_back(invite.transaction)
    side.receive(prack(side, first))
    assert side.labels() == ["200 PRACK", "200 INVITE"] and not side.endpoint.is_held_back(invite.transaction)


@pytest.mark.rfc(
    "3262",
    "3",
    "The UAS MAY send a final response to the initial request before having received PRACKs for all unacknowledged "
    "reliable provisional responses, unless the final response is 2xx and any of the unacknowledged reliable "
    "provisional responses contained a session description.",
)
def test_a_2xx_goes_at_once_past_an_unacknowledged_response_without_description() -> None:
    side, invite = ringing()
    side.respond(invite.transaction, 180, reliable=True)
    first = rseq_of(side)
    side.respond(invite.transaction, 200, body=ANSWER)
    assert side.labels() == ["180 INVITE", "200 INVITE"]
    side.respond(invite.transaction, 180, reliable=True)
    side.receive(request_bytes("PRACK", f"RAck: {first} 1 INVITE", branch="z9hG4bKp", to_tag=_tag(side), cseq=2))
    assert side.labels() == ["200 PRACK"], "a PRACK that crossed the 2xx is still known"


@pytest.mark.rfc(
    "3262",
    "3",
    "If the UAS does send a final response when reliable responses are still unacknowledged, it SHOULD NOT continue "
    "to retransmit the unacknowledged reliable provisional responses, but it MUST be prepared to process PRACK "
    "requests for those outstanding responses.",
)
def test_a_refusal_goes_at_once_and_ends_the_repetitions() -> None:
    side, invite = ringing()
    side.respond(invite.transaction, 183, reliable=True, body=ANSWER)
    side.respond(invite.transaction, 486)
    assert side.labels() == ["183 INVITE", "486 INVITE"]
    assert all(line == "486 INVITE" for _, line in side.advance(40.0))


@pytest.mark.rfc(
    "3262",
    "3",
    "… in that case, it MUST NOT send a final response until those provisional responses are acknowledged.",
)
def test_cancel_wins_over_a_2xx_that_waits_for_its_prack() -> None:
    side, invite = ringing()
    side.respond(invite.transaction, 183, reliable=True, body=ANSWER)
    side.respond(invite.transaction, 200, body=ANSWER)
    side.receive(request_bytes("CANCEL"))
    assert side.labels() == ["183 INVITE", "200 CANCEL", "487 INVITE"]
    assert side.event(CancelReceived).transaction == invite.transaction
    assert side.leaks() == (0, 0)


@pytest.mark.rfc(
    "3262",
    "3",
    "The UAS MUST send any non-100 provisional response reliably if the initial request contained a Require header "
    "field with the option tag 100rel.",
)
def test_an_invite_that_requires_100rel_gets_every_response_but_100_reliably() -> None:
    side, invite = ringing("Require: 100rel")
    side.respond(invite.transaction, 180)
    assert side.last().headers.get("RSeq") is not None
    other = Side()
    other.receive(request_bytes("INVITE", "Require: 100rel"))
    assert other.last().headers.get("Unsupported") == "100rel"


@pytest.mark.rfc(
    "3261",
    "8.2.4",
    "A UAS that wishes to apply some extension when generating the response MUST NOT do so unless support for that "
    "extension is indicated in the Supported header field in the request.",
)
@pytest.mark.rfc("3262", "3", "attempt to send a 100 (Trying) response reliably")
def test_nothing_is_sent_reliably_to_who_does_not_take_it() -> None:
    """MUST NOT: "attempt to send a 100 (Trying) response reliably", nor any to a caller without the option tag."""
    side, invite = ringing("Subject: old phone")
    with pytest.raises(LocalProtocolError):
        side.respond(invite.transaction, 180, reliable=True)
    side, invite = ringing()
    side.respond(invite.transaction, 100, reliable=True)
    assert side.last().headers.get("RSeq") is None


@pytest.mark.rfc(
    "3262",
    "3",
    "The UAS MUST NOT send a second reliable provisional response until the first is acknowledged.",
)
def test_the_line_of_waiting_responses_is_bounded() -> None:
    side, invite = ringing()
    for _ in range(30):
        side.respond(invite.transaction, 180, reliable=True)
    assert side.endpoint.counters["provisionals_dropped"] == 13
