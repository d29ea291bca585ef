"""MediaError
├─ NoPortsLeftError      every port of the range is in use or resting: 503 before ringing
├─ StaleHandleError      the port was closed before
├─ EngineClosedError     the engine was closed before
├─ EngineStalledError    a worker thread takes no commands
├─ CryptoError           SRTP cannot be used, or its keys do not fit: the stream is refused, never sent in the clear
├─ CodecMissingError     the codec, or telephone-events, were not negotiated or cannot be encoded
├─ PromptError(source)   what should be played cannot be: caught by the flow, or its call ends with an internal error
│  ├─ PromptMissingError    no such file, it may not be read, or it lies outside of where prompts are
│  ├─ PromptCorruptError    not a WAV or Ogg file, cut short, or of an encoding that we do not read
│  └─ PromptTooLargeError   longer than a prompt may be
└─ RecordingError(source)  a recording cannot be written or read
   ├─ RecordingMissingError  no such file, or it may not be read
   ├─ RecordingLinkError     its file or its tenant's folder is a symbolic link, which is not followed
   ├─ RecordingCorruptError  not a sealed recording
   │  └─ ChunkCorruptError(chunk)  something was changed in it; `chunk` is where
   └─ RecordingKeyError    its key was destroyed, or is not with this keeper
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


class CryptoError(MediaError):
    """SRTP cannot be used here, or the keys do not fit their suite."""


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


class RecordingError(MediaError):
    """A recording cannot be written or read; `source` names it."""

    def __init__(self, source: str, problem: str) -> None:
        super().__init__(f"{source}: {problem}")
        self.source = source


class RecordingMissingError(RecordingError):
    """There is no such file, or it may not be read."""


class RecordingLinkError(RecordingError):
    """The recording's file, or the folder that it is in, is a symbolic link: it may lead to anybody's file."""

    def __init__(self, source: str) -> None:
        super().__init__(source, "a symbolic link is not followed")


class RecordingCorruptError(RecordingError):
    """Not a sealed recording, or not as it was written."""


class ChunkCorruptError(RecordingCorruptError):
    """Something in chunk number `chunk` is not as it was written."""

    def __init__(self, source: str, chunk: int) -> None:
        super().__init__(source, f"chunk {chunk} is not as it was written")
        self.chunk = chunk


class RecordingKeyError(RecordingError):
    """The recording's key was destroyed, or is not with this keeper of keys."""
