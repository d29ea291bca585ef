"""Request smuggling (RFC 3261 §18.3, §20.14): no second reading of where a message ends gets a hidden INVITE executed.

Each attack is an OPTIONS whose Content-Length a careless reader takes for another one than we do, with an INVITE where
that reader's next message would begin.
"""

from __future__ import annotations

import asyncio

import pytest

from sipcore.events import RequestReceived
from sipcore.stream_parser import StreamParser
from tests.conformance.rfc4475.harness import (
    client,
    events_of,
    in_words,
    react,
    react_on_stream,
    server,
    write_in_segments,
)

BODY = b"v=0\r\no=- 1 1 IN IP4 192.0.2.19\r\n"  # 32 bytes
assert len(BODY) == 32

HIDDEN = (
    b"INVITE sip:hidden@example.com SIP/2.0\r\n"
    b"Via: SIP/2.0/TCP 192.0.2.9;branch=z9hG4bKhidden\r\n"
    b"From: <sip:mallory@elsewhere.example>;tag=1\r\nTo: <sip:hidden@example.com>\r\n"
    b"Call-ID: hidden\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\nContact: <sip:mallory@192.0.2.9>\r\n"
    b"Content-Length: 0\r\n\r\n"
)


def carrier(*lengths: bytes) -> bytes:
    """An OPTIONS with these header lines for its length."""
    return (
        b"OPTIONS sip:example.com SIP/2.0\r\n"
        b"Via: SIP/2.0/TCP 192.0.2.9;branch=z9hG4bKcarrier\r\n"
        b"From: <sip:mallory@elsewhere.example>;tag=1\r\nTo: <sip:example.com>\r\n"
        b"Call-ID: carrier\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\n" + b"".join(each + b"\r\n" for each in lengths)
    ) + b"\r\n"


# What a length may be spelled as; none of these is one.
ATTACKS = {
    "2**32 and 32, which is 32 to who counts in 32 bits": [b"Content-Length: 4294967328"],
    "2**64 and 32": [b"Content-Length: 18446744073709551648"],
    "a plus sign": [b"Content-Length: +32"],
    "a minus sign": [b"Content-Length: -32"],
    "a fraction": [b"Content-Length: 32.0"],
    "an exponent": [b"Content-Length: 32e0"],
    "hexadecimal": [b"Content-Length: 0x20"],
    "digits apart": [b"Content-Length: 3 2"],
    "digits and a word": [b"Content-Length: 32 bytes"],
    "a parameter": [b"Content-Length: 32;x=1"],
    "a list": [b"Content-Length: 32, 32"],
    "quotes": [b'Content-Length: "32"'],
    "no digits": [b"Content-Length:"],
    "digits of another script": ["Content-Length: ３２".encode()],
    "a NUL": [b"Content-Length: 32\0"],
    "a vertical tab": [b"Content-Length: \v32"],
    "folded within the digits": [b"Content-Length: 3\r\n 2"],
    "two that disagree": [b"Content-Length: 32", b"Content-Length: 0"],
    "two that disagree, the other way round": [b"Content-Length: 0", b"Content-Length: 32"],
    "long and compact that disagree": [b"Content-Length: 32", b"l: 0"],
    "compact and long that disagree": [b"l: 0", b"Content-Length: 32"],
    "two compact that disagree": [b"l: 32", b"L: 0"],
    "one with white space before its colon": [b"Content-Length : 32", b"Content-Length: 0"],
    "one with a tab before its colon": [b"Content-Length\t: 32", b"l\t: 0"],
    "one in capitals": [b"CONTENT-LENGTH: 32", b"content-length: 0"],
    "folded before the digits": [b"Content-Length:\r\n 32"],
    "one folded": [b"Content-Length:\r\n 32", b"l: 0"],
    "a name with a NUL": [b"Content-Length\0: 32", b"l: 0"],
    "no length": [],
    "a header line without a colon before it": [b"X", b"Content-Length: 32"],
    "white space before the name": [b"Subject: x", b"\tContent-Length: 32"],
    "a bare CR that hides it": [b"Subject: x\rContent-Length: 0", b"l: 32"],
}
# A datagram has its end: it needs no length, and a folded one is legal (RFC 3261 §7.3.1).
ON_STREAMS_ALONE = ("no length", "folded before the digits", "white space before the name")
# Two that agree are no more readable to who takes the sum, the first or the last; they are refused all the same.
AGREEING = {
    "two that agree": [b"Content-Length: 32", b"Content-Length: 32"],
    "long and compact that agree": [b"Content-Length: 32", b"l: 32"],
}

each_attack = pytest.mark.parametrize("lengths", [*ATTACKS.values(), *AGREEING.values()], ids=[*ATTACKS, *AGREEING])


@pytest.mark.rfc("3261", "18.3", "The Content-Length header field MUST be used with stream oriented transports.")
@each_attack
@pytest.mark.parametrize("segment", [0, 1, 3, 7])
@pytest.mark.usefixtures("nothing_left")
def test_over_tcp_the_connection_closes_and_the_hidden_invite_is_not_executed(
    lengths: list[bytes], segment: int
) -> None:
    """ "If a request does not contain a Content-Length […] the request MUST be rejected", and so with a wrong one."""

    async def scenario() -> None:
        async with server() as app, client(app, "TCP") as sender:
            told = events_of(app)
            await write_in_segments(sender, carrier(*lengths) + BODY + HIDDEN, segment)
            await sender.until(sender.closed.is_set)
            assert not [each for each in told if isinstance(each, RequestReceived)]
            assert {each.get("Call-ID") for each in sender.answers} <= {"carrier"}
            assert {each.status for each in sender.answers} <= {400, 513}
            assert app.driver.counters["tcp_bad_framing"] == 1 and app.driver.counters["failed"] == 0

    asyncio.run(scenario())


@pytest.mark.rfc(
    "3261",
    "18.3",
    "In the case of stream-oriented transports such as TCP, the Content-Length header field indicates the size of "
    "the body. The Content-Length header field MUST be used with stream oriented transports.",
)
@each_attack
@pytest.mark.parametrize("segment", [0, 1, 2, 3, 4, 5, 6, 7])
def test_however_the_stream_is_cut_nothing_comes_after_the_broken_length(lengths: list[bytes], segment: int) -> None:
    words = react_on_stream(carrier(*lengths) + BODY + HIDDEN, segment)
    assert words in ("400, closed", "513, closed", "closed")


@pytest.mark.rfc(
    "3261",
    "18.3",
    "If the transport packet ends before the end of the message body, this is considered an error. If the message "
    "is a response, it MUST be discarded. If the message is a request, the element SHOULD generate a 400 (Bad "
    "Request) response.",
)
@pytest.mark.parametrize("lengths", [ATTACKS[name] for name in ATTACKS if name not in ON_STREAMS_ALONE])
def test_over_udp_the_datagram_gets_an_error_and_no_more(lengths: list[bytes]) -> None:
    assert in_words(react(carrier(*lengths) + BODY + HIDDEN)) in ("400", "513")


@pytest.mark.rfc(
    "3261",
    "18.3",
    "In the case of stream-oriented transports such as TCP, the Content-Length header field indicates the size of "
    "the body.",
)
@pytest.mark.parametrize("line", [b"Content-Length: 32", b"l:32", b"L \t: \t 32 \t", b"CONTENT-LENGTH  :032"])
def test_any_good_spelling_of_the_length_frames_the_body(line: bytes) -> None:
    """ "the message body is assumed to end at the end of the Content-Length" """
    data = carrier(line) + BODY + HIDDEN
    assert react_on_stream(data, 0) == react_on_stream(data, 1) == "request OPTIONS, request INVITE"
    first, second = StreamParser().feed(data)
    assert (first, second) == (carrier(line) + BODY, HIDDEN)


@pytest.mark.rfc(
    "3261",
    "18.3",
    "additional bytes in the transport packet beyond the end of the body, they MUST be discarded",
)
def test_over_udp_what_follows_the_body_is_dropped() -> None:
    """ "additional bytes in the transport packet beyond the end of the body, they MUST be discarded" """
    assert in_words(react(carrier(b"Content-Length: 32") + BODY + HIDDEN)) == "request OPTIONS"


@pytest.mark.rfc(
    "3261",
    "18.3",
    "If there are additional bytes in the transport packet beyond the end of the body, they MUST be discarded.",
)
def test_a_body_that_looks_like_a_request_is_a_body() -> None:
    data = carrier(b"Content-Length: %d" % len(HIDDEN)) + HIDDEN
    assert react_on_stream(data, 1) == "request OPTIONS"


@pytest.mark.rfc(
    "3261",
    "18.3",
    "In the case of stream-oriented transports such as TCP, the Content-Length header field indicates the size of "
    "the body.",
)
def test_what_a_peer_may_send_is_bounded() -> None:
    """A message larger than the limit ends the stream as soon as its length is known, not when it has come."""
    parser_words = react_on_stream(carrier(b"Content-Length: 99999999"), 0)
    assert parser_words == "513, closed"


def test_the_server_would_execute_an_invite_that_it_saw() -> None:
    """Without this the tests above would prove nothing."""

    async def scenario() -> None:
        async with server() as app, client(app, "TCP") as sender:
            told = events_of(app)
            sender.write(carrier(b"Content-Length: 32") + BODY + HIDDEN)
            answers = await sender.final(2)
            assert sorted(each.status for each in answers) == [200, 486]
            # The OPTIONS before it is answered by the gate, without an event.
            assert [each.request.method for each in told if isinstance(each, RequestReceived)] == ["INVITE"]

    asyncio.run(scenario())
