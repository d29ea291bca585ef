"""The session description among the parts of a body."""

from __future__ import annotations

import pytest

from sipcore.errors import ParseError
from sipcore.message import Request
from voipat.bodies import MAX_DEPTH, MAX_PARTS, UnsupportedBodyError, brings_digits, info_digit, session_description

SDP = b"v=0\r\n"
SDP_PART = b"Content-Type: application/sdp\r\n\r\n" + SDP
PLACE = b"Content-Type: application/pidf+xml\r\nContent-ID: <1@x>\r\n\r\n<presence/>"


def found(*parts: bytes, kind: str = 'multipart/mixed;boundary="b 1"', boundary: bytes = b"b 1") -> bytes:
    body = b"a preamble" + b"".join(b"\r\n--" + boundary + b"\r\n" + part for part in parts)
    return session_description(Request("INVITE", "sip:a@b", [("Content-Type", kind)], body + b"\r\n--b 1--\r\n"))


@pytest.mark.rfc("5621", "3.1")
@pytest.mark.parametrize("parts", [(SDP_PART,), (PLACE, SDP_PART), (SDP_PART, PLACE), (b"\r\ntext", SDP_PART)])
def test_the_description_is_found_among_other_parts(parts: tuple[bytes, ...]) -> None:
    assert found(*parts) == SDP


@pytest.mark.rfc(
    "3261",
    "8.2.3",
    "… not understood, and that body part is not optional (as indicated by the Content-Disposition header field), "
    "the UAS MUST reject the request with a 415 (Unsupported Media Type) response.",
)
@pytest.mark.rfc(
    "3261",
    "20.11",
    'If the handling parameter is missing, the value "required" SHOULD be assumed.',
)
def test_a_part_that_must_be_understood_and_is_not_is_refused() -> None:
    part = b"Content-Type: application/isup\r\nContent-Disposition: signal;handling=required\r\n\r\n\x01"
    with pytest.raises(UnsupportedBodyError):
        found(SDP_PART, part)
    assert found(SDP_PART, part.replace(b"required", b"optional")) == SDP


def test_only_a_description_of_the_session_counts() -> None:
    early = b"Content-Type: application/sdp\r\nContent-Disposition: early-session;handling=optional\r\n\r\nv=1\r\n"
    coded = b"Content-Type: application/sdp\r\nContent-Transfer-Encoding: base64\r\n\r\ndj0wDQo="
    assert found(early, coded, SDP_PART) == SDP
    assert found(PLACE) == b""


@pytest.mark.rfc("2046", "5.1.4")
def test_the_last_of_alternatives_is_the_best() -> None:
    better = SDP_PART.replace(b"v=0", b"v=2")
    assert found(SDP_PART, better, kind='multipart/alternative; boundary="b 1"') == b"v=2\r\n"
    assert found(SDP_PART, better) == SDP


def test_parts_may_have_parts() -> None:
    inner = b"Content-Type: multipart/related; boundary=in\r\n\r\n--in\r\n" + SDP_PART + b"\r\n--in--\r\n"
    assert found(PLACE, inner) == SDP


@pytest.mark.parametrize(
    "kind", ["multipart/mixed", 'multipart/mixed;boundary="other"', 'multipart/mixed;boundary="b"']
)
def test_what_cannot_be_taken_apart_is_no_description(kind: str) -> None:
    with pytest.raises(ParseError):
        found(SDP_PART, kind=kind)


def test_the_number_of_parts_is_limited() -> None:
    assert found(*[PLACE] * (MAX_PARTS - 1), SDP_PART) == SDP
    with pytest.raises(ParseError):
        found(*[PLACE] * MAX_PARTS, SDP_PART)


def test_a_body_alone_is_a_description_or_unsupported() -> None:
    assert session_description(Request("INVITE", "sip:a@b", [], SDP)) == SDP
    assert session_description(Request("INVITE", "sip:a@b", [("Content-Type", "Application/SDP;x=1")], SDP)) == SDP
    optional = [("Content-Type", "text/plain"), ("Content-Disposition", "render; handling=optional")]
    assert session_description(Request("INVITE", "sip:a@b", optional, b"hello")) == b""
    with pytest.raises(UnsupportedBodyError):
        session_description(Request("INVITE", "sip:a@b", [("Content-Type", "text/plain")], b"hello"))


@pytest.mark.parametrize(
    ("content_type", "body", "digit"),
    [
        ("application/dtmf-relay", b"Signal=5\r\nDuration=160\r\n", "5"),
        ("Application/DTMF-Relay; charset=utf-8", b"signal = #\r\n", "#"),
        ("application/dtmf-relay", b"Signal=11\r\n", "#"),
        ("application/dtmf-relay", b"Duration=160\r\n", ""),
        ("application/dtmf-relay", b"Signal=flash\r\n", ""),
        ("application/dtmf", b" 9\r\n", "9"),
        ("application/dtmf", b"\xff", "�"),
        ("text/plain", b"5", ""),
    ],
)
def test_the_key_of_an_info(content_type: str, body: bytes, digit: str) -> None:
    assert info_digit(content_type, body) == digit


KEY_PART = b"Content-Type: application/dtmf-relay\r\n\r\nSignal=5\r\n"


@pytest.mark.parametrize(
    ("content_type", "body", "brings"),
    [
        ("Application/DTMF-Relay; charset=utf-8", b"Signal=flash\r\n", True),
        ("application/dtmf", b"", True),
        ("multipart/mixed;boundary=b", b"--b\r\n" + PLACE + b"\r\n--b\r\n" + KEY_PART + b"\r\n--b--\r\n", True),
        ("multipart/mixed;boundary=b", b"--b\r\n" + PLACE + b"\r\n--b--\r\n", False),
        ("multipart/mixed;boundary=b", b"--b\r\n" + KEY_PART, True),
        ("multipart/mixed", b"without a boundary", True),
        ("application/media_control+xml", b"Signal=5", False),
        ("", b"5", False),
    ],
)
def test_whether_an_info_brings_digits(content_type: str, body: bytes, brings: bool) -> None:
    headers = [("Content-Type", content_type)] if content_type else []
    assert brings_digits(Request("INFO", "sip:a@b", headers, body)) is brings


def test_digits_are_found_in_parts_of_parts_and_what_is_deeper_counts_as_digits() -> None:
    def wrapped(times: int) -> bool:
        name, body = "application/dtmf", b"5"
        for level in range(times):
            body = b"--%d\r\nContent-Type: %s\r\n\r\n%s\r\n--%d--\r\n" % (level, name.encode(), body, level)
            name = f"multipart/mixed;boundary={level}"
        return brings_digits(Request("INFO", "sip:a@b", [("Content-Type", name)], body))

    assert [wrapped(times) for times in range(MAX_DEPTH + 3)] == [True] * (MAX_DEPTH + 3)


@pytest.mark.rfc(
    "3261",
    "20.12",
    "When present, its value indicates what additional content codings have been applied to the entity-body, and thus "
    "what decoding mechanisms MUST be applied in order to obtain the media-type referenced by the Content-Type header "
    "field.",
)
def test_an_encoding_that_we_cannot_undo_is_no_description() -> None:
    def read(*headers: tuple[str, str]) -> bytes:
        return session_description(Request("INVITE", "sip:a@b", [("Content-Type", "application/sdp"), *headers], SDP))

    assert read() == read(("Content-Encoding", "identity")) == SDP
    for name in ("Content-Encoding", "e"):
        with pytest.raises(UnsupportedBodyError):
            read((name, "gzip"))
    assert read(("Content-Encoding", "gzip"), ("Content-Disposition", "session;handling=optional")) == b""
