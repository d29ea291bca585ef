"""What the engine reports; none of it is per packet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from media._engine import EVENT_DIGIT, EVENT_KEYED, EVENT_LATCHED, EVENT_PLAYED, EVENT_SPEAKING
from media.port import Pair, Port

# By the number of their telephone-event.
DIGITS: Final = "0123456789*#ABCD"


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


# In the order of vp_played in ext/kernel/player.h.
PlayedReason = Literal["finished", "stopped", "digit", "replaced"]
PLAYED_REASONS: Final[tuple[PlayedReason, ...]] = ("finished", "stopped", "digit", "replaced")


@dataclass(frozen=True, slots=True)
class PlaybackFinished:
    """A playback is over, 20 ms after its last packet was sent: how it came, and the samples that were sent.

    "digit": one of its `stop_digits` began; "replaced": another playback was started on the port.
    """

    port: Port
    number: int
    reason: PlayedReason
    samples: int


@dataclass(frozen=True, slots=True)
class SpeakingChanged:
    """A member of a conference began to speak, or was silent for half a second."""

    port: Port
    speaking: bool


@dataclass(frozen=True, slots=True)
class DigitsSent:
    """The digits of one `send_digits` are out, with the pause after the last."""

    port: Port
    number: int


@dataclass(frozen=True, slots=True, repr=False)
class FlightReceived:
    """A datagram of DTLS came to a port that awaits a handshake: the only packets that Python ever sees."""

    port: Port
    data: bytes
    source: tuple[str, int]


MediaEvent = (
    FlightReceived | MediaTimeout | SourceLatched | DigitReceived | PlaybackFinished | DigitsSent | SpeakingChanged
)


def event_of(port: Port, raw: tuple[int, int, int, int, int, Pair | None]) -> MediaEvent:
    """What an entry of the engine's ring says of a port."""
    kind, _, value, duration, detail, address = raw
    if kind == EVENT_DIGIT:
        return DigitReceived(port, DIGITS[value], duration / 1000)
    if kind == EVENT_LATCHED and address is not None:
        return SourceLatched(port, address)
    if kind == EVENT_PLAYED:
        return PlaybackFinished(port, value, PLAYED_REASONS[detail - 1], duration)
    if kind == EVENT_SPEAKING:
        return SpeakingChanged(port, bool(value))
    if kind == EVENT_KEYED:
        return DigitsSent(port, value)
    return MediaTimeout(port)
