"""The streams beside the audio in our descriptions: where each stands, what a fax leaves of the audio, what is at 0."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sipcore.offer_answer import LocalMedia, OfferAnswer
from sipcore.sdp import MediaDescription, RtpFormat, parse_sdp
from tests.unit.sipcore.test_offer_answer import AUDIO, OURS, PCMU, sdp

VIDEO = MediaDescription("video", 30000, "RTP/AVP", ("31",))
TEXT = MediaDescription("text", 30002, "RTP/AVP", ("98",))
FAX = MediaDescription("image", 30004, "udptl", ("t38",))


def streams(body: bytes) -> list[tuple[str, int, str, tuple[str, ...]]]:
    return [(each.media, each.port, each.proto, each.formats) for each in parse_sdp(body).media]


def ports(body: bytes) -> list[tuple[str, int]]:
    return [(each.media, each.port) for each in parse_sdp(body).media]


def version(body: bytes) -> str:
    origin = parse_sdp(body).origin
    assert origin is not None
    return origin.version


def after_offer_of(*media: str, local: LocalMedia = OURS) -> OfferAnswer:
    """A session that the peer began with these lines, each other stream rejected."""
    ours = OfferAnswer(1)
    ours.make_answer(sdp(*media), local)
    return ours


def test_streams_stand_behind_the_audio_and_stay_there() -> None:
    ours = OfferAnswer(1)
    assert ports(ours.make_offer(OURS, [VIDEO, TEXT])) == [("audio", 20000), ("video", 30000), ("text", 30002)]
    assert (ours.place_of(30000), ours.place_of(30002), ours.place_of(20000), ours.place_of(4)) == (1, 2, 0, None)
    assert ports(ours.make_offer(OURS)) == [("audio", 20000), ("video", 0), ("text", 0)]
    # A kind comes back where it has stood; another one goes behind all others.
    assert ports(ours.make_offer(OURS, [TEXT, FAX])) == [
        ("audio", 20000), ("video", 0), ("text", 30002), ("image", 30004),
    ]  # fmt: skip
    assert ports(ours.repeat_offer([VIDEO])) == [("audio", 20000), ("video", 30000), ("text", 0), ("image", 0)]


def test_two_of_a_kind_take_two_places() -> None:
    ours = OfferAnswer(1)
    second = replace(VIDEO, port=30008)
    assert ports(ours.make_offer(OURS, [VIDEO, second])) == [("audio", 20000), ("video", 30000), ("video", 30008)]
    assert ports(ours.make_offer(OURS, [second])) == [("audio", 20000), ("video", 30008), ("video", 0)]


def test_a_stream_of_the_audios_kind_never_takes_the_audios_place() -> None:
    ours = after_offer_of("m=video 5000 RTP/AVP 31", *AUDIO, "m=audio 6000 RTP/AVP 0")
    other = MediaDescription("audio", 30006, "RTP/AVP", ("0",))
    assert ports(ours.make_offer(OURS, [other])) == [("video", 0), ("audio", 20000), ("audio", 30006)]
    held = ours.make_offer_without_audio(OURS, other, replaces=False)
    assert ports(held) == [("video", 0), ("audio", 0), ("audio", 30006)]


def test_the_audio_is_offered_where_the_peer_had_put_it() -> None:
    ours = after_offer_of("m=video 5000 RTP/AVP 31", *AUDIO, "m=text 5002 RTP/AVP 98")
    assert ports(ours.make_offer(OURS)) == [("video", 0), ("audio", 20000), ("text", 0)]
    assert ports(ours.make_offer_without_audio(OURS, FAX, replaces=True)) == [
        ("video", 0),
        ("image", 30004),
        ("text", 0),
    ]


def test_a_fax_takes_the_audios_place_or_stands_beside_its_rest() -> None:
    ours = OfferAnswer(1)
    first = ours.make_offer(OURS)
    assert streams(ours.make_offer_without_audio(OURS, FAX, replaces=True)) == [("image", 30004, "udptl", ("t38",))]
    assert ports(ours.make_offer(OURS)) == [("audio", 20000)], "the audio comes back to its place"
    beside = ours.make_offer_without_audio(OURS, FAX, replaces=False)
    assert streams(beside) == [("audio", 0, "RTP/AVP", ("0",)), ("image", 30004, "udptl", ("t38",))]
    assert int(version(beside)) == int(version(first)) + 3, "each of them was another description"
    again = ours.make_offer_without_audio(OURS, FAX, replaces=False)
    assert version(again) == version(beside), "and the same one again is not"


def test_a_fax_beside_the_audio_goes_where_a_fax_has_stood() -> None:
    ours = after_offer_of(*AUDIO, "m=image 5004 udptl t38", "m=video 5000 RTP/AVP 31")
    assert ports(ours.make_offer_without_audio(OURS, FAX, replaces=False)) == [
        ("audio", 0), ("image", 30004), ("video", 0),
    ]  # fmt: skip


def test_an_offer_of_a_fax_alone_is_answered_stream_by_stream() -> None:
    ours = after_offer_of(*AUDIO)
    offer = sdp("m=audio 0 RTP/AVP 0", "m=image 5004 udptl t38", "m=video 5000 RTP/AVP 31")
    answer = ours.answer_without_audio(offer, OURS, {1: FAX})
    assert streams(answer) == [
        ("audio", 0, "RTP/AVP", ("0",)), ("image", 30004, "udptl", ("t38",)), ("video", 0, "RTP/AVP", ("31",)),
    ]  # fmt: skip
    assert parse_sdp(answer).connection is not None and ours.place_of(30004) == 1


def test_streams_beside_are_asked_for_once_the_audio_is_settled_and_answered_in_their_place() -> None:
    ours, asked = OfferAnswer(1), []
    offer = sdp("m=video 5000 RTP/AVP 31", *AUDIO, "m=text 5002 RTP/AVP 98")

    def beside() -> dict[int, MediaDescription]:
        asked.append(True)
        return {0: VIDEO}

    body, negotiated = ours.make_answer(offer, OURS, beside)
    assert ports(body) == [("video", 30000), ("audio", 20000), ("text", 0)]
    assert (negotiated.stream, ours.place_of(30000), len(asked)) == (1, 0, 1)
    nothing, _ = ours.make_answer(offer, OURS, dict)
    assert ports(nothing) == [("video", 0), ("audio", 20000), ("text", 0)]


def test_what_is_muxed_and_what_is_not_are_two_offers() -> None:
    """A session whose peer multiplexes once stays so; the local wish alone is written as it is."""
    ours = OfferAnswer(1)
    assert b"a=rtcp-mux" not in ours.make_offer(OURS)
    assert b"a=rtcp-mux" in ours.make_offer(replace(OURS, rtcp_mux=True))
    assert b"a=rtcp-mux" not in ours.make_offer(OURS)


@pytest.mark.parametrize("number", [96, 127])
def test_a_number_that_the_peer_gave_is_ours_for_the_same_codec(number: int) -> None:
    ours = OfferAnswer(1)
    opus = RtpFormat(110, "opus", 48000, 2)
    local = replace(OURS, formats=(opus, PCMU))
    ours.make_answer(sdp(f"m=audio 40000 RTP/AVP {number}", f"a=rtpmap:{number} opus/48000/2"), local)
    other = RtpFormat(number, "G726-32", 8000)
    offered = parse_sdp(ours.make_offer(replace(OURS, formats=(other, opus)))).media[0].formats
    assert str(number) not in offered[:1] and offered[1] == "110"


def test_a_refused_offer_of_a_fax_leaves_the_audio() -> None:
    ours = after_offer_of(*AUDIO)
    ours.make_offer_without_audio(OURS, FAX, replaces=True)
    ours.offer_refused()
    assert ports(ours.repeat_offer()) == [("audio", 20000)]
    assert parse_sdp(ours.repeat_offer()).media[0].formats == ("0", "8", "101")
