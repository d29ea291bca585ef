"""The 49 messages of RFC 4475: what each is for, the reaction to it, and the sentence of the RFC that asks for it.

A reaction is what the sender sees of it, in words:

- `request METHOD`: a new request for the transaction user; the final answer is the server's affair;
- a status: the answer of the stack itself;
- `dropped COUNTER`: no answer, counted;
- `incomplete`: a stream on which more is awaited; `… closed`: the connection ends.

`stack` is the reaction of `sipcore.Endpoint`; `server` are the final statuses of a server made of it, which registers
users of its domains, hands every call to one that is busy, and knows nobody's password. Both are for one datagram of
UDP; `on_stream` and `server_on_stream` are given where TCP makes it another case, as framing does.
Where the RFC leaves a choice we are tolerant of what it calls valid and strict with what it calls invalid.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

VECTORS: Final = Path(__file__).resolve().parents[2] / "vectors" / "rfc4475"

STRAY: Final = "dropped responses_stray"
MALFORMED: Final = "dropped messages_malformed"


@dataclass(frozen=True, slots=True)
class Case:
    """One message. `server` is () when no answer comes."""

    section: str
    stack: str
    server: tuple[int, ...]
    quote: str
    on_stream: str = ""
    server_on_stream: tuple[int, ...] | None = None

    @property
    def stack_over(self) -> dict[str, str]:
        return {"UDP": self.stack, "TCP": self.on_stream or self.stack}

    @property
    def server_over(self) -> dict[str, tuple[int, ...]]:
        over_tcp = self.server if self.server_on_stream is None else self.server_on_stream
        return {"UDP": self.server, "TCP": over_tcp}

    @property
    def closes_stream(self) -> bool:
        return self.on_stream.endswith("closed")


def vector(name: str) -> bytes:
    """The message as it goes over the wire."""
    return (VECTORS / f"{name}.dat").read_bytes()


MESSAGES: Final[dict[str, Case]] = {
    # 3.1.1 Valid messages
    # Its To has a tag of a dialog that nobody here knows: RFC 3261 §12.2.2.
    "wsinv": Case("3.1.1.1", "481", (481,), "All elements should treat this as a well-formed request."),
    "intmeth": Case(
        "3.1.1.2",
        "request !interesting-Method0123456789_*+`.%indeed'~",
        (501,),
        "Endpoints will generate a 501 listing the methods they understand in an Allow header field.",
    ),
    "esc01": Case("3.1.1.3", "request INVITE", (486,), "A parser must accept this as a well-formed message."),
    "escnull": Case(
        "3.1.1.4", "request REGISTER", (401,), "The message is well formed - parsers must accept this message."
    ),
    "esc02": Case(
        "3.1.1.5",
        "request RE%47IST%45R",
        (501,),
        "A parser should accept this message as well formed. […] An endpoint would reject this message with a 501.",
    ),
    "lwsdisp": Case("3.1.1.6", "request OPTIONS", (200,), "Elements should accept this request as well formed."),
    "longreq": Case(
        "3.1.1.7",
        "request INVITE",
        (486,),
        "This well-formed request contains header fields with many values and values that are very long.",
    ),
    "dblreq": Case(
        "3.1.1.8",
        "request REGISTER",
        (401,),
        "A SIP element receiving this datagram would handle the REGISTER request normally and ignore the extra bits "
        "that look like an INVITE request.",
        # A stream knows no datagrams: there the octets are the next request, whose Content-Length leaves five bytes
        # that begin no message. Whether its 486 comes before the connection closes is a matter of timing.
        on_stream="request REGISTER, request INVITE, closed",
        server_on_stream=(401,),
    ),
    "semiuri": Case(
        "3.1.1.9",
        "request OPTIONS",
        (200,),
        "Receiving elements will accept this as a well-formed message.",
    ),
    "transports": Case("3.1.1.10", "request OPTIONS", (200,), "Parsers must accept this message as well formed."),
    "mpart01": Case(
        "3.1.1.11",
        "request MESSAGE",
        (401,),
        "Parsers must accept this message as well formed, even if the application above the parser does not support "
        "multipart/signed.",
    ),
    "unreason": Case("3.1.1.12", STRAY, (), "This response is well formed.  A parser must accept this message."),
    "noreason": Case(
        "3.1.1.13",
        STRAY,
        (),
        "This well-formed response contains no reason phrase.  A parser must accept this message.",
    ),
    # 3.1.2 Invalid messages
    "badinv01": Case(
        "3.1.2.1", "400", (400,), "An element receiving this request should respond with a 400 Bad Request error."
    ),
    "clerr": Case(
        "3.1.2.2",
        "400",
        (400,),
        "When sent over UDP (as this message ostensibly was), the receiving element should respond with a 400 Bad "
        "Request error.  If this message arrived over a stream-based transport, such as TCP, there's not much the "
        "receiving party could do but wait for more data on the stream and close the connection if none is "
        "forthcoming within a reasonable period of time.",
        on_stream="incomplete",
        server_on_stream=(),
    ),
    "ncl": Case(
        "3.1.2.3",
        "400",
        (400,),
        "An element receiving this message should respond with an error. […] If a request like this arrives over "
        "TCP, the framing error is not recoverable, and the connection should be closed.",
        on_stream="400, closed",
    ),
    "scalar02": Case(
        "3.1.2.4",
        "400",
        (400,),
        "An element receiving this request should respond with a 400 Bad Request due to the CSeq error.",
    ),
    "scalarlg": Case("3.1.2.5", MALFORMED, (), "An element receiving this response will simply discard it."),
    "quotbal": Case(
        "3.1.2.6", "400", (400,), "An element receiving this request should return a 400 Bad Request error."
    ),
    "ltgtruri": Case(
        "3.1.2.7",
        "400",
        (400,),
        "It is reasonable always to reject a request with this error with a 400 Bad Request.",
    ),
    "lwsruri": Case(
        "3.1.2.8", "400", (400,), "An element receiving this request should respond with a 400 Bad Request."
    ),
    "lwsstart": Case("3.1.2.9", "400", (400,), "It is acceptable to reject this request as malformed."),
    "trws": Case("3.1.2.10", "400", (400,), "It is acceptable to reject this request as malformed."),
    "escruri": Case(
        "3.1.2.11",
        "400",
        (400,),
        "It is acceptable for an element to reject this request with a 400 Bad Request.",
    ),
    "baddate": Case(
        "3.1.2.12",
        "request INVITE",
        (486,),
        "It is acceptable to reject this request as malformed (though an element shouldn't do that unless the "
        "contents of the Date header field were actually important to its processing).",
    ),
    "regbadct": Case(
        "3.1.2.13",
        "400",
        (400,),
        "It is reasonable for an element receiving this request to respond with a 400 Bad Request.",
    ),
    "badaspec": Case(
        "3.1.2.14", "400", (400,), "It is reasonable to reject this request with a 400 Bad Request response."
    ),
    # The archive's file lacks the empty line at the end: over UDP another reason for 400, over TCP more is awaited.
    "baddn": Case(
        "3.1.2.15",
        "400",
        (400,),
        "It is reasonable always to reject this kind of error with a 400 Bad Request response.",
        on_stream="incomplete",
        server_on_stream=(),
    ),
    "badvers": Case(
        "3.1.2.16",
        "505",
        (505,),
        "The element should respond to the request with a 505 Version Not Supported error.",
    ),
    "mismatch01": Case(
        "3.1.2.17", "400", (400,), "Any element receiving this request will respond with a 400 Bad Request."
    ),
    "mismatch02": Case(
        "3.1.2.18",
        "501",
        (501,),
        "Any element receiving this response should respond with a 501 Not Implemented.",
    ),
    "bigcode": Case("3.1.2.19", MALFORMED, (), "An element receiving this response should simply drop it."),
    # 3.2 Transaction layer
    "badbranch": Case(
        "3.2.1",
        "request OPTIONS",
        (200,),
        "An element receiving this request could reject the request with a 400 Response […], or it could fall back "
        "to the RFC 2543-style transaction identifier.",
    ),
    # 3.3 Application layer
    "insuf": Case("3.3.1", "400", (400,), "Ideally, it will respond with a 400 Bad Request error."),
    "unkscm": Case(
        "3.3.2",
        "416",
        (416,),
        "An element receiving this request will reject it with a 416 Unsupported URI Scheme response.",
    ),
    "novelsc": Case(
        "3.3.3",
        "416",
        (416,),
        "If an element will never accept this scheme as meaningful in a Request-URI, it is appropriate to treat it "
        "as unknown and return a 416 Unsupported URI Scheme response.",
    ),
    "unksm2": Case(
        "3.3.4",
        "request REGISTER",
        (400,),
        "A registrar would reject this request with a 400 Bad Request response, since the To: header field is "
        "required to contain a SIP or SIPS URI as an AOR.",
    ),
    "bext01": Case(
        "3.3.5",
        "420",
        (420,),
        "Any element receiving this request will respond with a 420 Bad Extension response, containing an "
        "Unsupported header field listing these features.",
    ),
    "invut": Case(
        "3.3.6",
        "request INVITE",
        (415,),
        "An endpoint receiving this request would reject it with a 415 Unsupported Media Type error.",
    ),
    "regaut01": Case(
        "3.3.7",
        "request REGISTER",
        (401,),
        "A registrar that does care about challenge-response authentication will reject this request with a 401, "
        "issuing a new challenge with a scheme it understands.",
    ),
    "multi01": Case(
        "3.3.8", "400", (400,), "An element receiving this request would respond with a 400 Bad Request error."
    ),
    "mcl01": Case(
        "3.3.9",
        "400",
        (400,),
        "An element receiving this message should respond with an error. […] If a request like this arrives over "
        "TCP, the framing error is not recoverable, and the connection should be closed.",
        on_stream="400, closed",
    ),
    "bcast": Case("3.3.10", STRAY, (), "Per [RFC3261], an endpoint receiving this message should simply discard it."),
    "zeromf": Case(
        "3.3.11",
        "request OPTIONS",
        (200,),
        "An endpoint should process the request as if the Max-Forwards field value were still positive.",
    ),
    # 401, because this server knows nobody's password; with credentials they succeed: test_registrations.
    "cparam01": Case("3.3.12", "request REGISTER", (401,), "This REGISTER should succeed."),
    "cparam02": Case("3.3.13", "request REGISTER", (401,), "The register should succeed."),
    "regescrt": Case("3.3.14", "request REGISTER", (401,), "The register should succeed."),
    "sdp01": Case(
        "3.3.15",
        "request INVITE",
        (406,),
        "The recipient of this request could respond with a 406 Not Acceptable, with a Warning/399 indicating that a "
        "response cannot be formulated in the formats offered in the Accept header field.",
    ),
    # 3.4 Backward compatibility
    "inv2543": Case(
        "3.4.1",
        "request INVITE",
        (486,),
        "This is a legal message per RFC 2543 (and several bis versions) that should be accepted by RFC 3261 "
        "elements that want to maintain backwards compatibility.",
        # RFC 3261 §20.14: over a stream "the header field MUST be used".
        on_stream="400, closed",
        server_on_stream=(400,),
    ),
}
