"""RFC 3264 §8: what a later offer may change, and what stays."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sipcore.errors import NegotiationError
from sipcore.offer_answer import LocalMedia, OfferAnswer
from sipcore.sdp import Direction, RtpFormat, SessionDescription, parse_sdp

PCMU, PCMA = RtpFormat(0, "PCMU", 8000), RtpFormat(8, "PCMA", 8000)
OURS = LocalMedia("192.0.2.2", 49174, (PCMA, PCMU))


def theirs(*lines: str) -> SessionDescription:
    head = ("v=0", "o=alice 1 1 IN IP4 192.0.2.1", "s=-", "c=IN IP4 192.0.2.1", "t=0 0")
    return parse_sdp("\r\n".join((*head, *lines, "")).encode())


def streams(body: bytes) -> list[tuple[str, int]]:
    return [(each.media, each.port) for each in parse_sdp(body).media]


@pytest.mark.rfc("3264", "8.1", "New media descriptions MUST appear below any existing media sections")
def test_a_stream_that_is_added_gets_a_place_below_those_there_are() -> None:
    """ "New media descriptions MUST appear below any existing media sections": each keeps its place, taken or not."""
    session = OfferAnswer(1)
    body, _ = session.make_answer(theirs("m=audio 4000 RTP/AVP 0"), OURS)
    assert streams(body) == [("audio", 49174)]
    body, _ = session.make_answer(theirs("m=audio 4000 RTP/AVP 0", "m=video 4002 RTP/AVP 31"), OURS)
    assert streams(body) == [("audio", 49174), ("video", 0)]
    assert streams(session.make_offer(OURS)) == [("audio", 49174), ("video", 0)]


@pytest.mark.rfc(
    "3264",
    "8.2",
    "A stream that is offered with a port of zero MUST be marked with port zero in the answer.",
)
def test_a_stream_that_is_removed_stays_with_port_zero() -> None:
    """ "A stream that is offered with a port of zero MUST be marked with port zero in the answer." """
    session = OfferAnswer(1)
    session.make_answer(theirs("m=audio 4000 RTP/AVP 0", "m=audio 4002 RTP/AVP 0"), OURS)
    body, negotiated = session.make_answer(theirs("m=audio 0 RTP/AVP 0", "m=audio 4002 RTP/AVP 0"), OURS)
    assert (streams(body), negotiated.stream) == ([("audio", 0), ("audio", 49174)], 1)
    with pytest.raises(NegotiationError):
        session.make_answer(theirs("m=audio 0 RTP/AVP 0", "m=audio 0 RTP/AVP 0"), OURS)


@pytest.mark.rfc(
    "3264",
    "8.3.1",
    "If the updated stream is accepted by the answerer, the answerer SHOULD begin sending traffic for that stream "
    "to the new port immediately.",
)
def test_a_later_offer_may_move_the_stream_and_the_media_follow() -> None:
    """ "If the updated stream is accepted by the answerer, the answerer SHOULD begin sending traffic for that stream to
    the new port immediately." """
    session = OfferAnswer(1)
    session.make_answer(theirs("m=audio 4000 RTP/AVP 0"), OURS)
    _, moved = session.make_answer(theirs("m=audio 4010 RTP/AVP 0", "c=IN IP4 192.0.2.77"), OURS)
    assert (moved.remote.host, moved.remote.port) == ("192.0.2.77", 4010)


@pytest.mark.rfc("3264", "8.3.2", "The list of media formats used in the session MAY be changed")
def test_a_later_offer_may_change_the_formats() -> None:
    """ "The list of media formats used in the session MAY be changed": the answer is made from the new list alone."""
    session = OfferAnswer(1)
    session.make_answer(theirs("m=audio 4000 RTP/AVP 0"), OURS)
    body, negotiated = session.make_answer(theirs("m=audio 4000 RTP/AVP 8"), OURS)
    assert parse_sdp(body).media[0].formats == ("8",)
    assert [pair.send for pair in negotiated.formats] == [PCMA]


@pytest.mark.rfc(
    "3264",
    "8.3.4",
    "Generally, an agent MUST send media (if the directionality of the stream allows) using the new parameters once "
    "the SDP with the change is received.",
)
def test_the_direction_is_that_of_the_newest_offer() -> None:
    """ "Generally, an agent MUST send media (if the directionality of the stream allows) using the new parameters once
    the SDP with the change is received." """
    session = OfferAnswer(1)
    _, held = session.make_answer(theirs("m=audio 4000 RTP/AVP 0", "a=sendonly"), OURS)
    _, back = session.make_answer(theirs("m=audio 4000 RTP/AVP 0"), OURS)
    assert (held.held, held.direction, back.held, back.direction) == (
        True,
        Direction.RECVONLY,
        False,
        Direction.SENDRECV,
    )
    assert b"a=sendonly" in session.make_offer(replace(OURS, direction=Direction.SENDONLY))


OPUS, EVENTS = RtpFormat(96, "opus", 48000, 2), RtpFormat(97, "telephone-event", 8000)


def numbers(body: bytes) -> dict[int, str]:
    return {each.payload_type: each.name for each in parse_sdp(body).media[0].rtp_formats}


@pytest.mark.rfc("3264", "8.3.2", "MUST NOT change for the duration of a session")
def test_a_dynamic_number_is_never_offered_for_another_codec() -> None:
    """MUST: "the mapping from a particular dynamic payload type number to a particular codec [...] MUST NOT change"."""
    session = OfferAnswer(1)
    assert numbers(session.make_offer(replace(OURS, formats=(OPUS, EVENTS)))) == {96: "opus", 97: "telephone-event"}
    other = (RtpFormat(96, "G729", 8000), RtpFormat(97, "opus", 48000, 2), PCMU)
    assert numbers(session.make_offer(replace(OURS, formats=other))) == {98: "G729", 99: "opus", 0: "PCMU"}
    assert numbers(session.make_offer(replace(OURS, formats=(EVENTS, OPUS)))) == {97: "telephone-event", 96: "opus"}


@pytest.mark.rfc("3264", "8.3.2", "MUST NOT change for the duration of a session")
def test_the_numbers_of_the_peers_offers_are_kept_too_and_its_violations_followed() -> None:
    session = OfferAnswer(1)
    local = replace(OURS, formats=(OPUS, EVENTS, PCMU))
    session.make_answer(theirs("m=audio 4000 RTP/AVP 97", "a=rtpmap:97 opus/48000/2"), local)
    assert numbers(session.make_offer(local)) == {96: "opus", 98: "telephone-event", 0: "PCMU"}
    body, _ = session.make_answer(theirs("m=audio 4000 RTP/AVP 0 97", "a=rtpmap:97 telephone-event/8000"), local)
    assert numbers(body) == {0: "PCMU", 97: "telephone-event"}
