"""RFC 3264 §6-§8 and its examples (RFC 4317): what an answer and a later offer must look like."""

from __future__ import annotations

import pytest

from sipcore.offer_answer import LocalMedia, OfferAnswer, make_answer, read_answer
from sipcore.sdp import Direction, RtpFormat, SessionDescription, parse_sdp

PCMU, PCMA = RtpFormat(0, "PCMU", 8000), RtpFormat(8, "PCMA", 8000)
BOB = LocalMedia("192.0.2.2", 49174, (PCMA, PCMU))


def offer(*lines: str) -> SessionDescription:
    head = ("v=0", "o=alice 2890844526 2890844526 IN IP4 192.0.2.1", "s=-", "c=IN IP4 192.0.2.1", "t=0 0")
    return parse_sdp("\r\n".join((*head, *lines, "")).encode())


def answered(*lines: str, local: LocalMedia = BOB) -> SessionDescription:
    return parse_sdp(make_answer(offer(*lines), local, session_id=1, version=1)[0])


@pytest.mark.rfc(
    "3264",
    "6",
    'For each "m=" line in the offer, there MUST be a corresponding "m=" line in the answer. The answer MUST '
    'contain exactly the same number of "m=" lines as the offer. … To reject an offered stream, the port number '
    "in the corresponding stream in the answer MUST be set to zero.",
)
def test_the_answer_has_as_many_streams_as_the_offer_and_rejects_with_port_zero() -> None:
    media = answered("m=audio 49170 RTP/AVP 0", "m=video 51372 RTP/AVP 31").media
    assert [(each.media, each.port) for each in media] == [("audio", 49174), ("video", 0)]


@pytest.mark.rfc(
    "3264",
    "6.1",
    "If a stream is offered as sendonly, the corresponding stream MUST be marked as recvonly or inactive in the "
    "answer. If a media stream is listed as recvonly in the offer, the answer MUST be marked as sendonly or "
    "inactive in the answer. … If an offered media stream is listed as inactive, it MUST be marked as inactive in "
    "the answer.",
)
@pytest.mark.parametrize(
    ("offered", "expected"),
    [("sendonly", "recvonly"), ("recvonly", "sendonly"), ("sendrecv", "sendrecv"), ("inactive", "inactive")],
)
def test_the_direction_of_the_answer_mirrors_the_offer(offered: str, expected: str) -> None:
    session = answered("m=audio 49170 RTP/AVP 0", f"a={offered}")
    assert session.direction_of(session.media[0]) is Direction(expected)


@pytest.mark.rfc(
    "3264",
    "6.1",
    'For streams marked as recvonly in the answer, the "m=" line MUST contain at least one media format the '
    "answerer is willing to receive with from amongst those listed in the offer. … In the case of RTP, if a "
    "particular codec was referenced with a specific payload type number in the offer, that same payload type "
    "number SHOULD be used for that codec in the answer.",
)
def test_formats_come_in_the_offers_order_and_under_its_numbers() -> None:
    session = answered("m=audio 49170 RTP/AVP 99 8", "a=rtpmap:99 PCMU/8000")
    assert session.media[0].formats == ("99", "8")
    assert session.media[0].attribute("rtpmap") == "99 PCMU/8000"


@pytest.mark.rfc(
    "3264",
    "7",
    "It MUST send using a media format listed in the answer, and it SHOULD use the first media format listed in the "
    "answer when it does send.",
)
def test_the_offerer_sends_with_the_numbers_of_the_answer() -> None:
    negotiated = read_answer(
        LocalMedia("192.0.2.1", 49170, (RtpFormat(99, "PCMU", 8000),)), offer("m=audio 49174 RTP/AVP 0")
    )
    assert [(pair.send.payload_type, pair.receive.payload_type) for pair in negotiated.formats] == [(0, 99)]


@pytest.mark.rfc(
    "3264",
    "8",
    '… the "o=" line of the new SDP MUST be identical to that in the previous SDP, except that the version in the '
    "origin field MUST increment by one from the previous SDP. … If an SDP is offered, which is different from the "
    "previous SDP, the new SDP MUST have a matching media stream for each media stream in the previous SDP.",
)
def test_a_later_offer_keeps_streams_and_grows_the_version_by_one_with_a_change() -> None:
    session = OfferAnswer(2890844730)
    session.make_answer(offer("m=audio 49170 RTP/AVP 0", "m=video 51372 RTP/AVP 31"), BOB)
    again = parse_sdp(session.make_offer(BOB))
    assert again.origin is not None
    assert (again.origin.session_id, again.origin.version) == ("2890844730", "2890844731")
    assert [(each.media, each.port) for each in again.media] == [("audio", 49174), ("video", 0)]


@pytest.mark.rfc(
    "3264",
    "5.1",
    "If the offerer wishes to only send media on a stream to its peer, it MUST mark the stream as sendonly with the "
    "'a=sendonly' attribute.",
)
@pytest.mark.rfc(
    "3264",
    "8.4",
    "If the stream to be placed on hold was previously a sendrecv media stream, it is placed on hold by marking it "
    "as sendonly. If the stream to be placed on hold was previously a recvonly media stream, it is placed on hold "
    "by marking it inactive.",
)
@pytest.mark.parametrize(
    ("ours", "offered"),
    [("sendrecv", "sendonly"), ("recvonly", "inactive"), ("sendonly", "sendonly"), ("inactive", "inactive")],
)
def test_hold_takes_away_only_what_we_hear(ours: str, offered: str) -> None:
    assert Direction(ours).on_hold is Direction(offered)


@pytest.mark.rfc(
    "3264",
    "8.4",
    "An agent MUST be capable of receiving SDP with a connection address of 0.0.0.0, in which case it means that "
    "neither RTP nor RTCP should be sent to the peer.",
)
def test_the_address_zero_of_rfc_2543_is_a_hold() -> None:
    body, negotiated = make_answer(offer("m=audio 49170 RTP/AVP 0", "c=IN IP4 0.0.0.0"), BOB, session_id=1, version=1)
    assert negotiated.held and not negotiated.direction.sends
    assert b"a=recvonly" in body
