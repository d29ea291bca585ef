"""MediaError
├─ NoPortsLeftError      every port of the range is in use or resting: 503 before ringing
├─ StaleHandleError      the port was closed before
├─ EngineClosedError     the engine was closed before
├─ EngineStalledError    a worker thread takes no commands
├─ CodecMissingError     the codec, or telephone-events, were not negotiated or cannot be encoded
└─ PromptError(source)   what should be played cannot be: caught by the flow, or its call ends with an internal error
   ├─ PromptMissingError    no such file, or it may not be read
   ├─ PromptCorruptError    not a WAV file, cut short, or of an encoding that we do not read
   └─ PromptTooLargeError   longer than a prompt may be
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


class CodecMissingError(MediaError):
    """The call has not negotiated what the verb needs, or we cannot encode its codec."""


class PromptError(MediaError):
    """What should be played cannot be; `source` names it."""

    def __init__(self, source: str, problem: str) -> None:
        super().__init__(f"{source}: {problem}")
        self.source = source


class PromptMissingError(PromptError):
    """There is no such file, or it may not be read."""


class PromptCorruptError(PromptError):
    """Not a WAV file, cut short, or of an encoding that we do not read."""


class PromptTooLargeError(PromptError):
    """Longer than a prompt may be."""
