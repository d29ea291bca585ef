"""Framing of a byte stream."""

from __future__ import annotations

import pytest

from sipcore.errors import ParseError
from sipcore.limits import Limits
from sipcore.stream_parser import KeepAlive, StreamParser

ONE = b"OPTIONS sip:h SIP/2.0\r\nContent-Length: 3\r\n\r\nabc"
TWO = b"SIP/2.0 200 OK\r\nl : 0\r\n\r\n"


@pytest.mark.rfc("3261", "18.3", "The Content-Length header field MUST be used with stream oriented transports.")
@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 1000])
def test_messages_come_out_whole_however_they_are_cut(size: int) -> None:
    data = ONE + b"\r\n\r\n" + TWO + b"\r\n" + ONE + TWO
    parser = StreamParser()
    out = [item for at in range(0, len(data), size) for item in parser.feed(data[at : at + size])]
    assert out == [ONE, KeepAlive.PING, TWO, KeepAlive.PONG, ONE, TWO]
    assert parser.pending == 0 and parser.error is None


@pytest.mark.rfc("5626", "3.5.1")
def test_keep_alives_between_messages_are_told() -> None:
    parser = StreamParser()
    assert parser.feed(b"\r\n\r\n\r\n\r\n") == [KeepAlive.PING, KeepAlive.PING]
    assert parser.feed(b"\r\n") == []
    assert parser.pending == 2
    assert parser.feed(TWO) == [KeepAlive.PONG, TWO]


def test_lines_may_end_with_lf_alone_as_in_the_parser() -> None:
    data = ONE.replace(b"\r\n", b"\n")
    assert StreamParser().feed(data + ONE + data) == [data, ONE, data]
    mixed = b"A sip:h SIP/2.0\nl: 0\r\n\nB sip:h SIP/2.0\r\nl: 0\r\n\r\n"
    assert StreamParser().feed(mixed) == [mixed[:23], mixed[23:]]


@pytest.mark.rfc("3261", "18.3", "The Content-Length header field MUST be used with stream oriented transports.")
@pytest.mark.parametrize(
    "lengths",
    [
        b"",
        b"Content-Length: \r\n",
        b"Content-Length: +0\r\n",
        b"l: -1\r\n",
        b"l: 4294967328\r\n",
        b"l: 1 1\r\n",
        b"l: 0x0\r\n",
        b"l: 0\r\nContent-Length : 5\r\n",
        b"l: 0\r\nl: 0\r\n",
        b"Content-Length:\r\n 5\r\n",
        b"l: 5\rl: 0\r\n",
    ],
)
def test_a_broken_length_ends_the_stream(lengths: bytes) -> None:
    hidden = b"INVITE sip:premium@h SIP/2.0\r\nContent-Length: 0\r\n\r\n"
    parser = StreamParser()
    with pytest.raises(ParseError):
        parser.feed(b"OPTIONS sip:h SIP/2.0\r\n" + lengths + b"\r\n" + hidden)
    assert parser.error is not None
    assert parser.broken_head == b"OPTIONS sip:h SIP/2.0\r\n" + lengths + b"\r\n"
    with pytest.raises(ParseError):
        parser.feed(hidden)


def test_what_came_before_an_error_is_given_first() -> None:
    parser = StreamParser()
    assert parser.feed(ONE + b"BYE sip:h SIP/2.0\r\n\r\n") == [ONE]
    assert parser.error is not None and parser.broken_head == b"BYE sip:h SIP/2.0\r\n\r\n"
    with pytest.raises(ParseError):
        parser.feed(b"")


@pytest.mark.parametrize("data", [b"A" * 2000, b"\rX" * 1000, b"A\r\nl: 999\r\n\r\n" + b"x" * 999])
def test_a_message_over_the_limit_ends_the_stream(data: bytes) -> None:
    parser = StreamParser(Limits(max_message=1000))
    size = next(size for size, byte in enumerate(data) if _ends(parser, bytes((byte,))))
    assert size <= 1001 and parser.pending <= 1001
    assert parser.error is not None and parser.error.status_hint == 513


def _ends(parser: StreamParser, data: bytes) -> bool:
    try:
        parser.feed(data)
    except ParseError:
        return True
    return False
