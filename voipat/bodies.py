"""The session description in a request's body: alone, or one part of several (RFC 5621, RFC 2046 §5.1).

A part that we do not know is left alone unless it says itself that it must be understood. RFC 3261 §20.11 would
assume that of every part that says nothing; but the parts that come beside SDP (a place, a picture, ISUP) do say
nothing, and a call without them is better than none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from sipcore.errors import ParseError
from sipcore.message import Request

ACCEPTED: Final = "application/sdp, multipart/mixed"
ENCODINGS: Final = "identity"
# RFC 3261 §21.4.13: a 415 lists what is acceptable.
ACCEPTABLE: Final = (("Accept", ACCEPTED), ("Accept-Encoding", ENCODINGS))
SDP_TYPE: Final = "application/sdp"
MAX_PARTS: Final = 16
# A body in a body in a body: nobody needs more, and each level is looked through once.
MAX_DEPTH: Final = 3

# The types that phones put a key into.
_DTMF_RELAY: Final = "application/dtmf-relay"
_DTMF: Final = "application/dtmf"

_BOUNDARY = re.compile(r';\s*boundary\s*=\s*(?:"([^"\r\n]{1,70})"|([^\s;"]{1,70}))', re.IGNORECASE)
_REQUIRED = re.compile(r";\s*handling\s*=\s*\"?required\b", re.IGNORECASE)
_OPTIONAL = re.compile(r";\s*handling\s*=\s*\"?optional\b", re.IGNORECASE)
_AS_IT_IS: Final = ("", "7bit", "8bit", "binary")


class UnsupportedBodyError(Exception):
    """The body holds what must be understood and is not: 415."""


def accepts(request: Request, content_type: str, *, otherwise: bool) -> bool:
    """Whether the sender takes such a body (RFC 3261 §20.1); `otherwise` when its Accept is there and empty."""
    if "Accept" not in request.headers:
        return True
    ranges = {value.partition(";")[0].strip().lower() for value in request.headers.get_all("Accept")} - {""}
    if not ranges:
        return otherwise
    return not ranges.isdisjoint((content_type, f"{content_type.partition('/')[0]}/*", "*/*"))


def session_description(request: Request) -> bytes:
    """The SDP of a request, b"" when it has none. Raises: UnsupportedBodyError, ParseError."""
    body = request.body
    if not body:
        return b""
    is_optional = _OPTIONAL.search(request.headers.get("Content-Disposition") or "") is not None
    if any(coding.lower() != ENCODINGS for coding in request.headers.get_all("Content-Encoding")):
        if is_optional:
            return b""
        raise UnsupportedBodyError("an encoding of the body")
    content_type = request.headers.get("Content-Type") or SDP_TYPE
    kind = _kind(content_type)
    if kind == SDP_TYPE:
        return body
    if kind.startswith("multipart/"):
        return _in_parts(body, content_type, 1) or b""
    if is_optional:
        return b""
    raise UnsupportedBodyError(kind)


def _in_parts(body: bytes, content_type: str, depth: int) -> bytes | None:
    """The first description among the parts; of alternatives the last, which is the best (RFC 2046 §5.1.4)."""
    found: list[bytes] = []
    for headers, content in _parts(body, content_type):
        kind = _kind(headers.get("content-type", "text/plain"))
        disposition = headers.get("content-disposition", "")
        is_plain = headers.get("content-transfer-encoding", "").lower() in _AS_IT_IS
        if kind.startswith("multipart/") and is_plain and depth < MAX_DEPTH:
            inner = _in_parts(content, headers["content-type"], depth + 1)
            found += [] if inner is None else [inner]
        elif kind == SDP_TYPE and is_plain and disposition.partition(";")[0].strip().lower() in ("", "session"):
            found.append(content)
        elif _REQUIRED.search(disposition):
            raise UnsupportedBodyError(kind)
    if not found:
        return None
    return found[-1] if _kind(content_type) == "multipart/alternative" else found[0]


def _parts(body: bytes, content_type: str) -> Iterator[tuple[dict[str, str], bytes]]:
    match = _BOUNDARY.search(content_type)
    if match is None:
        raise ParseError("a multipart body without boundary")
    delimiter = b"\r\n--" + (match[1] or match[2]).encode("utf-8", "surrogateescape")
    pieces = (b"\r\n" + body).split(delimiter, MAX_PARTS + 2)
    for number, piece in enumerate(pieces[1:]):
        if piece.startswith(b"--"):
            return
        padding, line_end, part = piece.partition(b"\r\n")
        if padding.strip(b" \t") or not line_end or number >= MAX_PARTS:
            raise ParseError("a multipart body that cannot be taken apart")
        yield _part(part)
    raise ParseError("a multipart body without its end")


def _part(part: bytes) -> tuple[dict[str, str], bytes]:
    """Its header fields by name in lower case, and what follows the empty line."""
    if part.startswith(b"\r\n"):
        return {}, part[2:]
    head, _, content = part.partition(b"\r\n\r\n")
    text = re.sub(r"\r\n[ \t]+", " ", head.decode("utf-8", "surrogateescape"))
    fields = (line.partition(":") for line in text.split("\r\n"))
    return {name.strip().lower(): value.strip() for name, _, value in fields}, content


def _kind(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def brings_digits(request: Request) -> bool:
    """Whether the body, or a part of it, is of the types that `info_digit` reads, whatever it says.

    A body that cannot be taken apart might be: somebody else may read it in another way.
    """
    content_type = request.headers.get("Content-Type") or ""
    return _brings_digits(content_type, request.body, 0)


def _brings_digits(content_type: str, body: bytes, depth: int) -> bool:
    kind = _kind(content_type)
    if kind in (_DTMF_RELAY, _DTMF):
        return True
    if not kind.startswith("multipart/"):
        return False
    if depth == MAX_DEPTH:
        return True
    try:
        inner = [(headers.get("content-type", ""), content) for headers, content in _parts(body, content_type)]
    except ParseError:
        return True
    return any(_brings_digits(each, content, depth + 1) for each, content in inner)


def info_digit(content_type: str, body: bytes) -> str:
    """The key of an INFO as phones have long sent it, "" when it has none: `Signal=5` in application/dtmf-relay, or the
    key alone in application/dtmf."""
    kind = _kind(content_type)
    text = body.decode("ascii", "replace")
    if kind == _DTMF:
        return text.strip()[:1]
    if kind != _DTMF_RELAY:
        return ""
    fields = (line.partition("=") for line in text.splitlines())
    value = next((value.strip() for name, _, value in fields if name.strip().lower() == "signal"), "")
    # Some phones write star and pound by their event codes.
    value = {"10": "*", "11": "#"}.get(value, value)
    return value if len(value) == 1 else ""
