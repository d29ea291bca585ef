"""Offer and answer as a B2BUA and a phone of ours use them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sipcore.errors import NegotiationError
from sipcore.flow import Address
from sipcore.offer_answer import (
    FormatPair,
    LocalMedia,
    NegotiatedAudio,
    OfferAnswer,
    check_offer,
    chosen_formats,
    make_answer,
    make_offer,
    offered_formats,
    read_answer,
)
from sipcore.sdp import Direction, RtpFormat, SessionDescription, parse_sdp

PCMU = RtpFormat(0, "PCMU", 8000)
PCMA = RtpFormat(8, "PCMA", 8000)
G722 = RtpFormat(9, "G722", 8000)
EVENT = RtpFormat(101, "telephone-event", 8000, 1, "0-16")
OURS = LocalMedia("203.0.113.5", 20000, (PCMA, PCMU, EVENT._replace(payload_type=96, fmtp="0-15")))


def sdp(*lines: str, host: str = "192.0.2.1") -> SessionDescription:
    head = ["v=0", f"o=- 1 1 IN IP4 {host}", "s=-", f"c=IN IP4 {host}", "t=0 0"]
    return parse_sdp("\r\n".join([*head, *lines, ""]).encode())


def answer(offer: SessionDescription, local: LocalMedia = OURS) -> tuple[SessionDescription, NegotiatedAudio]:
    body, negotiated = make_answer(offer, local, session_id=5, version=5)
    return parse_sdp(body), negotiated


AUDIO = ("m=audio 40000 RTP/AVP 0 8 101", "a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-16")


def test_an_offer_is_written_with_everything_a_phone_may_ask_for() -> None:
    assert make_offer(OURS, session_id=5, version=6) == (
        b"v=0\r\no=- 5 6 IN IP4 203.0.113.5\r\ns=-\r\nc=IN IP4 203.0.113.5\r\nt=0 0\r\n"
        b"m=audio 20000 RTP/AVP 8 0 96\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n"
        b"a=rtpmap:96 telephone-event/8000\r\na=fmtp:96 0-15\r\na=ptime:20\r\na=sendrecv\r\n"
    )


def test_the_answer_keeps_the_offers_order_and_numbers() -> None:
    body, negotiated = answer(sdp(*AUDIO))
    assert body.media[0].formats == ("0", "8", "101")
    assert negotiated == NegotiatedAudio(
        remote=Address("192.0.2.1", 40000),
        remote_rtcp=Address("192.0.2.1", 40001),
        formats=(FormatPair(PCMU, PCMU), FormatPair(PCMA, PCMA)),
        telephone_event=FormatPair(EVENT, EVENT._replace(fmtp="0-15")),
        direction=Direction.SENDRECV,
        held=False,
        ptime=20,
    )


def test_each_side_sends_with_the_others_number() -> None:
    offered = replace(OURS, formats=(RtpFormat(97, "opus", 48000, 2), EVENT._replace(payload_type=96)))
    theirs = sdp("m=audio 4000 RTP/AVP 111 100", "a=rtpmap:111 OPUS/48000/2", "a=rtpmap:100 telephone-event/8000")
    negotiated = read_answer(offered, theirs)
    assert [(pair.send.payload_type, pair.receive.payload_type) for pair in negotiated.formats] == [(111, 97)]
    assert negotiated.telephone_event is not None
    assert (negotiated.telephone_event.send.payload_type, negotiated.telephone_event.receive.payload_type) == (100, 96)


def test_two_parameter_sets_of_one_codec_are_told_apart_by_their_number() -> None:
    wide, narrow = RtpFormat(97, "iLBC", 8000, 1, "mode=30"), RtpFormat(98, "iLBC", 8000, 1, "mode=20")
    negotiated = read_answer(
        replace(OURS, formats=(wide, narrow)), sdp("m=audio 4000 RTP/AVP 98", "a=rtpmap:98 iLBC/8000")
    )
    assert negotiated.formats[0].receive == narrow


def test_what_we_cannot_do_is_answered_with_port_0_in_its_place() -> None:
    body, negotiated = answer(
        sdp(
            "m=video 5000 RTP/AVP 31",
            "m=audio 6000 RTP/SAVP 0",
            *AUDIO,
            "m=audio 7000 RTP/AVP 0",
            "m=image 1 udptl t38",
        )
    )
    assert [(each.media, each.port, each.proto) for each in body.media] == [
        ("video", 0, "RTP/AVP"),
        ("audio", 0, "RTP/SAVP"),
        ("audio", 20000, "RTP/AVP"),
        ("audio", 0, "RTP/AVP"),
        ("image", 0, "udptl"),
    ]
    assert (negotiated.stream, negotiated.remote.port) == (2, 40000)


@pytest.mark.parametrize(
    ("lines", "direction", "held"),
    [
        (("a=sendrecv",), Direction.SENDRECV, False),
        (("a=sendonly",), Direction.RECVONLY, True),
        (("a=recvonly",), Direction.SENDONLY, False),
        (("a=inactive",), Direction.INACTIVE, True),
        (("c=IN IP4 0.0.0.0",), Direction.RECVONLY, True),
        (("c=IN IP4 0.0.0.0", "a=recvonly"), Direction.INACTIVE, True),
        (("c=IN IP4 0.0.0.0", "a=inactive"), Direction.INACTIVE, True),
        (("c=IN IP6 ::", "a=sendonly"), Direction.RECVONLY, True),
        (("c=IN IP6 ::",), Direction.RECVONLY, True),
    ],
)
def test_every_style_of_hold_is_understood(lines: tuple[str, ...], direction: Direction, held: bool) -> None:
    body, negotiated = answer(sdp("m=audio 40000 RTP/AVP 0", *lines))
    assert (negotiated.direction, negotiated.held) == (direction, held)
    assert body.direction_of(body.media[0]) is direction


@pytest.mark.parametrize(
    ("offered", "answered", "direction", "held"),
    [
        ("sendonly", "recvonly", Direction.SENDONLY, False),
        ("sendonly", "inactive", Direction.INACTIVE, True),
        ("sendonly", "sendrecv", Direction.SENDONLY, False),
        ("sendrecv", "recvonly", Direction.SENDONLY, False),
        ("sendrecv", "sendonly", Direction.RECVONLY, True),
        ("inactive", "inactive", Direction.INACTIVE, True),
    ],
)
def test_the_answers_direction_bounds_ours(offered: str, answered: str, direction: Direction, held: bool) -> None:
    local = replace(OURS, direction=Direction(offered))
    negotiated = read_answer(local, sdp("m=audio 40000 RTP/AVP 0", f"a={answered}"))
    assert (negotiated.direction, negotiated.held) == (direction, held)


@pytest.mark.parametrize(
    ("lines", "ptime"),
    [((), 20), (("a=ptime:30",), 30), (("a=ptime:60", "a=maxptime:40"), 40), (("a=maxptime:150",), 20),
     (("a=maxptime:10",), 10), (("a=ptime:20.000",), 20), (("a=ptime:120 ",), 120)],
)  # fmt: skip
def test_the_peers_packet_time_is_used(lines: tuple[str, ...], ptime: int) -> None:
    assert answer(sdp("m=audio 40000 RTP/AVP 0", *lines))[1].ptime == ptime


@pytest.mark.rfc(
    "8866",
    "5.14",
    "If noncontiguous ports are used or if they don't follow the parity rule of even RTP ports and odd RTCP ports, "
    "the 'a=rtcp:' attribute MUST be used.",
)
@pytest.mark.parametrize(
    ("line", "rtcp"),
    [
        ("a=rtcp:40009", Address("192.0.2.1", 40009)),
        ("a=rtcp:40009 IN IP4 192.0.2.9", Address("192.0.2.9", 40009)),
        ("a=x", Address("192.0.2.1", 40001)),
    ],
)
def test_rtcp_goes_where_the_attribute_says(line: str, rtcp: Address) -> None:
    assert answer(sdp("m=audio 40000 RTP/AVP 0", line))[1].remote_rtcp == rtcp


def test_telephone_event_has_the_clock_of_the_codec() -> None:
    opus, wide = RtpFormat(96, "opus", 48000, 2), RtpFormat(97, "telephone-event", 48000)
    local = replace(OURS, formats=(opus, EVENT, wide))
    offer = sdp("m=audio 4000 RTP/AVP 96 101 97", "a=rtpmap:96 opus/48000/2", "a=rtpmap:101 telephone-event/8000",
                "a=rtpmap:97 telephone-event/48000")  # fmt: skip
    negotiated = answer(offer, local)[1]
    assert negotiated.telephone_event == FormatPair(wide, wide)
    assert [pair.send.name for pair in negotiated.formats] == ["opus"]


def test_comfort_noise_follows_the_codecs_and_is_none_itself() -> None:
    noise = RtpFormat(13, "CN", 8000)
    local = replace(OURS, formats=(noise, PCMU))
    assert [pair.send for pair in answer(sdp("m=audio 4000 RTP/AVP 13 0"), local)[1].formats] == [PCMU, noise]
    with pytest.raises(NegotiationError):
        answer(sdp("m=audio 4000 RTP/AVP 13"), local)


def test_redundancy_follows_the_codecs_and_is_none_itself() -> None:
    redundant = RtpFormat(100, "red", 8000)
    local = replace(OURS, formats=(redundant, PCMU))
    lines = ("m=audio 4000 RTP/AVP 100 0", "a=rtpmap:100 red/8000")
    assert [pair.send for pair in answer(sdp(*lines), local)[1].formats] == [PCMU, redundant]


def test_ipv6_is_answered_with_ipv6() -> None:
    offer = parse_sdp(b"v=0\r\nc=IN IP6 2001:db8::1\r\nm=audio 4000 RTP/AVP 0\r\n")
    body, negotiated = make_answer(offer, replace(OURS, address="2001:db8::5"), session_id=1, version=1)
    assert b"o=- 1 1 IN IP6 2001:db8::5\r\ns=-\r\nc=IN IP6 2001:db8::5\r\n" in body
    assert negotiated.remote == Address("2001:db8::1", 4000)


BAD_OFFERS = [
    (),
    ("m=audio 0 RTP/AVP 0",),
    ("m=video 5000 RTP/AVP 31",),
    ("m=audio 5000 RTP/SAVP 0",),
    ("m=audio 5000 RTP/AVP 3 18",),
    ("m=audio 5000 RTP/AVP 101", "a=rtpmap:101 telephone-event/8000"),
    ("m=audio 5000 RTP/AVP 99",),
    ("m=audio 1023 RTP/AVP 0",),
    ("m=audio 5000 RTP/AVP 0", "a=ptime:9"),
    ("m=audio 5000 RTP/AVP 0", "a=ptime:0"),
    ("m=audio 5000 RTP/AVP 0", "a=ptime:121"),
    ("m=audio 5000 RTP/AVP 0", "a=ptime:99999999999999999999"),
    ("m=audio 5000 RTP/AVP 0", "a=ptime:-20"),
    ("m=audio 5000 RTP/AVP 0", "a=ptime:twenty"),
    ("m=audio 5000 RTP/AVP 0", "a=ptime"),
    ("m=audio 5000 RTP/AVP 0", "a=maxptime:5"),
    ("m=audio 5000 RTP/AVP 0 96", "a=rtpmap:96 x/8001"),
    ("m=audio 5000 RTP/AVP 0 96", "a=rtpmap:96 x/0"),
    ("m=audio 5000 RTP/AVP 0 96", "a=rtpmap:96 x/999999999"),
    ("m=audio 5000 RTP/AVP 0 96", "a=rtpmap:96 x/8000/0"),
    ("m=audio 5000 RTP/AVP 0 96", "a=rtpmap:96 x/8000/255"),
    ("m=audio 5000 RTP/AVP 0", "a=rtcp:22"),
    ("m=audio 5000 RTP/AVP 0", "a=rtcp:65536"),
    ("m=audio 5000 RTP/AVP 0", "a=rtcp:x"),
    ("m=audio 5000 RTP/AVP 0", "a=rtcp"),
    ("m=audio 5000 RTP/AVP 0", "a=rtcp:5001 IN IP4 example.com"),
    ("m=audio 5000 RTP/AVP 0", "c=IN IP4 phone.example.com"),
    ("m=audio 5000 RTP/AVP 0", "c=IN IP4 224.0.0.1/127"),
    ("m=audio 5000 RTP/AVP 0", "c=IN IP4 224.0.0.1"),
    ("m=audio 5000 RTP/AVP 0", "c=IN IP4 255.255.255.255"),
    ("m=audio 5000 RTP/AVP 0", "c=IN IP6 ff02::1"),
    ("m=audio 5000 RTP/AVP 0", "c=IN IP6 fe80::1%eth0"),
    ("m=audio 5000 RTP/AVP 0", "c=IN IP4 1.2.3"),
    ("m=audio 5000 RTP/AVP 0", "c=IN IP4 1.2.3.4.5"),
]


@pytest.mark.parametrize("lines", BAD_OFFERS)
def test_a_bad_offer_is_refused(lines: tuple[str, ...]) -> None:
    with pytest.raises(NegotiationError):
        answer(sdp(*lines))


CODECS_OF_OTHERS = [("m=audio 5000 RTP/AVP 3 18",), ("m=audio 5000 RTP/AVP 99",), BAD_OFFERS[5]]


@pytest.mark.parametrize("lines", [each for each in BAD_OFFERS if each not in CODECS_OF_OTHERS])
def test_an_offer_is_checked_without_an_answer(lines: tuple[str, ...]) -> None:
    """All that makes an offer bad but its codecs, which somebody else may have."""
    with pytest.raises(NegotiationError):
        check_offer(sdp(*lines), None)


def test_what_somebody_could_answer_passes_the_check() -> None:
    for lines in CODECS_OF_OTHERS:
        check_offer(sdp(*lines), None)
    second_is_bad = sdp("m=audio 5000 RTP/AVP 0", "m=audio 1023 RTP/AVP 0")
    check_offer(second_is_bad, None)


def test_an_offer_without_an_address_is_refused() -> None:
    with pytest.raises(NegotiationError, match="no c= line"):
        answer(parse_sdp(b"v=0\nm=audio 5000 RTP/AVP 0\n"))


@pytest.mark.parametrize(
    "lines", [(), ("m=audio 0 RTP/AVP 0",), ("m=video 4000 RTP/AVP 0",), ("m=audio 4000 RTP/AVP 18",)]
)
def test_an_answer_without_our_stream_is_a_failure(lines: tuple[str, ...]) -> None:
    with pytest.raises(NegotiationError):
        read_answer(OURS, sdp(*lines))


def test_a_b2bua_passes_the_offer_on_and_answers_with_what_the_other_side_chose() -> None:
    offer = sdp(
        "m=audio 40000 RTP/AVP 9 18 0 8 100",
        "a=rtpmap:18 G729/8000",
        "a=rtpmap:100 telephone-event/8000",
        "a=fmtp:100 0-16",
    )
    to_b = LocalMedia("203.0.113.5", 20002, offered_formats(offer, (PCMA, G722, PCMU, EVENT)))
    assert [each.payload_type for each in to_b.formats] == [9, 0, 8, 100]
    from_b = read_answer(to_b, sdp("m=audio 50000 RTP/AVP 8 98", "a=rtpmap:98 telephone-event/8000", host="192.0.2.2"))
    body, to_a = answer(offer, LocalMedia("203.0.113.5", 20000, chosen_formats(from_b)))
    assert body.media[0].formats == ("8", "100")
    assert to_a.formats == (FormatPair(PCMA, PCMA),)
    assert from_b.telephone_event is not None and to_a.telephone_event is not None
    assert from_b.telephone_event.send.payload_type == 98
    assert to_a.telephone_event.send.payload_type == 100


def test_without_telephone_event_on_one_side_the_other_is_not_told_of_it() -> None:
    from_b = read_answer(OURS, sdp("m=audio 50000 RTP/AVP 8"))
    assert chosen_formats(from_b) == (PCMA,)
    assert answer(sdp(*AUDIO), replace(OURS, formats=chosen_formats(from_b)))[0].media[0].formats == ("8",)


def test_offered_formats_without_a_list_are_all_of_them() -> None:
    assert offered_formats(sdp(*AUDIO)) == (PCMU, PCMA, EVENT)
    with pytest.raises(NegotiationError):
        offered_formats(sdp(*AUDIO), (G722, EVENT))


class TestOfferAnswer:
    """The memory of one dialog."""

    def test_the_version_grows_only_with_a_change(self) -> None:
        session = OfferAnswer(7)
        first = session.make_offer(OURS)
        assert session.make_offer(OURS) == first
        held = session.make_offer(replace(OURS, direction=Direction.SENDONLY))
        assert b"o=- 7 7 IN" in first and b"o=- 7 8 IN" in held
        assert session.make_offer(replace(OURS, direction=Direction.SENDONLY)) == held

    def test_an_answer_after_our_offer_continues_the_same_origin(self) -> None:
        session = OfferAnswer(7)
        session.make_offer(OURS)
        body, _ = session.make_answer(sdp(*AUDIO), OURS)
        assert b"o=- 7 8 IN" in body

    def test_streams_keep_their_place_in_our_own_offers(self) -> None:
        session = OfferAnswer(7)
        session.make_answer(sdp("m=video 5000 RTP/AVP 31", *AUDIO), OURS)
        media = parse_sdp(session.make_offer(OURS)).media
        assert [(each.media, each.port) for each in media] == [("video", 0), ("audio", 20000)]
        negotiated = session.read_answer(sdp("m=video 0 RTP/AVP 31", "m=audio 40002 RTP/AVP 8"))
        assert (negotiated.stream, negotiated.remote.port) == (1, 40002)

    def test_a_later_offer_stays_on_the_stream_in_use(self) -> None:
        session = OfferAnswer(7)
        session.make_answer(sdp("m=audio 0 RTP/AVP 0", *AUDIO), OURS)
        _, negotiated = session.make_answer(sdp("m=audio 5000 RTP/AVP 0", *AUDIO), OURS)
        assert negotiated.stream == 1

    def test_a_refused_offer_changes_nothing(self) -> None:
        session = OfferAnswer(7)
        first = session.make_offer(OURS)
        with pytest.raises(NegotiationError):
            session.make_answer(sdp("m=audio 5000 RTP/AVP 18"), OURS)
        assert session.make_offer(OURS) == first


@pytest.mark.parametrize(
    "rate", [1000, 6000, 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 90000, 96000, 192000]
)
def test_every_clock_that_some_codec_has_may_be_offered_beside_ours(rate: int) -> None:
    _, negotiated = answer(sdp("m=audio 5000 RTP/AVP 0 96", f"a=rtpmap:96 some-codec/{rate}"))
    assert [pair.send for pair in negotiated.formats] == [PCMU]


@pytest.mark.parametrize("port", [1024, 65535])
def test_the_first_and_the_last_port_are_ports(port: int) -> None:
    _, negotiated = answer(sdp(f"m=audio {port} RTP/AVP 0"))
    assert (negotiated.remote.port, negotiated.remote_rtcp.port) == (port, min(port + 1, 65535))


@pytest.mark.parametrize("name", ["telephone-event", "CN", "red"])
def test_what_accompanies_a_codec_makes_no_stream(name: str) -> None:
    local = replace(OURS, formats=(RtpFormat(96, name, 8000),))
    with pytest.raises(NegotiationError, match="no codec in common"):
        answer(sdp("m=audio 4000 RTP/AVP 96", f"a=rtpmap:96 {name}/8000"), local)


def test_of_two_audio_streams_the_first_is_taken() -> None:
    body, negotiated = answer(sdp("m=audio 4000 RTP/AVP 0", "m=audio 4002 RTP/AVP 0"))
    assert (negotiated.stream, negotiated.remote.port, [each.port for each in body.media]) == (0, 4000, [20000, 0])


@pytest.mark.rfc(
    "3264",
    "6",
    "If a stream is rejected, the offerer and answerer MUST NOT generate media (or RTCP packets) for that stream",
)
def test_an_answer_with_port_zero_says_that_it_rejects() -> None:
    """RFC 3264 §6: "If a stream is rejected, the offerer and answerer MUST NOT generate media (or RTCP packets) for
    that stream"; for us the call has then failed."""
    with pytest.raises(NegotiationError, match="rejects the audio stream"):
        read_answer(OURS, sdp("m=audio 0 RTP/AVP 0"))
    with pytest.raises(NegotiationError, match="fewer streams"):
        read_answer(OURS, sdp("m=audio 4000 RTP/AVP 0"), stream=1)


@pytest.mark.parametrize(
    ("offered", "line", "muxed"),
    [(True, "a=rtcp-mux", True), (True, "a=x", False), (False, "a=rtcp-mux", False), (False, "a=x", False)],
)
def test_rtcp_is_multiplexed_when_both_said_so(offered: bool, line: str, muxed: bool) -> None:
    negotiated = read_answer(replace(OURS, rtcp_mux=offered), sdp("m=audio 4000 RTP/AVP 0", line))
    assert negotiated.rtcp_mux is muxed


def test_what_was_multiplexed_once_stays_so_in_our_offers() -> None:
    session = OfferAnswer(7)
    assert b"rtcp-mux" in session.make_offer(replace(OURS, rtcp_mux=True))
    assert session.read_answer(sdp("m=audio 4000 RTP/AVP 0", "a=rtcp-mux")).rtcp_mux
    assert b"rtcp-mux" in session.make_offer(OURS)
    assert session.read_answer(sdp("m=audio 4000 RTP/AVP 0")).rtcp_mux


def test_a_preview_says_what_the_answer_will_mean_and_changes_nothing() -> None:
    session, offer = OfferAnswer(7), sdp("m=audio 0 RTP/AVP 0", *AUDIO, "a=rtcp-mux")
    first = session.make_offer(OURS)
    seen = session.preview(offer, OURS)
    assert session.make_offer(OURS) == first
    assert session.make_answer(offer, OURS)[1] == seen
    assert (seen.stream, seen.rtcp_mux) == (1, True)


def test_the_answer_repeats_that_rtcp_may_be_of_reduced_size() -> None:
    assert answer(sdp("m=audio 4000 RTP/AVP 0", "a=rtcp-rsize"))[0].media[0].attribute("rtcp-rsize") is not None
    assert answer(sdp("m=audio 4000 RTP/AVP 0"))[0].media[0].attribute("rtcp-rsize") is None


def test_a_number_that_stands_twice_is_one_format() -> None:
    body, negotiated = answer(sdp("m=audio 4000 RTP/AVP 0 8 0"))
    assert (body.media[0].formats, len(negotiated.formats)) == (("0", "8"), 2)


@pytest.mark.parametrize(("channels", "taken"), [(1, True), (8, True), (9, False)])
def test_a_codec_has_one_to_eight_channels(channels: int, taken: bool) -> None:
    offer = sdp("m=audio 5000 RTP/AVP 0 96", f"a=rtpmap:96 some-codec/48000/{channels}")
    if taken:
        assert [pair.send for pair in answer(offer)[1].formats] == [PCMU]
    else:
        with pytest.raises(NegotiationError, match="channel count"):
            answer(offer)


@pytest.mark.rfc(
    "3264",
    "8",
    "If the version in the origin line does not increment, the SDP MUST be identical to the SDP with that version "
    "number.",
)
def test_a_refresh_repeats_our_description_and_its_version() -> None:
    """RFC 3264 §8: "If the version in the origin line does not increment, the SDP MUST be identical to the SDP with
    that version number." """
    session = OfferAnswer(7)
    first = session.make_offer(OURS)
    session.read_answer(sdp("m=audio 4000 RTP/AVP 0"))
    assert session.repeat_offer() == first


@pytest.mark.rfc(
    "3261",
    "14.1",
    "If a UA receives a non-2xx final response to a re-INVITE, the session parameters MUST remain unchanged, as if no "
    "re-INVITE had been issued.",
)
def test_a_refused_offer_is_not_what_a_refresh_repeats() -> None:
    session = OfferAnswer(7)
    session.make_answer(sdp(*AUDIO), OURS)
    standing = parse_sdp(session.repeat_offer())
    session.make_offer(replace(OURS, direction=Direction.INACTIVE))
    session.offer_refused()
    repeated = parse_sdp(session.repeat_offer())
    assert repeated.media == standing.media


def test_a_refused_first_offer_can_be_made_again() -> None:
    session = OfferAnswer(7)
    first = session.make_offer(OURS)
    session.offer_refused()
    assert session.repeat_offer() == first


def dynamic(name: str, *numbers: int) -> tuple[RtpFormat, ...]:
    return tuple(RtpFormat(number, f"{name}{number}", 8000) for number in numbers)


def numbers(offer: bytes) -> list[str]:
    return list(parse_sdp(offer).media[0].formats)


def test_codecs_that_change_together_get_a_number_each() -> None:
    session = OfferAnswer(7)
    session.make_offer(replace(OURS, formats=(PCMU, *dynamic("a", 96, 97))))
    offer = session.make_offer(replace(OURS, formats=(PCMU, *dynamic("b", 96, 97))))
    assert numbers(offer) == ["0", "98", "99"]


def test_a_fixed_number_may_change_its_meaning_for_us() -> None:
    """RFC 3264 §8.3.2 is about dynamic numbers: the others mean always the same, however they are spelt."""
    session = OfferAnswer(7)
    session.make_offer(replace(OURS, formats=(RtpFormat(0, "PCMU", 8000),)))
    assert numbers(session.make_offer(replace(OURS, formats=(RtpFormat(0, "PCMU-WB", 16000),)))) == ["0"]


def test_a_codec_for_which_no_number_is_left_is_not_offered() -> None:
    session = OfferAnswer(7)
    session.make_offer(replace(OURS, formats=(PCMU, *dynamic("a", *range(96, 128)))))
    offer = session.make_offer(replace(OURS, formats=(PCMU, *dynamic("b", 96), PCMA)))
    assert numbers(offer) == ["0", "8"]


def test_two_parameter_sets_of_one_codec_never_share_a_number() -> None:
    session = OfferAnswer(7)
    session.make_offer(replace(OURS, formats=(*dynamic("a", 96, 97), RtpFormat(98, "iLBC", 8000, 1, "mode=20"))))
    both = tuple(RtpFormat(96 + at, "iLBC", 8000, 1, f"mode={20 + 10 * at}") for at in range(2))
    assert numbers(session.make_offer(replace(OURS, formats=both))) == ["98", "99"]
