"""Requests and responses (RFC 3261 §7). Typed fields are parsed on first use and kept until a header changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from sipcore.errors import ParseError
from sipcore.fields import CSeq, NameAddr, Via
from sipcore.headers import Headers
from sipcore.uri import Uri

T = TypeVar("T")

REASONS = {
    100: "Trying", 180: "Ringing", 181: "Call Is Being Forwarded", 182: "Queued", 183: "Session Progress",
    199: "Early Dialog Terminated", 200: "OK", 202: "Accepted", 204: "No Notification", 300: "Multiple Choices",
    301: "Moved Permanently", 302: "Moved Temporarily", 305: "Use Proxy", 380: "Alternative Service",
    400: "Bad Request", 401: "Unauthorized", 402: "Payment Required", 403: "Forbidden", 404: "Not Found",
    405: "Method Not Allowed", 406: "Not Acceptable", 407: "Proxy Authentication Required", 408: "Request Timeout",
    410: "Gone", 412: "Conditional Request Failed", 413: "Request Entity Too Large", 414: "Request-URI Too Long",
    415: "Unsupported Media Type", 416: "Unsupported URI Scheme", 420: "Bad Extension", 421: "Extension Required",
    422: "Session Interval Too Small", 423: "Interval Too Brief", 428: "Use Identity Header",
    429: "Provide Referrer Identity", 430: "Flow Failed", 433: "Anonymity Disallowed", 436: "Bad Identity Info",
    438: "Invalid Identity Header", 439: "First Hop Lacks Outbound Support", 440: "Max-Breadth Exceeded",
    469: "Bad Info Package", 480: "Temporarily Unavailable", 481: "Call/Transaction Does Not Exist",
    482: "Loop Detected", 483: "Too Many Hops", 484: "Address Incomplete", 485: "Ambiguous", 486: "Busy Here",
    487: "Request Terminated", 488: "Not Acceptable Here", 489: "Bad Event", 491: "Request Pending",
    493: "Undecipherable", 494: "Security Agreement Required", 500: "Server Internal Error", 501: "Not Implemented",
    502: "Bad Gateway", 503: "Service Unavailable", 504: "Server Time-out", 505: "Version Not Supported",
    513: "Message Too Large", 580: "Precondition Failure", 600: "Busy Everywhere", 603: "Decline",
    604: "Does Not Exist Anywhere", 606: "Not Acceptable",
}  # fmt: skip


class Message:
    """What requests and responses share. A missing or broken field raises ParseError where it is asked for."""

    __slots__ = ("_fields", "_version", "body", "headers")

    def __init__(self, headers: Headers | Iterable[tuple[str, str]] = (), body: bytes = b"") -> None:
        self.headers = headers if isinstance(headers, Headers) else Headers(headers)
        self.body = body
        self._fields: dict[str, Any] = {}
        self._version = self.headers.version

    def _field(self, name: str, parse: Callable[[], T]) -> T:
        if self._version != self.headers.version:
            self._fields = {}
            self._version = self.headers.version
        try:
            value: T = self._fields[name]
        except KeyError:
            value = self._fields[name] = parse()
        return value

    def _required(self, name: str) -> str:
        value = self.headers.get(name)
        if value is None:
            raise ParseError(f"no {name} header")
        return value

    @property
    def call_id(self) -> str:
        return self._required("Call-ID")

    @property
    def cseq(self) -> CSeq:
        return self._field("CSeq", lambda: CSeq.parse(self._required("CSeq")))

    @property
    def from_(self) -> NameAddr:
        return self._field("From", lambda: NameAddr.parse(self._required("From")))

    @property
    def to(self) -> NameAddr:
        return self._field("To", lambda: NameAddr.parse(self._required("To")))

    @property
    def via(self) -> Via:
        """The topmost."""
        return self._field("Via", self._top_via)

    def _top_via(self) -> Via:
        values = self.headers.get_all("Via")
        if not values:
            raise ParseError("no Via header")
        return Via.parse(values[0])

    @property
    def vias(self) -> list[Via]:
        return self._field("Vias", lambda: [Via.parse(value) for value in self.headers.get_all("Via")])

    @property
    def contact_is_star(self) -> bool:
        return any(value == "*" for value in self.headers.get_all("Contact"))

    @property
    def contacts(self) -> list[NameAddr]:
        return self._addresses("Contact")

    @property
    def contact(self) -> NameAddr | None:
        contacts = self.contacts
        return contacts[0] if contacts else None

    @property
    def routes(self) -> list[NameAddr]:
        return self._addresses("Route")

    @property
    def record_routes(self) -> list[NameAddr]:
        return self._addresses("Record-Route")

    def _addresses(self, name: str) -> list[NameAddr]:
        return self._field(
            name, lambda: [NameAddr.parse(value) for value in self.headers.get_all(name) if value != "*"]
        )

    @property
    def max_forwards(self) -> int | None:
        return self._number("Max-Forwards", 255)

    @property
    def expires(self) -> int | None:
        return self._number("Expires", 2**32 - 1)

    def _number(self, name: str, highest: int) -> int | None:
        value = self.headers.get(name)
        if value is None:
            return None
        text = value.strip()
        if not (text.isascii() and text.isdigit()) or len(text) > 12 or int(text) > highest:
            raise ParseError(f"bad {name}")
        return int(text)

    @property
    def content_type(self) -> str | None:
        """Type and subtype in lower case, without parameters."""
        value = self.headers.get("Content-Type")
        return None if value is None else value.partition(";")[0].strip().lower()

    def _start_line(self) -> str:
        raise AssertionError("a message is a Request or a Response")

    def to_bytes(self) -> bytes:
        """The message with its Content-Length computed."""
        lines = [self._start_line()]
        lines += [f"{name}: {value}" for name, value in self.headers.items() if name != "Content-Length"]
        lines.append(f"Content-Length: {len(self.body)}\r\n\r\n")
        return "\r\n".join(lines).encode("utf-8", "surrogateescape") + self.body


class Request(Message):
    __slots__ = ("_uri", "method", "uri_text")

    def __init__(
        self, method: str, uri: Uri | str, headers: Headers | Iterable[tuple[str, str]] = (), body: bytes = b""
    ) -> None:
        super().__init__(headers, body)
        self.method = method
        self._uri = uri if isinstance(uri, Uri) else None
        self.uri_text = str(uri)

    @property
    def uri(self) -> Uri:
        """The Request-URI. Raises ParseError."""
        if self._uri is None:
            self._uri = Uri.parse(self.uri_text)
        return self._uri

    @uri.setter
    def uri(self, value: Uri) -> None:
        self._uri = value
        self.uri_text = str(value)

    def copy(self) -> Request:
        return Request(self.method, self._uri or self.uri_text, self.headers.copy(), self.body)

    def _start_line(self) -> str:
        return f"{self.method} {self.uri_text} SIP/2.0"

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.uri_text}>"


class Response(Message):
    __slots__ = ("reason", "status")

    def __init__(
        self,
        status: int,
        reason: str | None = None,
        headers: Headers | Iterable[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> None:
        super().__init__(headers, body)
        self.status = status
        self.reason = REASONS.get(status, "") if reason is None else reason

    def copy(self) -> Response:
        return Response(self.status, self.reason, self.headers.copy(), self.body)

    def _start_line(self) -> str:
        return f"SIP/2.0 {self.status} {self.reason}"

    def __repr__(self) -> str:
        return f"<Response {self.status} {self.reason}>"


def response_to(
    request: Request,
    status: int,
    reason: str | None = None,
    *,
    to_tag: str | None = None,
    headers: Iterable[tuple[str, str]] = (),
    body: bytes = b"",
) -> Response:
    """A response with Via, From, To, Call-ID and CSeq of the request (RFC 3261 §8.2.6.2); `to_tag` when it has none."""
    source = request.headers
    lines = [("Via", value) for value in source.lines("Via")]
    to = source.get("To") or ""
    if to_tag is not None and request.to.tag is None:
        to = f"{to};tag={to_tag}"
    lines += [
        ("From", source.get("From") or ""),
        ("To", to),
        ("Call-ID", source.get("Call-ID") or ""),
        ("CSeq", source.get("CSeq") or ""),
    ]
    response = Response(status, reason, Headers.of(lines), body)
    for name, value in headers:
        response.headers.add(name, value)
    return response
