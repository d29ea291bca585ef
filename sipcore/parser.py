"""Bytes to messages: RFC 3261 §7 and §25, and the validity that every element checks (§8.2, §18.3)."""

from __future__ import annotations

from sipcore.errors import ParseError
from sipcore.headers import Headers, canonical
from sipcore.limits import DEFAULT_LIMITS, Limits
from sipcore.message import Message, Request, Response

MANDATORY = ("Via", "From", "To", "Call-ID", "CSeq")
SINGLE = frozenset(("From", "To", "Call-ID", "CSeq", "Max-Forwards", "Content-Length", "Content-Type", "Expires"))
TOKEN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.!%*_+`'~")


class InvalidMessage(ParseError):
    """A request that can be answered with 400: `message` has what a response needs."""

    def __init__(self, message: str, *, request: Message | None, offset: int = 0, status_hint: int = 400) -> None:
        super().__init__(message, offset=offset, status_hint=status_hint)
        self.message = request


def parse_message(data: bytes, *, limits: Limits = DEFAULT_LIMITS) -> Request | Response:
    """One whole message; bytes after the body are ignored (RFC 3261 §18.3). Raises ParseError."""
    if len(data) > limits.max_message:
        raise ParseError("message too large", status_hint=513)
    end = data.find(b"\r\n\r\n")
    skip = 4
    if end < 0:
        end = data.find(b"\n\n")
        skip = 2
        if end < 0:
            raise ParseError("no empty line after the headers", offset=len(data))
    head = data[:end].decode("utf-8", "surrogateescape").lstrip("\r\n")
    lines = _unfold(head.replace("\r\n", "\n").split("\n"), limits)
    message = _start_line(lines[0])
    message.headers = _headers(lines[1:])
    message._version = message.headers.version
    try:
        _validate(message, limits)
        message.body = _body(message, data[end + skip :])
    except ParseError as error:
        raise InvalidMessage(str(error), request=_answerable(message), status_hint=error.status_hint) from error
    return message


def _unfold(lines: list[str], limits: Limits) -> list[str]:
    """Continuation lines joined to their header (RFC 3261 §7.3.1)."""
    if len(lines) > 4 * limits.max_headers:
        raise ParseError("too many header lines")
    out: list[list[str]] = []
    for line in lines:
        if line[:1] in (" ", "\t") and len(out) > 1:
            out[-1].append(line.strip(" \t"))
        else:
            out.append([line])
    if len(out) > limits.max_headers + 1:
        raise ParseError("too many headers")
    joined = [parts[0] if len(parts) == 1 else " ".join(parts) for parts in out]
    if any(len(line) > limits.max_header_line for line in joined[1:]):
        raise ParseError("header line too long")
    return joined


def _start_line(line: str) -> Request | Response:
    if line[:8].upper() == "SIP/2.0 ":
        status, _, reason = line[8:].partition(" ")
        if len(status) != 3 or not (status.isascii() and status.isdigit()) or not 100 <= int(status) <= 699:
            raise ParseError("bad status code")
        return Response(int(status), reason)
    words = line.split(" ")
    if len(words) != 3 or not words[0] or not TOKEN.issuperset(words[0]) or not words[1]:
        raise ParseError("bad start line")
    if words[2].upper() != "SIP/2.0":
        if words[2][:4].upper() == "SIP/":
            raise ParseError("unknown SIP version", status_hint=505)
        raise ParseError("not SIP")
    return Request(words[0], words[1])


def _headers(lines: list[str]) -> Headers:
    found: list[tuple[str, str]] = []
    for line in lines:
        name, colon, value = line.partition(":")
        name = name.rstrip(" \t")
        if not colon or not name or not TOKEN.issuperset(name):
            raise ParseError("header line without a name")
        found.append((canonical(name), value.strip(" \t\r")))
    return Headers.of(found)


def _validate(message: Request | Response, limits: Limits) -> None:
    headers = message.headers
    for name in MANDATORY:
        if name not in headers:
            raise ParseError(f"no {name} header")
    seen: set[str] = set()
    for name, _ in headers.items():
        if name in SINGLE:
            if name in seen:
                raise ParseError(f"two {name} headers")
            seen.add(name)
    if len(headers.get_all("Via")) > limits.max_vias:
        raise ParseError("too many Via headers")
    cseq = message.cseq
    if cseq.number >= 1 << 31:
        raise ParseError("CSeq number over 2**31 - 1")
    _ = message.via, message.from_, message.to
    if not message.call_id:
        raise ParseError("empty Call-ID")
    if isinstance(message, Request):
        _validate_request(message, limits)


def _validate_request(request: Request, limits: Limits) -> None:
    if request.cseq.method != request.method:
        raise ParseError("CSeq method is not the request's")
    if len(request.uri_text) > limits.max_uri:
        raise ParseError("Request-URI too long", status_hint=414)
    if request.uri_text.startswith("<"):
        raise ParseError("Request-URI in angle brackets")
    _ = request.uri, request.max_forwards


def _body(message: Message, rest: bytes) -> bytes:
    length = message.headers.get("Content-Length")
    if length is None:
        return rest
    text = length.strip()
    if not (text.isascii() and text.isdigit()) or len(text) > 9:
        raise ParseError("bad Content-Length")
    if int(text) > len(rest):
        raise ParseError("body shorter than Content-Length")
    return rest[: int(text)]


def _answerable(message: Message) -> Message | None:
    """The request, when what a response copies from it is readable."""
    if not isinstance(message, Request) or message.method == "ACK":
        return None
    if not all(name in message.headers for name in MANDATORY):
        return None
    try:
        _ = message.via, message.to, message.from_
    except ParseError:
        return None
    return message
