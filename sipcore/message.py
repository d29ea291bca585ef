"""Requests and responses (RFC 3261 §7). Typed fields are parsed on first use and kept until a header changes.

The classes are native (`ext/siptext`): lines that nobody changed are sent on as the bytes they came as.
"""

from __future__ import annotations

from collections.abc import Iterable

from sipcore._siptext import Message, Request, Response
from sipcore.errors import ParseError
from sipcore.names import REASONS

__all__ = ["REASONS", "Message", "Request", "Response", "response_to"]


def response_to(
    request: Request,
    status: int,
    reason: str | None = None,
    *,
    to_tag: str | None = None,
    headers: Iterable[tuple[str, str]] = (),
    body: bytes = b"",
) -> Response:
    """A response with Via, From, To, Call-ID and CSeq of the request (RFC 3261 §8.2.6.2).

    `to_tag` is added when the To field has none. A To that cannot be read, or whose tag has no value, is sent
    back as it came.
    """
    tag = to_tag if to_tag is not None and _lacks_tag(request) else None
    response = Response(status, reason, request.headers.for_response(tag), body)
    for name, value in headers:
        response.headers.add(name, value)
    return response


def _lacks_tag(request: Request) -> bool:
    try:
        return "tag" not in request.to.params
    except ParseError:
        return False
