"""Bytes to messages: RFC 3261 §7 and §25, and the validity that every element checks (§8.2, §18.3).

What makes a message invalid:
- a CR that is not before LF, a header line without a name, no empty line;
- no Via, From, To, Call-ID or CSeq; two of a header that has one value; a CSeq method that is not the request's;
- a broken Via, From, To, CSeq, Contact, Route, Record-Route, Max-Forwards, Content-Length or Request-URI;
- a body shorter than its Content-Length (longer: the rest is ignored); anything over `sipcore.limits`.
Other headers are never looked at here. After `parse_message` no typed field of the message raises.
"""

from __future__ import annotations

from sipcore._siptext import call_id_written, read_message
from sipcore.errors import ParseError
from sipcore.limits import DEFAULT_LIMITS, Limits
from sipcore.message import Message, Request, Response

__all__ = ["InvalidMessage", "answerable", "call_id_written", "parse_message", "read_message"]


class InvalidMessage(ParseError):
    """Not a valid message; `message` is the request when a response to it can be made (§8.2.6.2), else None."""

    def __init__(self, message: str, *, request: Request | None, offset: int = 0, status_hint: int = 400) -> None:
        super().__init__(message, offset=offset, status_hint=status_hint)
        self.message = request


def parse_message(data: bytes, *, limits: Limits = DEFAULT_LIMITS) -> Request | Response:
    """One whole message; bytes after the body are ignored (§18.3). Raises InvalidMessage, which is a ParseError."""
    message, error = read_message(data, limits)
    if error is not None:
        raise InvalidMessage(
            str(error), request=answerable(message), offset=error.offset, status_hint=error.status_hint
        ) from error
    assert isinstance(message, (Request, Response))
    return message


def answerable(message: Message | None) -> Request | None:
    """Of a message that could not be read whole the request, when the sender can know the response by its Via.

    The fields of a response go back as they came, broken or not (RFC 4475 §3.1.2.1, §3.1.2.6, §3.3.1).
    """
    if not isinstance(message, Request) or message.method == "ACK" or "Via" not in message.headers:
        return None
    return message
