"""A message while it is spoken: a sealed file of its own id, and an ear for a caller who has gone silent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from media.recording_file import RecordingFile
from media.sealed import Format
from pbx.recording_store import SealedRecordings
from pbx.store.base import MessageRecord

# A line that nobody speaks on, with the noise of a cheap phone; speech is ten times as loud.
_QUIET: Final = 150.0
_FRAMES: Final = 50  # a second


class Ear:
    """How long somebody has spoken in all, and how long nobody has at the end."""

    def __init__(self) -> None:
        self.voice_s = 0.0
        self.quiet_s = 0.0

    def hear(self, samples: bytes | bytearray | memoryview, form: Format) -> None:
        """Listen to a stretch, 20 ms by 20 ms."""
        frame = form.rate * form.channels // _FRAMES
        heard = np.abs(np.frombuffer(samples, np.int16).astype(np.int32))
        spoken = np.flatnonzero(heard[: len(heard) // frame * frame].reshape(-1, frame).mean(axis=1) > _QUIET)
        frames = len(heard) / frame
        self.voice_s += len(spoken) / _FRAMES
        self.quiet_s = (frames - 1 - spoken[-1]) / _FRAMES if len(spoken) else self.quiet_s + frames / _FRAMES


class Draft:
    """voipat.RecordingStore for one message. `on_silence` is called on the recorder's thread, once."""

    def __init__(self, recordings: SealedRecordings, record: MessageRecord, *, silence_s: float) -> None:
        self.record: Final = record
        self.on_silence: Callable[[], object] | None = None
        self._recordings = recordings
        self._silence_s = silence_s
        self._ear = Ear()

    @property
    def voice_s(self) -> float:
        """Seconds in which somebody spoke."""
        return self._ear.voice_s

    def place(self, tenant: str, name: str) -> str:
        """What CDRs and events call it: never a path, for a message is read through its mailbox."""
        return f"voicemail/{self.record.mailbox}/{self.record.id}"

    def create(self, tenant: str, name: str, form: Format) -> RecordingFile:
        """The sealed file. Blocks on the disk. Raises: OSError, RecordingError."""
        return _Heard(self._recordings.create(tenant, self.record.id, form), form, self._ear, self._heard)

    def _heard(self) -> None:
        if self._ear.quiet_s < self._silence_s:
            return
        told, self.on_silence = self.on_silence, None
        if told is not None:
            told()


class _Heard:
    """A RecordingFile that listens to what is written, batch by batch of the recorder."""

    def __init__(self, file: RecordingFile, form: Format, ear: Ear, tell: Callable[[], None]) -> None:
        self._file = file
        self._form = form
        self._ear = ear
        self._tell = tell

    @property
    def seconds(self) -> float:
        """As of the file."""
        return self._file.seconds

    def write(self, samples: bytes | bytearray | memoryview) -> None:
        """Write and listen. Raises: OSError."""
        self._file.write(samples)
        self._ear.hear(samples, self._form)
        self._tell()

    def note(self, what: str) -> None:
        """As of the file."""
        self._file.note(what)

    def close(self) -> None:
        """As of the file."""
        self._file.close()

    def abandon(self) -> None:
        """As of the file."""
        self._file.abandon()
