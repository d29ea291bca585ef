"""Opus in Ogg (RFC 7845): files to play, and files that grow while they are recorded.

Read: mapping family 0, one or two channels, as mono samples at 48 kHz; pre-skip, end trimming and output gain are kept.
Of chained streams the first is read. Both need libopus: without it CodecMissingError.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from media._dsp import Decoder
from media.codecs import OPUS
from media.errors import CodecMissingError, PromptCorruptError, PromptTooLargeError
from media.ogg import FIRST, LAST, OggError, Page, read_pages, write_page
from media.opus import maybe_opus
from media.sealed import Format
from media.wav import MAX_SECONDS, Sound

RATE: Final = 48000
MAX_PACKET: Final = 61440  # of 120 ms in one packet, far beyond any encoder

_HEAD: Final = struct.Struct("<8sBBHIhB")
_VENDOR: Final = b"voipat"
_FRAME_MS: Final = 20
# A crash loses what has no page yet.
_PACKETS_A_PAGE: Final = 50
_MOST_OCTETS: Final = 1500
_APPLICATION_VOIP: Final = 2048
_GET_LOOKAHEAD: Final = 4027


def _library() -> tuple[int, ...]:
    found = maybe_opus()
    if found is None:
        raise CodecMissingError("there is no libopus on this machine")
    return found


def read_ogg_opus(data: bytes, source: str = "Ogg") -> Sound:
    """The sound of an Ogg Opus file; `source` names it in errors.

    Raises: PromptCorruptError, PromptTooLargeError, CodecMissingError.
    """
    library = _library()
    try:
        return _Reading(source, library).read(read_pages(data))
    except OggError as error:
        raise PromptCorruptError(source, str(error)) from error


class _Reading:
    """One file on its way to samples."""

    def __init__(self, source: str, library: tuple[int, ...]) -> None:
        self._source = source
        assert OPUS.kind is not None, "a codec of ours"
        self._decoder = Decoder(OPUS.kind, RATE, library)
        self._found: list[NDArray[np.int16]] = []
        self._samples = 0
        self._headers = 0
        self._skip, self._gain = 0, 0
        self._first_granule: int | None = None
        self._end: int | None = None

    def read(self, pages: Iterator[Page]) -> Sound:
        serial: int | None = None
        held = b""
        for page in pages:
            if serial is None and page.flags & FIRST and page.pieces and page.pieces[0].startswith(b"OpusHead"):
                serial = page.serial
            if page.serial != serial:
                continue  # a stream beside it
            packets = list(page.pieces)
            last = packets.pop() if page.is_open else b""
            if held and packets:
                packets[0], held = held + packets[0], b""
            held += last
            if len(held) > MAX_PACKET and self._headers == 2:
                raise PromptCorruptError(self._source, "a packet without end")
            self._take(packets, page)
            if page.flags & LAST:
                break
        if serial is None:
            raise PromptCorruptError(self._source, "it has no Opus")
        return self._sound()

    def _take(self, packets: list[bytes], page: Page) -> None:
        before = self._samples
        for packet in packets:
            if self._headers == 0:
                self._read_head(packet)
            elif self._headers == 1:
                if not packet.startswith(b"OpusTags"):
                    raise PromptCorruptError(self._source, "its tags are missing")
            else:
                self._decode(packet)
            self._headers = min(self._headers + 1, 2)
        if self._samples > before and page.granule >= 0:
            if self._first_granule is None:
                self._first_granule = page.granule - self._samples
            if page.flags & LAST:
                # §4.4: the end may lie within the last packet; a stream that was joined begins later than 0.
                self._end = page.granule - max(self._first_granule, 0)

    def _read_head(self, packet: bytes) -> None:
        if len(packet) < _HEAD.size:
            raise PromptCorruptError(self._source, "its head is cut short")
        magic, version, channels, self._skip, _, self._gain, family = _HEAD.unpack_from(packet)
        if magic != b"OpusHead" or version >> 4 or family or channels not in (1, 2):
            raise PromptCorruptError(
                self._source, f"Opus version {version}, {channels} channels, mapping {family}; one or two are read"
            )

    def _decode(self, packet: bytes) -> None:
        decoded = self._decoder.decode(packet) if 0 < len(packet) <= MAX_PACKET else None
        if decoded is None:
            raise PromptCorruptError(self._source, "a packet that is no Opus")
        samples = np.frombuffer(decoded, np.int16)
        self._samples += len(samples)
        if self._samples > MAX_SECONDS * RATE:
            raise PromptTooLargeError(self._source, f"more than {MAX_SECONDS:.0f} s")
        self._found.append(samples)

    def _sound(self) -> Sound:
        samples = np.concatenate(self._found) if self._found else np.zeros(0, np.int16)
        samples = samples[self._skip : self._end if self._end is not None and self._end >= 0 else None]
        if not len(samples):
            raise PromptCorruptError(self._source, "it has no sound")
        if self._gain:
            louder = samples * 10 ** (self._gain / 256 / 20)
            samples = np.clip(np.rint(louder), -32768, 32767).astype(np.int16)
        return Sound(samples, RATE)


class _Encoder:
    """libopus by ctypes: for the recorder's thread, which may wait. One or two channels."""

    def __init__(self, rate: int, channels: int) -> None:
        """Raises: CodecMissingError."""
        create, destroy, encode, ctl = _library()[:4]
        pointer, integer = ctypes.c_void_p, ctypes.c_int
        self._encode: Any = ctypes.CFUNCTYPE(integer, pointer, pointer, integer, pointer, integer)(encode)
        self._destroy: Any = ctypes.CFUNCTYPE(None, pointer)(destroy)
        failed = ctypes.c_int(0)
        make: Any = ctypes.CFUNCTYPE(pointer, integer, integer, integer, pointer)(create)
        self._state = make(rate, channels, _APPLICATION_VOIP, ctypes.addressof(failed))
        if not self._state:
            raise CodecMissingError(f"libopus makes no encoder for {channels} channels at {rate} Hz: {failed.value}")
        lookahead = ctypes.c_int(0)
        control: Any = ctypes.CFUNCTYPE(integer, pointer, integer, pointer)(ctl)
        control(self._state, _GET_LOOKAHEAD, ctypes.addressof(lookahead))
        self.lookahead: Final = lookahead.value * RATE // rate
        self._out = ctypes.create_string_buffer(_MOST_OCTETS)

    def encode(self, frame: bytes, samples: int) -> bytes:
        length = int(self._encode(self._state, frame, samples, self._out, _MOST_OCTETS))
        if length <= 0:
            raise OSError(f"libopus encodes no frame: {length}")
        return self._out.raw[:length]

    def close(self) -> None:
        if self._state:
            self._destroy(self._state)
            self._state = None


class OpusWriter:
    """An Ogg Opus file that is longer from second to second. Blocks on the disk: for the recorder's thread."""

    def __init__(self, path: Path, form: Format) -> None:
        """Raises: OSError (it is a link, no space), CodecMissingError. A file of that name is replaced."""
        self.form: Final = form
        self._encoder = _Encoder(form.rate, form.channels)
        self._count: Final = form.rate * _FRAME_MS // 1000  # of frames in a packet
        self._size: Final = self._count * form.frame_bytes
        self._serial = int.from_bytes(os.urandom(4), "little")
        self._number = 0
        self._rest = bytearray()
        self._packets: list[bytes] = []
        self._frames = 0  # that were given
        self._encoded = 0  # that are in packets
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        self._file: BinaryIO = os.fdopen(descriptor, "wb", buffering=0)
        head = _HEAD.pack(b"OpusHead", 1, form.channels, self._encoder.lookahead, form.rate, 0, 0)
        self._write_page([head], flags=FIRST, granule=0)
        self._write_page([b"OpusTags" + struct.pack("<I", len(_VENDOR)) + _VENDOR + bytes(4)], flags=0, granule=0)

    @property
    def seconds(self) -> float:
        """What was written until now."""
        return self._frames / self.form.rate

    def write(self, samples: bytes | bytearray | memoryview) -> None:
        """Whole frames. Raises: OSError."""
        self._rest += samples
        self._frames += len(samples) // self.form.frame_bytes
        while len(self._rest) >= self._size:
            self._add(bytes(self._rest[: self._size]))
            del self._rest[: self._size]
            if len(self._packets) == _PACKETS_A_PAGE:
                self._flush()

    def note(self, what: str) -> None:
        """An Opus file has no place for it."""

    def close(self) -> None:
        """What waits, and the end. Raises: OSError."""
        if self._file.closed:
            return
        try:
            # The encoder is behind by its lookahead: that much more must be asked of it.
            wanted = self._frames + self._encoder.lookahead * self.form.rate // RATE
            while self._encoded < wanted or not self._packets:
                self._add(bytes(self._rest).ljust(self._size, b"\0"))
                self._rest.clear()
            granule = self._encoder.lookahead + self._frames * RATE // self.form.rate
            self._write_page(self._packets, flags=LAST, granule=granule)
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Let go of the file as it is."""
        self._encoder.close()
        self._file.close()

    def _add(self, frame: bytes) -> None:
        self._packets.append(self._encoder.encode(frame, self._count))
        self._encoded += self._count

    def _flush(self) -> None:
        self._write_page(self._packets, flags=0, granule=self._encoded * RATE // self.form.rate)
        self._packets = []

    def _write_page(self, packets: list[bytes], *, flags: int, granule: int) -> None:
        page = memoryview(write_page(packets, flags=flags, granule=granule, serial=self._serial, number=self._number))
        self._number += 1
        done = 0
        while done < len(page):
            done += self._file.write(page[done:]) or 0
