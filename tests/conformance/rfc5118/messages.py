"""The 12 messages of RFC 5118: the reaction to each, and the sentence of the RFC that asks for it.

The words are those of the table of RFC 4475 (`tests.conformance.rfc4475.messages`). No message is another case on a
stream.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from tests.conformance.rfc4475.messages import Case

VECTORS: Final = Path(__file__).resolve().parents[2] / "vectors" / "rfc5118"

WELL_FORMED: Final = "The request below is well-formatted according to the grammar in [RFC3261]."
_LENGTH: Final = re.compile(rb"(?m)^Content-Length: \d+")


def archived(name: str) -> bytes:
    """The file of the RFC's archive: LF for CRLF, and lengths that lie."""
    return (VECTORS / f"{name}.dat").read_bytes()


def with_crlf(name: str) -> bytes:
    """The archive's file with the line ends of SIP, and the empty line where it lacks; the length as it is."""
    data = archived(name).replace(b"\n", b"\r\n")
    return data if b"\r\n\r\n" in data else data + b"\r\n"


def wire(name: str) -> bytes:
    """The message that the RFC means: with the length that its body has."""
    data = with_crlf(name)
    body = data.partition(b"\r\n\r\n")[2]
    return _LENGTH.sub(b"Content-Length: %d" % len(body), data, count=1)


MESSAGES: Final[dict[str, Case]] = {
    "ipv6-good": Case("4.1", "request REGISTER", (401,), WELL_FORMED),
    "ipv6-bad": Case(
        "4.2",
        "400",
        (400,),
        "A SIP implementation receiving this request should respond with a 400 Bad Request error.",
    ),
    "port-ambiguous": Case(
        "4.3", "request REGISTER", (401,), "From a parsing perspective, the request below is well-formed."
    ),
    "port-unambiguous": Case(
        "4.4",
        "request REGISTER",
        (401,),
        "This REGISTER request is well formatted per the grammar in [RFC3261].",
    ),
    # A BYE for a dialog that nobody here knows: RFC 3261 §15.1.2.
    "via-received-param-with-delim": Case(
        "4.5",
        "481",
        (481,),
        "A SIP implementation receiving either of these messages must parse them successfully.",
    ),
    "via-received-param-no-delim": Case(
        "4.5",
        "request OPTIONS",
        (200,),
        "A SIP implementation receiving either of these messages must parse them successfully.",
    ),
    "ipv6-in-sdp": Case(
        "4.6",
        "request INVITE",
        (486,),
        "This request below is valid and well-formed according to the grammar in [RFC3261].",
    ),
    "mult-ip-in-header": Case(
        "4.7", "481", (481,), "The request below is valid and well-formed according to the grammar in [RFC3261]."
    ),
    "mult-ip-in-sdp": Case(
        "4.8",
        "request INVITE",
        (486,),
        "The request below is valid and well-formed according to the grammar in [RFC3261].",
    ),
    "ipv4-mapped-ipv6": Case(
        "4.9",
        "request INVITE",
        (486,),
        "A SIP implementation receiving a message that contains such a mapped address must be prepared to parse it "
        "successfully.",
    ),
    "ipv6-bug-abnf-3-colons": Case(
        "4.10",
        "request OPTIONS",
        (200,),
        "However, following the Robustness Principle [RFC1122], an implementation must tolerate both of the above "
        "constructs.",
    ),
    "ipv6-correct-abnf-2-colons": Case(
        "4.10",
        "request OPTIONS",
        (200,),
        "However, following the Robustness Principle [RFC1122], an implementation must tolerate both of the above "
        "constructs.",
    ),
}
