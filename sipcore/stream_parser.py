"""Messages out of a byte stream (RFC 3261 §18.3, RFC 5626 §3.5.1): framing by Content-Length, keep-alives between.

One broken frame is the end of the stream: nobody can tell where the next message begins, and guessing would let a
request hide in the body of another.
"""

from __future__ import annotations

from enum import Enum

from sipcore._siptext import framed_length
from sipcore.errors import ParseError
from sipcore.limits import DEFAULT_LIMITS, Limits


class KeepAlive(Enum):
    """White space between messages."""

    PING = "ping"  # CRLFCRLF: answer with CRLF
    PONG = "pong"  # CRLF


class StreamParser:
    """Feed what arrives; whole messages come out. After an error every `feed` raises it."""

    __slots__ = ("_buffer", "_error", "_limits", "_needed", "_scanned")

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._buffer = bytearray()
        self._scanned = 0
        self._needed = 0  # bytes of the message whose header is complete; 0 before
        self._error: ParseError | None = None

    @property
    def pending(self) -> int:
        """Bytes of an incomplete message."""
        return len(self._buffer)

    @property
    def error(self) -> ParseError | None:
        """Why nothing more will come; told as soon as it is known, while `feed` raises it at its next call."""
        return self._error

    @property
    def broken_head(self) -> bytes:
        """After an error: the header that broke the framing, for a last answer."""
        self._scanned = 0
        return bytes(self._buffer[: max(0, self._header_end())])

    def feed(self, data: bytes) -> list[bytes | KeepAlive]:
        """The messages now complete; those before an error are given first, however the stream was cut.

        Raises: ParseError.
        """
        if self._error is not None:
            raise self._error
        self._buffer += data
        out: list[bytes | KeepAlive] = []
        try:
            while (item := self._next()) is not None:
                out.append(item)
        except ParseError as error:
            self._error = error
            if not out:
                raise
        return out

    def _next(self) -> bytes | KeepAlive | None:
        if not self._needed:
            keep_alive = self._keep_alive()
            if keep_alive is not None or not self._frame():
                return keep_alive
        if len(self._buffer) < self._needed:
            return None
        message = bytes(self._buffer[: self._needed])
        del self._buffer[: self._needed]
        self._needed = self._scanned = 0
        return message

    def _keep_alive(self) -> KeepAlive | None:
        if not self._buffer.startswith(b"\r\n"):
            return None
        if self._buffer.startswith(b"\r\n\r\n"):
            del self._buffer[:4]
            return KeepAlive.PING
        # A single CRLF is known when something else follows it.
        if len(self._buffer) > 3 or (len(self._buffer) == 3 and self._buffer[2] != 0x0D):
            del self._buffer[:2]
            return KeepAlive.PONG
        return None

    def _frame(self) -> bool:
        """Finds the header's end and from it the message's length."""
        if b"\r\n\r".startswith(self._buffer[:4]):
            return False  # nothing yet, or a keep-alive that is not complete
        end = self._header_end()
        if end < 0:
            self._scanned = len(self._buffer)
            if self._scanned > self._limits.max_message:
                raise ParseError("header larger than a message may be", status_hint=513)
            return False
        self._needed = end + framed_length(bytes(self._buffer[:end]))
        if self._needed > self._limits.max_message:
            raise ParseError("message too large", status_hint=513)
        return True

    def _header_end(self) -> int:
        """Where the body begins, after an empty line that ends as the parser's lines do: LF, CR before it or not."""
        buffer, start = self._buffer, max(0, self._scanned - 2)
        crlf = buffer.find(b"\n\r\n", start)
        bare = buffer.find(b"\n\n", start, crlf + 1 if crlf >= 0 else len(buffer))
        if bare >= 0:
            return bare + 2
        return crlf + 3 if crlf >= 0 else -1
