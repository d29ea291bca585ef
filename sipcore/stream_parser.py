"""Messages out of a byte stream (RFC 3261 §18.3, RFC 5626 §3.5.1): framing by Content-Length, keep-alives between."""

from __future__ import annotations

from enum import Enum

from sipcore.errors import ParseError
from sipcore.limits import DEFAULT_LIMITS, Limits

COMPACT_LENGTH = (b"content-length", b"l")


class KeepAlive(Enum):
    PING = "ping"  # CRLFCRLF: answer with CRLF
    PONG = "pong"  # CRLF


class StreamParser:
    """Feed what arrives; whole messages come out. A framing error is final: the connection is closed."""

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._buffer = bytearray()
        self._scanned = 0
        self._needed: int | None = None
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
        return bytes(self._buffer[: self._buffer.find(b"\r\n\r\n") + 4])

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
        if self._needed is None:
            keep_alive = self._keep_alive()
            if keep_alive is not None:
                return keep_alive
            if not self._frame():
                return None
        assert self._needed is not None
        if len(self._buffer) < self._needed:
            return None
        message = bytes(self._buffer[: self._needed])
        del self._buffer[: self._needed]
        self._needed = None
        self._scanned = 0
        return message

    def _keep_alive(self) -> KeepAlive | None:
        if self._buffer.startswith(b"\r\n\r\n"):
            del self._buffer[:4]
            return KeepAlive.PING
        if self._buffer.startswith(b"\r\n") and len(self._buffer) > 2 and self._buffer[2] != 0x0D:
            del self._buffer[:2]
            return KeepAlive.PONG
        return None

    def _frame(self) -> bool:
        """Finds the header's end and from it the message's length."""
        if not self._buffer or self._buffer[0] == 0x0D:
            return False
        end = self._buffer.find(b"\r\n\r\n", max(0, self._scanned - 3))
        if end < 0:
            self._scanned = len(self._buffer)
            if self._scanned > self._limits.max_message:
                raise ParseError("header larger than a message may be", status_hint=513)
            return False
        self._needed = end + 4 + self._content_length(bytes(self._buffer[:end]))
        if self._needed > self._limits.max_message:
            raise ParseError("message too large", status_hint=513)
        return True

    def _content_length(self, head: bytes) -> int:
        """RFC 3261 §18.3: over a stream it MUST be there; two that disagree are an attack (request smuggling)."""
        lengths = set()
        for line in head.split(b"\r\n")[1:]:
            name, colon, value = line.partition(b":")
            if colon and name.strip().lower() in COMPACT_LENGTH:
                text = value.strip()
                if not text.isdigit() or len(text) > 9:
                    raise ParseError("bad Content-Length")
                lengths.add(int(text))
        if len(lengths) != 1:
            raise ParseError("no Content-Length" if not lengths else "Content-Lengths that disagree")
        return lengths.pop()
