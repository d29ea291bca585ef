"""WAV files as mono 16-bit samples: PCM of 8, 16, 24 and 32 bits, G.711; one or two channels; 8 to 48 kHz.

Whatever the bytes are, the answer is samples or a PromptError. A writer that could not seek back leaves the length of
its data unknown (0, or beyond any file that is read): then the data reach to the end of the file.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from media._dsp import alaw_decode, ulaw_decode
from media.errors import PromptCorruptError, PromptMissingError, PromptTooLargeError

MAX_FILE_OCTETS: Final = 128 * 1024 * 1024
MAX_SECONDS: Final = 1800.0
RATES: Final = (8000, 48000)

_PCM, _ALAW, _ULAW, _EXTENSIBLE = 1, 6, 7, 0xFFFE
# What a program that writes into a pipe says of its data: 0, all ones, or just below 2 GiB (SoX and eSpeak NG:
# 0x7FFFF000, in whole frames). No file that is read is so long.
_UNKNOWN_FROM: Final = 0x7FFF0000
_FORMAT: Final = struct.Struct("<HHIIHH")


@dataclass(frozen=True, slots=True)
class Sound:
    """Mono samples at their rate."""

    samples: NDArray[np.int16]
    rate: int


@dataclass(frozen=True, slots=True)
class _Format:
    encoding: int
    channels: int
    rate: int
    bits: int


def read_file(path: str) -> bytes:
    """The bytes of a regular file. Raises: PromptMissingError, PromptTooLargeError."""
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode):
                raise PromptMissingError(path, "not a regular file")
            if facts.st_size > MAX_FILE_OCTETS:
                raise PromptTooLargeError(path, f"{facts.st_size} octets are more than {MAX_FILE_OCTETS}")
            return file.read(MAX_FILE_OCTETS)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise PromptMissingError(path, _problem(error)) from error


def read_wav(data: bytes, source: str = "WAV") -> Sound:
    """The sound of a WAV file; `source` names it in errors. Raises: PromptCorruptError, PromptTooLargeError."""
    form: _Format | None = None
    for name, start, size in _chunks(data, source):
        if name == b"fmt ":
            form = _read_format(data[start : start + size], source)
        elif name == b"data":
            if form is None:
                raise PromptCorruptError(source, "its data come before its format")
            return _sound(data[start : start + size], form, source)
    raise PromptCorruptError(source, "it has no data")


def read_wav_file(path: str | Path) -> Sound:
    """The sound of a WAV file. Raises: PromptError."""
    return read_wav(read_file(str(path)), str(path))


def _open_at_once(path: str, flags: int) -> int:
    """A FIFO must not wait for its writer."""
    return os.open(path, flags | os.O_NONBLOCK)


def _problem(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


def _chunks(data: bytes, source: str) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and length of each chunk. Raises: PromptCorruptError."""
    if len(data) < 12 or data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise PromptCorruptError(source, "not a WAV file")
    at = 12
    while at + 8 <= len(data):
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        at += 8
        left = len(data) - at
        if name == b"data" and (size == 0 or size >= _UNKNOWN_FROM):
            size = left
        if size > left:
            raise PromptCorruptError(source, f"cut short: {size} octets are announced and {left} are there")
        yield name, at, size
        at += size + size % 2


def _read_format(chunk: bytes, source: str) -> _Format:
    if len(chunk) < _FORMAT.size:
        raise PromptCorruptError(source, "its format is cut short")
    encoding, channels, rate, _, _, bits = _FORMAT.unpack_from(chunk)
    if encoding == _EXTENSIBLE and len(chunk) >= 26:
        encoding = int.from_bytes(chunk[24:26], "little")
    if channels not in (1, 2) or not RATES[0] <= rate <= RATES[1]:
        raise PromptCorruptError(source, f"{channels} channels at {rate} Hz; one or two at 8 to 48 kHz are read")
    allowed = {_PCM: (8, 16, 24, 32), _ALAW: (8,), _ULAW: (8,)}.get(encoding, ())
    if bits not in allowed:
        raise PromptCorruptError(source, f"encoding {encoding} with {bits} bits; PCM and G.711 are read")
    return _Format(encoding, channels, rate, bits)


def _sound(data: bytes, form: _Format, source: str) -> Sound:
    width = form.bits // 8 * form.channels
    count = len(data) // width
    if count == 0:
        raise PromptCorruptError(source, "it has no sound")
    if count > MAX_SECONDS * form.rate:
        raise PromptTooLargeError(source, f"{count / form.rate:.0f} s are more than {MAX_SECONDS:.0f}")
    samples = _linear(data[: count * width], form)
    if form.channels == 2:
        pairs = samples.reshape(-1, 2).astype(np.int32)
        samples = ((pairs[:, 0] + pairs[:, 1]) >> 1).astype(np.int16)
    return Sound(samples, form.rate)


def _linear(data: bytes, form: _Format) -> NDArray[np.int16]:
    if form.encoding == _ULAW:
        return np.frombuffer(ulaw_decode(data), np.int16)
    if form.encoding == _ALAW:
        return np.frombuffer(alaw_decode(data), np.int16)
    if form.bits == 8:
        return ((np.frombuffer(data, np.uint8).astype(np.int16) - 128) << 8).astype(np.int16)
    if form.bits == 16:
        return np.frombuffer(data, "<i2").astype(np.int16)
    # The two highest octets of each sample.
    octets = np.frombuffer(data, np.uint8).reshape(-1, form.bits // 8)
    return np.ascontiguousarray(octets[:, -2:]).view("<i2").reshape(-1).astype(np.int16)
