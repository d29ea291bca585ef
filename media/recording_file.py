"""Recordings as plain files: what an embedder asks for, and what a sealed recording is exported to.

A WAV file's lengths are brought up to date with each second of sound, so that a crash leaves a file that plays.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from media.sealed import SAMPLE_BYTES, Format, SealedReader

_HEADER: Final = struct.Struct("<4sI4s4sIHHIIHH4sI")
_MOST: Final = 0xFFFFFFFF - _HEADER.size


class RecordingFile(Protocol):
    """Where a recorder writes; every method blocks on the disk and may raise OSError."""

    @property
    def seconds(self) -> float: ...

    def write(self, samples: bytes | bytearray | memoryview) -> None: ...

    def note(self, what: str) -> None: ...

    def close(self) -> None: ...

    def abandon(self) -> None: ...


def wav_header(form: Format, octets: int) -> bytes:
    """The 44 octets before so much sound; what is longer than a WAV file can say has the length "unknown"."""
    size = octets if octets <= _MOST else 0xFFFFFFFF
    riff = min(octets + _HEADER.size - 8, 0xFFFFFFFF)
    width = form.frame_bytes
    bits = 8 * SAMPLE_BYTES
    rate = form.rate
    return _HEADER.pack(
        b"RIFF", riff, b"WAVE", b"fmt ", 16, 1, form.channels, rate, rate * width, width, bits, b"data", size
    )


class WavWriter:
    """A WAV file that is longer from moment to moment. Blocks on the disk: for the recorder's thread."""

    def __init__(self, path: Path, form: Format) -> None:
        """Raises: OSError (it is a link, no space). A file of that name is replaced."""
        self.form: Final = form
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        self._file: BinaryIO = os.fdopen(descriptor, "wb", buffering=0)
        self._octets = self._told = 0
        self._file.write(wav_header(form, 0))

    @property
    def seconds(self) -> float:
        """What was written until now."""
        return self._octets / self.form.frame_bytes / self.form.rate

    def write(self, samples: bytes | bytearray | memoryview) -> None:
        """Whole frames. Raises: OSError."""
        done = 0
        view = memoryview(samples)
        while done < len(view):
            done += self._file.write(view[done:]) or 0
        self._octets += done
        if self._octets - self._told >= self.form.rate * self.form.frame_bytes:
            self._tell_length()

    def note(self, what: str) -> None:
        """A WAV file has no place for it."""

    def close(self) -> None:
        """The last length. Raises: OSError."""
        if self._file.closed:
            return
        try:
            self._tell_length()
        finally:
            self._file.close()

    def abandon(self) -> None:
        """Let go of the file as it is."""
        self._file.close()

    def _tell_length(self) -> None:
        os.pwrite(self._file.fileno(), wav_header(self.form, self._octets), 0)
        self._told = self._octets


def wav_of(reader: SealedReader) -> Iterator[bytes]:
    """The recording as a WAV file, piece by piece. Raises: ChunkCorruptError."""
    yield wav_header(reader.form, reader.frames * reader.form.frame_bytes)
    yield from reader.read()


def export_wav(reader: SealedReader, target: Path) -> None:
    """Write the recording as a WAV file for our user alone. Raises: ChunkCorruptError, OSError."""
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        for piece in wav_of(reader):
            file.write(piece)
