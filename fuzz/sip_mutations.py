"""Mutated SIP messages: `mutant` gives one. `python -m fuzz.sip_mutations` tries the text layer alone.

Half of the mutations are made on bytes (flips, cuts, repeats), half on headers (twice, gone, compact, folded, spaced,
with values that are huge, empty or not what they should be). About half of the mutants are still valid messages: a
parser that refuses everything would hide what is behind it.

Laws of the text layer: parse_message gives a message or ParseError. Of a message that it gives, every typed field can
be read; what `to_bytes` writes is read again as the same; a stream frames it as one.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from fuzz.finding import command, each_tried, told
from sipcore.errors import ParseError
from sipcore.limits import DEFAULT_LIMITS
from sipcore.message import Message, Request, Response
from sipcore.parser import parse_message
from sipcore.stream_parser import StreamParser

# CPU time for at most 64 kB, read many times, on a busy machine: a quadratic reader needs far more.
SLOWEST_S: Final = 0.05
# What we write of a message that stands at the limits and has no Content-Length is that line more.
WRITTEN: Final = replace(
    DEFAULT_LIMITS,
    max_headers=DEFAULT_LIMITS.max_headers + 1,
    max_message=DEFAULT_LIMITS.max_message + len("Content-Length: 65535\r\n"),
)

_SDP: Final = (
    "v=0\r\no=a 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0 8 101\r\n"
    "a=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n"
)


def _message(start: str, *headers: str, body: str = "") -> bytes:
    head = "\r\n".join((start, *headers, f"Content-Length: {len(body)}"))
    return f"{head}\r\n\r\n{body}".encode("utf-8", "surrogateescape")


def _request(method: str, number: int, *headers: str, to_tag: str = "", body: str = "") -> bytes:
    return _message(
        f"{method} sip:bob@biloxi.example.com;transport=udp SIP/2.0",
        f"Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK{method.lower()}{number};rport",
        "Max-Forwards: 70",
        'From: "Alice, of \\"Wonder\\" Land" <sip:alice@atlanta.example.com>;tag=9fxced76sl',
        f"To: Bob <sip:bob@biloxi.example.com>{to_tag}",
        "Call-ID: 3848276298220188511@atlanta.example.com",
        f"CSeq: {number} {method}",
        *headers,
        body=body,
    )


_CONTACT: Final = 'Contact: <sip:alice@192.0.2.1:5060;transport=udp>;q=0.7;+sip.instance="<urn:uuid:0000-1>"'
SEEDS: Final = (
    _request("INVITE", 1, _CONTACT, "Supported: replaces, timer", "Content-Type: application/sdp", body=_SDP),
    _request("INVITE", 2, _CONTACT, "v: SIP / 2.0 / TCP [2001:db8::1]:5061 ;branch=z9hG4bKx", "Subject: a\r\n b"),
    _request("INVITE", 3, _CONTACT, "Require: 100rel", "Record-Route: <sip:192.0.2.9;lr>,<sip:p2.example.com;lr>"),
    _request("REGISTER", 4, f"{_CONTACT}, <sip:alice@[2001:db8::2]>;expires=60", "Expires: 3600"),
    _request("REGISTER", 5, "m: *", "Expires: 0", 'Authorization: Digest username="a", realm="r", nonce="n", uri="u"'),
    _request("OPTIONS", 6, "Accept: application/sdp", "User-Agent: caf\udce9/1.0"),
    _request("BYE", 7, "Route: <sip:192.0.2.9;lr>", to_tag=";tag=314159"),
    _request("ACK", 1, to_tag=";tag=314159"),
    _request("CANCEL", 1, 'Reason: SIP ;cause=200 ;text="Call completed elsewhere"'),
    _request("SUBSCRIBE", 8, "Event: dialog", _CONTACT),
    _request("NEWMETHOD", 9, "X-Unknown: something", "x: 1800;refresher=uac"),
    _message(
        "SIP/2.0 200 OK",
        "v: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKinvite1;received=192.0.2.1;rport=5060",
        "f: <sip:alice@atlanta.example.com>;tag=9fxced76sl",
        "t: <sip:bob@biloxi.example.com>;tag=314159",
        "i: 3848276298220188511@atlanta.example.com",
        "CSeq: 1 INVITE",
        "m: <sip:bob@192.0.2.4>",
        "c: application/sdp",
        body=_SDP,
    ),
    _message(
        "SIP/2.0 183 \u043d\u043e",
        "Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKinvite1, SIP/2.0/UDP 192.0.2.7",
        "From: <sip:alice@atlanta.example.com>;tag=9fxced76sl",
        "To: <tel:+1-201-555-0123;phone-context=x>;tag=9",
        "Call-ID: 3848276298220188511@atlanta.example.com",
        "CSeq: 1 INVITE",
    ),
)
TOKENS: Final = (
    b"\r\n", b"\n", b"\r", b"\r\n ", b"\r\n\r\n", b" ", b"\t", b"\0", b'"', b'\\"', b"<", b">", b";", b";;", b",",
    b",,", b":", b"=", b"@", b"%", b"%00", b"%zz", b"?", b"/", b"*", b"[", b"]", b"[::1]", b"\xff",
    b"\xc3\xa9", b"-1", b"0",
    b"4294967296", b"99999999999999999999", b"SIP/2.0", b"SIP/7.0", b"sip:", b"tel:+1", b";tag=", b";branch=", b";lr",
    b";rport", b";maddr=255.255.255.255", b"z9hG4bK", b"Content-Length: 5\r\n", b"INVITE", b"a" * 300, b"(((((",
)  # fmt: skip
NAMES: Final = (
    "Via", "v", "From", "f", "To", "t", "Call-ID", "i", "CSeq", "Contact", "m", "Max-Forwards", "Content-Length", "l",
    "Content-Type", "c", "Expires", "Route", "Record-Route", "Require", "k", "Supported", "Subject", "X-Y",
    "Authorization",    "Proxy-Require", "Event", "Date", "Allow", "Replaces", "Refer-To", "Session-Expires",
)  # fmt: skip
VALUES: Final = (
    b"", b" ", b"0", b"-5", b"+5", b"4294967328", b"2147483648 INVITE", b"1 INVITE", b"*", b"<>", b"<sip:>", b'"a',
    b'"" <sip:h>',    b"<sip:a@h;x=%41?b=c>;d", b"sip:a@h?b=c", b"tel:1", b"urn:service:sos", b"SIP/2.0/UDP",
    b"SIP/2.0/UDP h;branch=z9hG4bK1;branch=2",    b"<sip:h;lr>,<sip:g>", b",", b";", b"a" * 9000, b";x" * 2000,
    b"<sip:h>," * 500, b"(" * 3000, b"\xe9\xff",
    b"100rel",    b'Digest a="b", c', b"Sat, 13 Nov 2010 23:29:00 EST", b"[::ffff:192.0.2.1]",
)  # fmt: skip
_COMPACT: Final = {
    b"via": b"v",
    b"from": b"f",
    b"to": b"t",
    b"call-id": b"i",
    b"contact": b"m",
    b"content-length": b"l",
}


def mutant(generator: random.Random) -> bytes:
    """A seed message with some mutations; two in fifteen have none."""
    return mutated(generator, generator.choice(SEEDS))


def mutated(generator: random.Random, message: bytes) -> bytes:
    """This message with some mutations, or none."""
    for _ in range(generator.choice((0, 0, 1, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 4, 6))):
        message = generator.choice(_MUTATIONS)(generator, message)
    return message[:65_535]


def _replace_token(generator: random.Random, message: bytes) -> bytes:
    at = generator.randint(0, len(message))
    return message[:at] + generator.choice(TOKENS) + message[at + generator.choice((0, 0, 1, 4)) :]


def _flip_bytes(generator: random.Random, message: bytes) -> bytes:
    raw = bytearray(message)
    for _ in range(generator.choice((1, 1, 2, 8))):
        if raw:
            raw[generator.randrange(len(raw))] ^= 1 << generator.randrange(8)
    return bytes(raw)


def _cut(generator: random.Random, message: bytes) -> bytes:
    at = generator.randint(0, len(message))
    if generator.random() < 0.3:
        return message[:at]
    return message[:at] + message[at + generator.choice((1, 2, 8, 40)) :]


def _repeat(generator: random.Random, message: bytes) -> bytes:
    at = generator.randint(0, len(message))
    piece = message[at : at + generator.choice((1, 3, 20))]
    return message[:at] + piece * generator.choice((2, 3, 500)) + message[at:]


def _join(generator: random.Random, message: bytes) -> bytes:
    return message + generator.choice(SEEDS)


def _on_lines(change: Callable[[random.Random, list[bytes], int], None]) -> Callable[[random.Random, bytes], bytes]:
    def mutate(generator: random.Random, message: bytes) -> bytes:
        head, blank, body = message.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        if len(lines) < 3:
            return message
        change(generator, lines, generator.randrange(1, len(lines)))
        return b"\r\n".join(lines) + blank + body

    return mutate


def _double(generator: random.Random, lines: list[bytes], at: int) -> None:
    lines.insert(generator.randint(1, len(lines)), lines[at])


def _drop(generator: random.Random, lines: list[bytes], at: int) -> None:
    del lines[at]


def _move(generator: random.Random, lines: list[bytes], at: int) -> None:
    line = lines.pop(at)
    lines.insert(generator.randint(1, len(lines)), line)


def _respell(generator: random.Random, lines: list[bytes], at: int) -> None:
    name, colon, value = lines[at].partition(b":")
    name = generator.choice((name.upper(), name.lower(), _COMPACT.get(name.lower(), name)))
    lines[at] = name + generator.choice((b"", b" ", b" \t")) + colon + generator.choice((b"", b"  ", b"\r\n ")) + value


def _fold(generator: random.Random, lines: list[bytes], at: int) -> None:
    spaces = [index for index, byte in enumerate(lines[at]) if byte == 0x20]
    if spaces:
        index = generator.choice(spaces)
        lines[at] = lines[at][:index] + generator.choice((b"\r\n ", b" \r\n\t", b"\r\n \r\n ")) + lines[at][index + 1 :]


def _revalue(generator: random.Random, lines: list[bytes], at: int) -> None:
    name, _, _ = lines[at].partition(b":")
    lines[at] = name + b": " + generator.choice(VALUES)


def _append(generator: random.Random, lines: list[bytes], at: int) -> None:
    lines.insert(at, generator.choice(NAMES).encode() + b": " + generator.choice(VALUES))


def _crowd(generator: random.Random, lines: list[bytes], at: int) -> None:
    lines[at:at] = [generator.choice((b"X-%d: y" % generator.randrange(9), lines[at]))] * generator.choice((5, 80, 250))


_MUTATIONS: Final = (
    _replace_token, _replace_token, _flip_bytes, _cut, _repeat, _join, _on_lines(_double), _on_lines(_drop),
    _on_lines(_move), _on_lines(_move), _on_lines(_respell), _on_lines(_respell), _on_lines(_fold), _on_lines(_fold),
    _on_lines(_revalue), _on_lines(_append), _on_lines(_append), _on_lines(_crowd),
)  # fmt: skip


def fields(message: Message) -> tuple[object, ...]:
    """Every typed field. None of them may raise for a message out of the parser."""
    common = (
        message.call_id, message.cseq, message.from_, message.to, message.via, message.vias, message.contact,
        message.contacts, message.contact_is_star, message.routes, message.record_routes, message.max_forwards,
        message.expires, message.content_type, message.body,
    )  # fmt: skip
    if isinstance(message, Request):
        return (*common, message.method, message.uri)
    assert isinstance(message, Response)
    return (*common, message.status, message.reason)


def _headers(message: Message) -> list[tuple[str, str]]:
    return [item for item in message.headers.items() if item[0] != "Content-Length"]


def outcome(data: bytes) -> str:
    """What became of one mutant. Anything but ParseError goes through."""
    try:
        message = parse_message(data)
    except ParseError:
        return "refused"
    for name in NAMES:
        message.headers.get_all(name)
    written = message.to_bytes()
    again = parse_message(written, limits=WRITTEN)
    assert fields(again) == fields(message), "written and read again, it is another message"
    assert _headers(again) == _headers(message), "written and read again, it has other headers"
    assert StreamParser(WRITTEN).feed(written) == [written], "a stream frames it otherwise"
    return "valid"


def tried(count: int, seed: int) -> Counter[str]:
    """What became of `count` mutants. Raises: Finding."""
    return each_tried(count, seed, mutant, outcome, slowest_s=SLOWEST_S)


def run(count: int, seed: int) -> int:
    """Try `count` mutants; the exit status. Raises: Finding."""
    tally = tried(count, seed)
    print(f"{count} messages, seed {seed}: {told(tally)}")
    # A pause of the machine is one slow message; a quadratic reader makes many.
    return 1 if tally["slow"] > max(3, count // 1000) or tally["valid"] * 3 < count else 0


if __name__ == "__main__":
    sys.exit(command("fuzz.sip_mutations", __doc__, run))
