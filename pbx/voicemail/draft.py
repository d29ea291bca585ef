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


class Draft:
    """voipat.RecordingStore for one message. `on_silence` is called on the recorder's thread, once."""

    def __init__(self, recordings: SealedRecordings, record: MessageRecord, *, silence_s: float) -> None:
        self.record: Final = record
        self.on_silence: Callable[[], object] | None = None
        self._recordings = recordings
        self._silence_s = silence_s

    def place(self, tenant: str, name: str) -> str:
        """What CDRs and events call it: never a path, for a message is read through its mailbox."""
        return f"voicemail/{self.record.mailbox}/{self.record.id}"

    def create(self, tenant: str, name: str, form: Format) -> RecordingFile:
        """The sealed file. Blocks on the disk. Raises: OSError, RecordingKeyError."""
        return _Heard(self._recordings.create(tenant, self.record.id, form), form, self._silence_s, self._fell_silent)

    def _fell_silent(self) -> None:
        told, self.on_silence = self.on_silence, None
        if told is not None:
            told()


class _Heard:
    """A RecordingFile that counts how long nobody has spoken, batch by batch of the recorder."""

    def __init__(self, file: RecordingFile, form: Format, silence_s: float, tell: Callable[[], None]) -> None:
        self._file = file
        self._rate = form.rate * form.channels
        self._silence_s = silence_s
        self._tell = tell
        self._quiet_s = 0.0

    @property
    def seconds(self) -> float:
        """As of the file."""
        return self._file.seconds

    def write(self, samples: bytes | bytearray | memoryview) -> None:
        """Write and listen. Raises: OSError."""
        self._file.write(samples)
        heard = np.frombuffer(samples, np.int16)
        if not len(heard) or np.abs(heard.astype(np.int32)).mean() > _QUIET:
            self._quiet_s = 0.0
            return
        self._quiet_s += len(heard) / self._rate
        if self._quiet_s >= self._silence_s:
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
