"""Reading and writing session descriptions."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sipcore import sdp
from sipcore.errors import ParseError
from sipcore.sdp import Attribute, Direction, Line, Origin, RtpFormat, format_sdp, parse_sdp

PHONE = (
    b"v=0\r\no=1001 7 8 IN IP4 192.0.2.1\r\ns=A call\r\ni=info\r\nc=IN IP4 192.0.2.1\r\nb=AS:64\r\nt=0 0\r\n"
    b"a=sendrecv\r\n"
    b"m=audio 40000 RTP/AVP 0 8 96 101 13\r\na=rtpmap:96 opus/48000/2\r\na=fmtp:96 useinbandfec=1\r\n"
    b"a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=rtcp:40005\r\na=sendonly\r\n"
    b"m=video 0 RTP/AVP 31\r\nc=IN IP6 2001:db8::1\r\n"
)


def test_a_description_is_read_field_by_field() -> None:
    session = parse_sdp(PHONE)
    audio, video = session.media
    assert session.origin == Origin("1001", "7", "8", "192.0.2.1")
    assert (session.name, session.connection) == ("A call", "192.0.2.1")
    assert session.lines == (Line("i", "info"), Line("b", "AS:64"), Line("t", "0 0"))
    assert audio.rtp_formats == (
        RtpFormat(0, "PCMU", 8000),
        RtpFormat(8, "PCMA", 8000),
        RtpFormat(96, "opus", 48000, 2, "useinbandfec=1"),
        RtpFormat(101, "telephone-event", 8000, 1, "0-16"),
        RtpFormat(13, "CN", 8000),
    )
    assert (audio.attribute("ptime"), audio.attribute("sendonly"), audio.attribute("x")) == ("20", "", None)
    assert (session.connection_of(audio), session.connection_of(video)) == ("192.0.2.1", "2001:db8::1")
    assert (session.direction_of(audio), session.direction_of(video)) == (Direction.SENDONLY, Direction.SENDRECV)


def test_a_description_in_order_is_written_as_it_came() -> None:
    assert format_sdp(parse_sdp(PHONE)) == PHONE


def test_lf_and_missing_last_line_end_are_read() -> None:
    assert parse_sdp(PHONE.replace(b"\r\n", b"\n").rstrip()) == parse_sdp(PHONE)


def test_unknown_lines_and_attributes_are_kept() -> None:
    session = parse_sdp(b"v=0\r\nx=odd\r\nt=0 0\r\na=new\r\na=new:\r\na=caf\xc3\xa9 \xff:1:2\r\n")
    assert session.lines == (Line("x", "odd"), Line("t", "0 0"))
    assert session.attributes[:2] == (Attribute("new"), Attribute("new", ""))
    assert format_sdp(session) == b"v=0\r\nx=odd\r\nt=0 0\r\na=new\r\na=new:\r\na=caf\xc3\xa9 \xff:1:2\r\n"


def test_direction_and_origin_may_be_absent() -> None:
    session = parse_sdp(b"v=0\nm=audio 4000/2 RTP/AVP 0\n")
    assert session.origin is None
    assert session.media[0].port_count == 2
    assert session.direction_of(session.media[0]) is Direction.SENDRECV
    assert format_sdp(session) == b"v=0\r\nm=audio 4000/2 RTP/AVP 0\r\n"


def test_the_session_direction_holds_for_streams_without_one() -> None:
    session = parse_sdp(b"v=0\na=inactive\nm=audio 4000 RTP/AVP 0\nm=audio 4002 RTP/AVP 0\na=recvonly\n")
    assert [session.direction_of(each) for each in session.media] == [Direction.INACTIVE, Direction.RECVONLY]


@pytest.mark.parametrize("line", ["96", "96 opus", "96 opus/x", "96 opus/48000/x", "96 /", "x opus/48000"])
def test_a_format_without_a_usable_rtpmap_says_nothing(line: str) -> None:
    session = parse_sdp(f"v=0\nm=audio 4000 RTP/AVP 96 128 -1 x\na=rtpmap:{line}\n".encode())
    assert session.media[0].rtp_formats == ()


def test_a_static_format_takes_its_fmtp() -> None:
    session = parse_sdp(b"v=0\nm=audio 4000 RTP/AVP 18\na=fmtp:18 annexb=no\n")
    assert session.media[0].rtp_formats == (RtpFormat(18, "G729", 8000, 1, "annexb=no"),)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\r\n",
        b"hello",
        b"v=1\n",
        b"o=- 1 1 IN IP4 192.0.2.1\nv=0\n",
        b"m=audio 4000 RTP/AVP 0\n",
        b"v=0\nno equal sign\n",
        b"v=0\ns=a\0b\n",
        b"v=0\no=- 1 1 IN IP4\n",
        b"v=0\nc=IN IP4\n",
        b"v=0\nc=IN IPX 1\n",
        b"v=0\nc=IN IP4 ::1\n",
        b"v=0\nc=IN IP6 192.0.2.1\n",
        b"v=0\nm=audio\n",
        b"v=0\nm=audio 4000 RTP/AVP\n",
        b"v=0\nm=audio x RTP/AVP 0\n",
        b"v=0\nm=audio -1 RTP/AVP 0\n",
        b"v=0\nm=audio 65536 RTP/AVP 0\n",
        b"v=0\nm=audio 4000/ RTP/AVP 0\n",
        b"v=0\nm=audio 4000/999999 RTP/AVP 0\n",
        "v=0\nm=audio ４０００ RTP/AVP 0\n".encode(),
        b"v=0\n" + b"m=audio 4000 RTP/AVP 0\n" * 17,
        b"v=0\nm=audio 4000 RTP/AVP" + b" 0" * 65,
        b"v=0\n" + b"a=x\n" * 257,
        b"v=0\nm=audio 4000 RTP/AVP 0\n" + b"a=x\n" * 257,
    ],
)
def test_what_is_no_description_or_too_big_is_refused_with_488(body: bytes) -> None:
    with pytest.raises(ParseError) as caught:
        parse_sdp(body)
    assert caught.value.status_hint == 488


def test_the_ceilings_themselves_are_allowed() -> None:
    numbers = b" 0" * 64
    body = b"v=0\n" + b"a=x\n" * 256 + (b"m=audio 4000 RTP/AVP" + numbers + b"\n") * 16
    session = parse_sdp(body)
    assert (len(session.media), len(session.attributes), len(session.media[0].formats)) == (16, 256, 64)


@pytest.mark.parametrize(
    ("direction", "other", "hold"),
    [("sendrecv", "sendrecv", "sendonly"), ("sendonly", "recvonly", "sendonly"), ("recvonly", "sendonly", "inactive"),
     ("inactive", "inactive", "inactive")],
)  # fmt: skip
def test_directions_turn_round_and_go_on_hold(direction: str, other: str, hold: str) -> None:
    assert Direction(direction).reversed is Direction(other)
    assert Direction(direction).on_hold is Direction(hold)


def test_a_control_character_in_a_clock_rate_raises_nothing() -> None:
    session = parse_sdp(b"v=0\r\nm=audio 4000 RTP/AVP 96\r\na=rtpmap:96 opus/\x1c48000/ 2\r\n")
    assert [(each.clock_rate, each.channels) for each in session.media[0].rtp_formats] == [(48000, 2)]


@pytest.mark.rfc(
    "8866",
    "7",
    "Software that parses a session description MUST NOT be able to start other software except that which is "
    "specifically configured as appropriate software to participate in multimedia sessions.",
)
def test_what_reads_descriptions_can_start_nothing() -> None:
    folder = Path(sdp.__file__).parent
    for name in ("sdp", "sdp_security", "offer_answer", "negotiation"):
        names = set(re.findall(r"^(?:from|import) ([a-z_]+)", (folder / f"{name}.py").read_text(), re.MULTILINE))
        assert not names & {"os", "subprocess", "multiprocessing", "ctypes", "importlib", "webbrowser", "shutil"}
