"""Where a SIP message came from and where one can go: the transport association of RFC 5626 §3."""

from __future__ import annotations

from dataclasses import field
from typing import NamedTuple

from sipcore.values import made_in_c, value_object


@made_in_c
class Address(NamedTuple):
    """An IP literal and a port; never a host name. IPv6 without brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@value_object(frozen=True, slots=True)
class Flow:
    """One transport association.

    `transport` is "UDP", "TCP", "TLS", "WS" or "WSS". `connection` is the driver's number of a stream
    connection; 0 for UDP, and for a stream means "the connection to this remote, opened when there is none".
    """

    transport: str
    local: Address
    remote: Address
    connection: int = 0

    @property
    def reliable(self) -> bool:
        return self.transport != "UDP"


@value_object(frozen=True, slots=True)
class TlsFlow(Flow):
    """A flow whose ends prove who they are; connections of different identities are never taken for each other.

    `domain` is whom the other side's certificate must name when the connection is ours to open (RFC 5922 §4); without
    one it is not opened. `names` are the names in the certificate that a client of a mutual TLS listener has proved.
    """

    domain: str = ""
    names: tuple[str, ...] = field(default=(), compare=False)
