"""MediaError
├─ NoPortsLeftError      every port of the range is in use or resting: 503 before ringing
├─ StaleHandleError      the port was closed before
├─ EngineClosedError     the engine was closed before
└─ EngineStalledError    a worker thread takes no commands
"""

from __future__ import annotations


class MediaError(Exception):
    """Root of everything that `media` raises for causes outside the caller's code."""


class NoPortsLeftError(MediaError):
    """Every port of the range is in use, resting after its last call, or taken by another program."""


class StaleHandleError(MediaError):
    """The port was closed before."""


class EngineClosedError(MediaError):
    """The engine was closed before."""


class EngineStalledError(MediaError):
    """A worker thread takes no commands: the engine is broken or the machine is far beyond its load."""
