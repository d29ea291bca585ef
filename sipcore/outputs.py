"""What a verb of `Endpoint` causes. Events (`sipcore.events`) are the fourth kind of output."""

from __future__ import annotations

from sipcore.events import Event
from sipcore.flow import Flow
from sipcore.values import value_object


@value_object(frozen=True, slots=True)
class Datagram:
    """One whole SIP message as it came; stream transports are framed before (`stream_parser`)."""

    data: bytes
    flow: Flow


@value_object(frozen=True, slots=True)
class Transmit:
    """Send these bytes on this flow; a stream flow that does not exist yet is opened by the driver."""

    data: bytes
    flow: Flow


@value_object(frozen=True, slots=True)
class Close:
    """Close this stream connection (bad framing, limits)."""

    flow: Flow
    reason: str


@value_object(frozen=True, slots=True)
class Resolve:
    """Ask DNS for `host` (RFC 3263); the answer comes back through `Endpoint.resolved(query, …)`."""

    query: int
    host: str
    port: int | None
    transport: str | None


Output = Transmit | Close | Resolve | Event
