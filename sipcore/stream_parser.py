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

    @property
    def pending(self) -> int:
        """Bytes of an incomplete message."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[bytes | KeepAlive]:
        """Raises ParseError."""
        self._buffer += data
        out: list[bytes | KeepAlive] = []
        while True:
            item = self._next()
            if item is None:
                return out
            out.append(item)

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
        if self._buffer[:1] in (b"\r", b""):
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
