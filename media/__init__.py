"""Media sessions over the native engine: verbs down, events up, no packet in Python."""

from media.engine import Engine, ManualClock
from media.errors import EngineClosedError, EngineStalledError, MediaError, NoPortsLeftError, StaleHandleError
from media.events import DigitReceived, MediaEvent, MediaTimeout, SourceLatched
from media.port import Port
from media.stats import PortStats, RtcpStats

__all__ = [
    "DigitReceived",
    "Engine",
    "EngineClosedError",
    "EngineStalledError",
    "ManualClock",
    "MediaError",
    "MediaEvent",
    "MediaTimeout",
    "NoPortsLeftError",
    "Port",
    "PortStats",
    "RtcpStats",
    "SourceLatched",
    "StaleHandleError",
]
