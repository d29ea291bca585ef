"""RFC 8866 §5, §6, §9: the description's grammar and defaults."""

from __future__ import annotations

import pytest

from sipcore.errors import NegotiationError, ParseError
from sipcore.offer_answer import LocalMedia, OfferAnswer
from sipcore.sdp import Direction, RtpFormat, format_sdp, parse_sdp

# The example of §5 of RFC 4566, which RFC 8866 repeats in its own words.
SEMINAR = (
    b"v=0\r\no=jdoe 3724394400 3724394405 IN IP4 198.51.100.1\r\ns=Call to John Smith\r\ni=SDP Offer #1\r\n"
    b"u=http://www.jdoe.example.com/home.html\r\ne=Jane Doe <jane@jdoe.example.com>\r\np=+1 617 555-6011\r\n"
    b"c=IN IP4 198.51.100.1\r\nt=0 0\r\nm=audio 49170 RTP/AVP 0\r\nm=audio 49180 RTP/AVP 0\r\n"
    b"m=video 51372 RTP/AVP 99\r\nc=IN IP6 2001:db8::2\r\na=rtpmap:99 h263-1998/90000\r\n"
)


@pytest.mark.rfc("8866", "5", "An SDP description MUST conform to the syntax defined in Section 9.")
def test_the_example_is_read_and_written_byte_for_byte() -> None:
    session = parse_sdp(SEMINAR)
    assert format_sdp(session) == SEMINAR
    assert session.media[2].rtp_formats == (RtpFormat(99, "h263-1998", 90000),)
    assert session.connection_of(session.media[2]) == "2001:db8::2"


@pytest.mark.rfc(
    "8866",
    "5",
    "The sequence CRLF (0x0d0a) is used to end a line, although parsers SHOULD be tolerant and also accept lines "
    "terminated with a single newline character.",
)
def test_a_single_newline_ends_a_line_too() -> None:
    assert parse_sdp(SEMINAR.replace(b"\r\n", b"\n")) == parse_sdp(SEMINAR)


@pytest.mark.rfc(
    "8866",
    "5.13",
    "If an attribute is received that is not understood, it MUST be ignored by the receiver.",
)
def test_unknown_attributes_are_kept_and_change_nothing() -> None:
    assert parse_sdp(SEMINAR + b"a=never-heard:of\r\n").media[2].attribute("never-heard") == "of"


@pytest.mark.rfc("8866", "5.1")
def test_the_version_is_zero_and_comes_first() -> None:
    for body in (SEMINAR.replace(b"v=0", b"v=1"), SEMINAR[5:]):
        with pytest.raises(ParseError):
            parse_sdp(body)


@pytest.mark.rfc("8866", "6.7")
def test_sendrecv_is_the_default_and_the_stream_beats_the_session() -> None:
    session = parse_sdp(b"v=0\r\na=sendonly\r\nm=audio 4000 RTP/AVP 0\r\na=recvonly\r\nm=audio 4002 RTP/AVP 0\r\n")
    assert [session.direction_of(each) for each in session.media] == [Direction.RECVONLY, Direction.SENDONLY]
    bare = parse_sdp(b"v=0\r\nm=audio 4000 RTP/AVP 0\r\n")
    assert bare.direction_of(bare.media[0]) is Direction.SENDRECV


def test_encoding_names_are_compared_without_case() -> None:
    assert RtpFormat(0, "PCMU", 8000).matches(RtpFormat(96, "pcmu", 8000))
    assert not RtpFormat(0, "PCMU", 8000).matches(RtpFormat(96, "pcmu", 16000))
    assert not RtpFormat(10, "L16", 44100, 2).matches(RtpFormat(11, "L16", 44100))


@pytest.mark.rfc(
    "8866",
    "5.7",
    'A session description MUST contain either at least one "c=" line in each media description or a single "c=" line '
    "at the session level.",
)
def test_a_stream_without_any_connection_is_refused() -> None:
    local = LocalMedia("192.0.2.9", 20000, (RtpFormat(0, "PCMU", 8000),))
    bare = SEMINAR.replace(b"c=IN IP4 198.51.100.1\r\n", b"")
    with pytest.raises((ParseError, NegotiationError)):
        OfferAnswer(1).make_answer(parse_sdp(bare), local)
    audio = b"m=audio 49170 RTP/AVP 0\r\n"
    OfferAnswer(1).make_answer(parse_sdp(bare.replace(audio, audio + b"c=IN IP4 198.51.100.7\r\n")), local)


@pytest.mark.rfc(
    "8866",
    "5.4",
    'If the "a=charset:" attribute is not present, the "i=" line MUST contain ISO 10646 characters in UTF-8 encoding.',
)
def test_texts_are_kept_as_they_came() -> None:
    told = SEMINAR.replace(b"i=SDP Offer #1", "i=Ünïcode – 日本".encode())
    assert format_sdp(parse_sdp(told)) == told


@pytest.mark.rfc(
    "8866",
    "5.6",
    "If an email address or phone number is present, it MUST be specified before the first media description.",
)
@pytest.mark.rfc(
    "8866",
    "5.8",
    'Instead new (non "X-" prefix) <bwtype> names SHOULD be defined, and then MUST be registered with IANA in the '
    "standard namespace. … SDP parsers MUST ignore bandwidth-fields with unknown <bwtype> names.",
)
def test_bandwidths_of_unknown_types_and_addresses_change_nothing() -> None:
    audio = b"m=audio 49170 RTP/AVP 0\r\n"
    more = SEMINAR.replace(b"t=0 0\r\n", b"b=X-YZ:128\r\nb=NEVER:heard\r\nt=0 0\r\n").replace(
        audio, audio + b"b=ZZ:0\r\n"
    )
    assert format_sdp(parse_sdp(more)) == more
    local = LocalMedia("192.0.2.9", 20000, (RtpFormat(0, "PCMU", 8000),))
    plain, bent = (OfferAnswer(1).make_answer(parse_sdp(body), local) for body in (SEMINAR, more))
    assert plain == bent
