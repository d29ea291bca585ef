"""Media sessions over the native engine: verbs down, events up, no packet in Python."""

from media._engine import EncodedAudio
from media.engine import Engine, ManualClock
from media.errors import (
    CodecMissingError,
    EngineClosedError,
    EngineStalledError,
    MediaError,
    NoPortsLeftError,
    PromptCorruptError,
    PromptError,
    PromptMissingError,
    PromptTooLargeError,
    StaleHandleError,
)
from media.events import DigitReceived, DigitsSent, MediaEvent, MediaTimeout, PlaybackFinished, SourceLatched
from media.port import Port
from media.stats import PortStats, RtcpStats

__all__ = [
    "CodecMissingError",
    "DigitReceived",
    "DigitsSent",
    "EncodedAudio",
    "Engine",
    "EngineClosedError",
    "EngineStalledError",
    "ManualClock",
    "MediaError",
    "MediaEvent",
    "MediaTimeout",
    "NoPortsLeftError",
    "PlaybackFinished",
    "Port",
    "PortStats",
    "PromptCorruptError",
    "PromptError",
    "PromptMissingError",
    "PromptTooLargeError",
    "RtcpStats",
    "SourceLatched",
    "StaleHandleError",
]
