"""Media sessions over the native engine: verbs down, events up, no packet in Python."""

from media._engine import EncodedAudio
from media.engine import Engine, ManualClock
from media.errors import (
    CodecMissingError,
    CryptoError,
    EngineClosedError,
    EngineStalledError,
    MediaError,
    NoPortsLeftError,
    PromptCorruptError,
    PromptError,
    PromptMissingError,
    PromptTooLargeError,
    RecordingCorruptError,
    RecordingError,
    RecordingKeyError,
    RecordingLinkError,
    RecordingMissingError,
    StaleHandleError,
)
from media.events import (
    DigitReceived,
    DigitsSent,
    FlightReceived,
    MediaEvent,
    MediaTimeout,
    PlaybackFinished,
    SourceLatched,
)
from media.keys import SUITES, SrtpKeys, Suite, maybe_suite
from media.port import Port
from media.quality import Quality
from media.stats import PortStats, RtcpStats

__all__ = [
    "SUITES",
    "CodecMissingError",
    "CryptoError",
    "DigitReceived",
    "DigitsSent",
    "EncodedAudio",
    "Engine",
    "EngineClosedError",
    "EngineStalledError",
    "FlightReceived",
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
    "Quality",
    "RecordingCorruptError",
    "RecordingError",
    "RecordingKeyError",
    "RecordingLinkError",
    "RecordingMissingError",
    "RtcpStats",
    "SourceLatched",
    "SrtpKeys",
    "StaleHandleError",
    "Suite",
    "maybe_suite",
]
