"""One whole message: what is valid, what is refused and how, and that hostile input costs linear time."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from sipcore.errors import ParseError
from sipcore.limits import Limits
from sipcore.message import Request, Response
from sipcore.parser import InvalidMessage, parse_message

LINES = (
    "OPTIONS sip:bob@h SIP/2.0",
    "Via: SIP/2.0/UDP h;branch=z9hG4bK1",
    "From: <sip:a@h>;tag=1",
    "To: <sip:b@h>",
    "Call-ID: 1@h",
    "CSeq: 1 OPTIONS",
)


def message(*more: str, start: str = LINES[0], body: str = "", without: str = "\0", end: str = "\r\n") -> bytes:
    lines = [start, *(line for line in LINES[1:] if not line.startswith(without)), *more]
    return (end.join(lines) + end + end + body).encode("utf-8", "surrogateescape")


def refused(data: bytes, limits: Limits | None = None) -> InvalidMessage:
    with pytest.raises(InvalidMessage) as caught:
        parse_message(data, limits=limits or Limits())
    assert str(caught.value).isascii() and "\n" not in str(caught.value)
    return caught.value


def test_a_minimal_request_is_read() -> None:
    request = parse_message(message(body="hi"))
    assert isinstance(request, Request)
    assert (request.method, request.body) == ("OPTIONS", b"hi")


@pytest.mark.rfc("3261", "7.1", "The SIP-Version string is case-insensitive, but implementations MUST send upper-case.")
@pytest.mark.parametrize("version", ["SIP/2.0", "sip/2.0", "Sip/2.0"])
def test_the_version_is_read_in_any_case(version: str) -> None:
    assert isinstance(parse_message(message(start=f"OPTIONS sip:h {version}")), Request)
    assert isinstance(parse_message(message(start=f"{version} 200 OK")), Response)


@pytest.mark.rfc("4475", "3.1.1.2")
def test_a_method_is_any_token() -> None:
    method = "!interesting-Method0123456789_*+`.%indeed'~"
    request = parse_message(message(f"CSeq: 1 {method}", start=f"{method} sip:h SIP/2.0", without="CSeq"))
    assert isinstance(request, Request) and request.method == method


@pytest.mark.rfc("3261", "7.2", "No CR or LF is allowed except in the final CRLF sequence.")
@pytest.mark.parametrize(
    ("line", "status", "reason"),
    [
        ("SIP/2.0 200 OK", 200, "OK"),
        ("SIP/2.0 100 ", 100, ""),
        ("SIP/2.0 699", 699, ""),
        ("SIP/2.0 200 = 2**3 * 5**2 \u043d\u043e \udce9", 200, "= 2**3 * 5**2 \u043d\u043e \udce9"),
    ],
)
def test_a_status_line_is_read(line: str, status: int, reason: str) -> None:
    response = parse_message(message(start=line))
    assert isinstance(response, Response)
    assert (response.status, response.reason) == (status, reason)
    assert response.to_bytes().startswith(f"SIP/2.0 {status} {reason}\r\n".encode("utf-8", "surrogateescape"))


@pytest.mark.parametrize(
    "line",
    [
        "SIP/2.0 99 x",
        "SIP/2.0 700 x",
        "SIP/2.0 4294967301 x",
        "SIP/2.0 20 OK",
        "SIP/2.0  200 OK",
        "SIP/3.0 200 OK",
        "SIP/2.0 -20 x",
        "SIP/2.0",
        "SIP/2.0 200OK",
    ],
)
def test_a_broken_status_line_is_refused_without_an_answer(line: str) -> None:
    assert refused(message(start=line)).message is None


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("OPTIONS  sip:h SIP/2.0", 400),
        ("OPTIONS sip:h  SIP/2.0", 400),
        ("OPTIONS sip:h SIP/2.0 ", 400),
        ("OPTIONS <sip:h> SIP/2.0", 400),
        ("OPTIONS sip:h; lr SIP/2.0", 400),
        ("OPTIONS sip:h?Route=%3Csip:h%3E SIP/2.0", 400),
        ("OPTIONS sip:2001:db8::10 SIP/2.0", 400),
        ("OPTIONS sip:h HTTP/1.1", 400),
        ("OPTIONS sip:h SIP/7.0", 505),
        ("OPTIONS sip:h SIP/2.00", 505),
        (f"OPTIONS sip:{'h' * 3000} SIP/2.0", 414),
        ("INVITE sip:h SIP/2.0", 400),
        ("options sip:h SIP/2.0", 501),
    ],
)
def test_a_broken_request_line_is_answered(line: str, status: int) -> None:
    error = refused(message(start=line))
    assert error.status_hint == status
    assert error.message is not None and error.message.via.host == "h"


@pytest.mark.parametrize(
    "data", [b"", b"\r\n", b"\r\n\r\n", b"\0" * 20, b"GET", b"A B", b"A B\r\n\r\n", b"\xff" * 9 + b"\n"]
)
def test_what_is_no_message_is_refused(data: bytes) -> None:
    assert refused(data).message is None


@pytest.mark.rfc(
    "3261",
    "7.5",
    "Implementations processing SIP messages over stream-oriented transports MUST ignore any CRLF appearing before "
    "the start-line.",
)
def test_line_breaks_before_the_start_line_are_ignored() -> None:
    assert isinstance(parse_message(b"\r\n\r\n" + message()), Request)


@pytest.mark.parametrize("name", ["Via", "From", "To", "Call-ID", "CSeq"])
def test_a_missing_mandatory_header_is_refused(name: str) -> None:
    error = refused(message(without=name))
    assert (str(error), error.status_hint) == (f"no {name} header", 400)
    assert (error.message is None) == (name == "Via")


@pytest.mark.rfc("4475", "3.3.8")
@pytest.mark.parametrize(
    "line",
    [
        "f: <sip:x@h>;tag=2",
        "To: <sip:x@h>",
        "i : 2",
        "CSeq: 1 OPTIONS",
        "Max-Forwards: 1\r\nmax-forwards: 2",
        "Content-Length: 0\r\nl: 0",
        "c: a/b\r\nContent-Type: c/d",
        "Expires: 1\r\nExpires: 1",
    ],
)
def test_a_header_with_one_value_is_refused_twice(line: str) -> None:
    error = refused(message(line))
    assert str(error).startswith("two ") and error.message is not None


@pytest.mark.parametrize(
    "line",
    [
        "Contact: <sip:a@h>;;",
        "m: sip:a@h?x=y",
        "Contact: ,",
        "Contact:",
        "m: *, <sip:a@h>",
        "Route: <sip:h",
        "Record-Route: x",
        "Max-Forwards: 256",
        "Max-Forwards: -1",
        "Max-Forwards:",
        "v: SIP/2.0/UDP",
        "Via: SIP/2.0/UDP h,",
    ],
)
def test_a_broken_field_is_refused_at_the_door(line: str) -> None:
    assert refused(message(line)).status_hint == 400


@pytest.mark.parametrize(
    "line",
    [
        "Call-ID:",
        "Call-ID: a b",
        "CSeq: 36893488147419103232 OPTIONS",
        "CSeq: OPTIONS",
        'To: "x <sip:a@h>',
        "From: Bell, Alexander <sip:a@h>;tag=1",
    ],
)
def test_a_broken_mandatory_field_is_refused_and_answered_by_the_top_via(line: str) -> None:
    error = refused(message(line, without=line.partition(":")[0]))
    assert error.message is not None


def test_an_ack_is_never_answered() -> None:
    assert refused(message("CSeq: x", start="ACK sip:h SIP/2.0", without="CSeq")).message is None


@pytest.mark.rfc(
    "3261",
    "18.3",
    "In the case of message-oriented transports (such as UDP), if the message has a Content-Length header field, "
    "the message body is assumed to contain that many bytes. If there are additional bytes in the transport packet "
    "beyond the end of the body, they MUST be discarded.",
)
@pytest.mark.parametrize(("length", "body"), [("0", b""), ("3", b"abc"), ("  5\t", b"abcde"), ("005", b"abcde")])
def test_the_body_is_cut_at_content_length(length: str, body: bytes) -> None:
    assert parse_message(message(f"l:{length}", body="abcde")).body == body
    assert parse_message(message(body="abcde")).body == b"abcde"


@pytest.mark.parametrize("length", ["6", "-1", "+5", "5, 5", "0x5", "", "5\r\n 5", "4294967328", "9" * 30, "\u0665"])
def test_a_content_length_that_does_not_fit_is_refused(length: str) -> None:
    assert refused(message(f"Content-Length: {length}", body="abcde")).message is not None


@pytest.mark.parametrize("line", ["nocolon", ": value", "a b: c", "X\u00e9: y", "a\0: b", " folded: nothing"])
def test_a_header_line_without_a_name_is_refused(line: str) -> None:
    data = message().replace(b"\r\nVia", b"\r\n" + line.encode() + b"\r\nVia", 1)
    assert refused(data).offset > 0
    assert refused(message(line)).message is not None or line.startswith(" ")


def test_a_bare_cr_is_refused_and_a_bare_lf_ends_a_line_and_goes_on_as_crlf() -> None:
    refused(message("Subject: a\rVia: b"))
    request = parse_message(message("Subject: a\n b", end="\n", body="x"))
    assert request.headers.get("Subject") == "a b"
    assert request.to_bytes() == message("Subject: a b", "Content-Length: 1", body="x")


def test_a_message_without_an_empty_line_is_refused() -> None:
    for cut in range(1, len(message())):
        refused(message()[:cut])


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (message(body="x" * 70_000), 513),
        (message(*["X: y"] * 200), 400),
        (message("X: " + "y" * 8190), 400),
        (message("X: y" + "\r\n y" * 3000), 400),
        (message(*["Via: SIP/2.0/UDP h, SIP/2.0/UDP h"] * 40), 400),
        (message("m: " + ",".join(["<sip:a@h>"] * 65)), 400),
    ],
)
def test_each_limit_is_held(data: bytes, status: int) -> None:
    assert refused(data).status_hint == status


def test_limits_are_the_callers() -> None:
    assert refused(message(), Limits(max_headers=4)).status_hint == 400
    assert refused(message(), Limits(max_message=20)).status_hint == 513
    assert refused(message(), Limits(max_uri=3)).status_hint == 414


def test_the_error_is_a_parse_error_with_its_cause() -> None:
    error = refused(message("Max-Forwards: x"))
    assert isinstance(error, ParseError) and isinstance(error.__cause__, ParseError)


WIDE = Limits(10**7, 10**6, 10**7, 10**7, 10**6, max_contacts=10**6)
SHAPES: dict[str, Callable[[int], str]] = {
    "semicolons": lambda n: "m: <sip:a@h>" + ";" * n,
    "parameters": lambda n: "m: <sip:a@h>" + "".join(f";a{i}=1" for i in range(n // 8)),
    "commas": lambda n: "Allow: " + "," * n,
    "contacts": lambda n: "m: " + "<sip:a@h>," * (n // 10) + "<sip:a@h>",
    "brackets": lambda n: "Allow: " + "<" * n,
    "quotes": lambda n: "Allow: " + '"' * n,
    "backslashes": lambda n: 'm: "' + "\\" * n,
    "spaces": lambda n: "m: " + " " * n + "<sip:a@h>",
    "folds": lambda n: "Subject: a" + "\r\n " * (n // 3) + "b",
    "headers": lambda n: "\r\n".join(["X: 1"] * (n // 6)),
    "escapes": lambda n: "m: <sip:" + "%41" * (n // 3) + "@h>",
    "digits": lambda n: "Max-Forwards: " + "0" * n,
    "parentheses": lambda n: "m: " + "(" * n,
    "name": lambda n: "a" * n + ": 1",
    "ats": lambda n: "m: <sip:" + "@" * n + ">",
}


@pytest.mark.parametrize("shape", SHAPES)
def test_hostile_input_costs_linear_time(shape: str, soak: bool) -> None:
    small, large = (message(SHAPES[shape](size)) for size in (8_192, 65_536))
    # On a machine that others use the caches are theirs: a short run only knows linear from quadratic (64).
    tries, factor = (100, 12) if soak else (5, 24)
    assert _cost(large, tries) < factor * max(_cost(small, tries), 20e-6)


def _cost(data: bytes, tries: int) -> float:
    best = 1.0
    for _ in range(tries):
        before = time.thread_time()
        try:
            parsed = parse_message(data, limits=WIDE)
            for name in ("Subject", "Contact", "Allow", "X"):
                parsed.headers.get_all(name)
            parsed.to_bytes()
        except ParseError:
            pass
        best = min(best, time.thread_time() - before)
    return best
