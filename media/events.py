"""What the engine reports; none of it is per packet."""

from __future__ import annotations

from dataclasses import dataclass

from media.port import Port


@dataclass(frozen=True, slots=True)
class MediaTimeout:
    """Nothing has come to a port that is relayed or echoed for the time of `media_timeout`; once per silence."""

    port: Port


@dataclass(frozen=True, slots=True)
class SourceLatched:
    """The port takes RTP from `address` now, and sends there."""

    port: Port
    address: tuple[str, int]


@dataclass(frozen=True, slots=True)
class DigitReceived:
    """A digit was pressed (RFC 4733); one event however often its packets came. `duration` in seconds."""

    port: Port
    digit: str
    duration: float


MediaEvent = MediaTimeout | SourceLatched | DigitReceived
