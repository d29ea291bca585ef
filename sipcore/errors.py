"""SipError
├─ ProtocolError(status_hint)      abstract; what to answer the peer with, if anything
│  ├─ LocalProtocolError           you asked for something SIP forbids now
│  └─ RemoteProtocolError          the peer sent it
│     └─ ParseError(offset)
├─ TransportError(flow)            nothing could be sent
└─ NegotiationError                no common codec or crypto: 488
   └─ SecurityError                not as secret as it has to be, or unusable keys: 488
"""

from __future__ import annotations

from sipcore.flow import Flow


class SipError(Exception):
    """Root of everything that `sipcore` raises."""


class ProtocolError(SipError):
    """Abstract: something that SIP forbids; `status_hint` is the response to give, if one is due."""

    def __init__(self, message: str, *, status_hint: int = 400) -> None:
        if type(self) is ProtocolError:
            raise TypeError("raise LocalProtocolError or RemoteProtocolError")
        super().__init__(message)
        self.status_hint = status_hint


class LocalProtocolError(ProtocolError):
    """The caller asked for something that SIP forbids in this state."""


class RemoteProtocolError(ProtocolError):
    """The peer sent something that SIP forbids."""


class ParseError(RemoteProtocolError):
    """Bytes that are not a SIP message or field; `offset` is where it was noticed."""

    def __init__(self, message: str, *, offset: int = 0, status_hint: int = 400) -> None:
        super().__init__(message, status_hint=status_hint)
        self.offset = offset


class TransportError(SipError):
    """Nothing could be sent on `flow`."""

    def __init__(self, message: str, *, flow: Flow | None = None) -> None:
        super().__init__(message)
        self.flow = flow


class NegotiationError(SipError):
    """Offer and capabilities have nothing in common; answered with 488."""


class SecurityError(NegotiationError):
    """The stream is not as secret as it has to be, or its keys cannot be used; answered with 488."""
