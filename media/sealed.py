"""Recordings that are sealed as they are written: chunks of AES-256-GCM, an index, a key for each object.

    header ─ chunk 0 ─ chunk 1 ─ … ─ chunk n ─ index ─ footer

A chunk is sealed with the digest of the header, its number, its kind and its length as associated data: none can be
moved, exchanged or left out unseen. What is not sealed says nothing of what was said: who keeps the key, the rate, the
channels. Without footer (a crash, a full disk) the file is read by walking over the chunks; a tail that is cut short is
left out, so that what is lost is what had not been written: less than CHUNK_SECONDS, and one batch of the recorder.

The object's key is not in the file. It is with the keeper of keys, sealed by the tenant's key: who deletes it there has
deleted the recording, in every copy.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from media.errors import ChunkCorruptError, RecordingCorruptError, RecordingLinkError, RecordingMissingError

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
# What comes in smaller parts waits for so much; what the recorder brings is a chunk as it is. With its round of 0.3 s
# it stays below the second that a crash may cost.
CHUNK_SECONDS: Final = 0.5
LONGEST_CHUNK_SECONDS: Final = 1.5
SAMPLE_BYTES: Final = 2

_MAGIC: Final = b"voipat-sealed-1\n"
_HEADER: Final = struct.Struct("<16sHH")  # magic, length of the facts, 0
_CHUNK: Final = struct.Struct("<4sIII12s")  # magic, number, kind, octets of ciphertext, nonce
_FOOTER: Final = struct.Struct("<QI4s")  # where the index begins, how many chunks come before it, magic
_ENTRY: Final = struct.Struct("<QII")  # offset, frames, 0
_CHUNK_MAGIC, _FOOTER_MAGIC = b"VPck", b"VPix"
_AUDIO, _NOTE, _INDEX = 1, 2, 3

# Bounds for a reader of any bytes: the facts, a chunk (one second of four channels at 48 kHz), the chunks (a day).
MAX_FACTS: Final = 4096
MAX_CHUNK: Final = 48000 * 4 * SAMPLE_BYTES + TAG_BYTES
MAX_INDEX: Final = 8 * 1024 * 1024
MAX_NOTE: Final = 4096

RandomBytes = Callable[[int], bytes]


class TenantKeys(Protocol):
    """Who keeps the keys of recordings. All methods block on the disk and are for a thread."""

    def make(self, tenant: str, object_id: str) -> bytes:
        """A new key for the object, kept sealed by the tenant's. Raises: RecordingKeyError."""
        ...

    def find(self, tenant: str, object_id: str) -> bytes:
        """The object's key. Raises: RecordingKeyError when it was destroyed or is not ours."""
        ...


@dataclass(frozen=True, slots=True)
class Format:
    """Samples of 16 bits, little endian, the channels of one moment together."""

    rate: int = 8000
    channels: int = 2

    def __post_init__(self) -> None:
        if self.rate not in (8000, 16000, 48000) or self.channels not in (1, 2):
            raise ValueError(f"{self.channels} channels at {self.rate} Hz are not recorded")

    @property
    def frame_bytes(self) -> int:
        """Octets of one moment."""
        return SAMPLE_BYTES * self.channels


@dataclass(frozen=True, slots=True)
class Note:
    """What happened `at` seconds of the recording: "paused", "resumed", "lost" and what a flow marks."""

    at: float
    what: str


@dataclass(frozen=True, slots=True)
class _Entry:
    offset: int
    first: int
    frames: int
    number: int


class _Seal:
    """The cipher of one object, bound to its header."""

    def __init__(self, key: bytes, header: bytes) -> None:
        self._cipher = AESGCM(key)
        self._digest = hashlib.sha256(header).digest()

    def _bound(self, number: int, kind: int, octets: int) -> bytes:
        return self._digest + struct.pack("<III", number, kind, octets)

    def close(self, number: int, kind: int, plain: bytes | bytearray | memoryview, nonce: bytes) -> bytes:
        octets = len(plain) + TAG_BYTES
        head = _CHUNK.pack(_CHUNK_MAGIC, number, kind, octets, nonce)
        return head + self._cipher.encrypt(nonce, bytes(plain), self._bound(number, kind, octets))

    def open(self, number: int, kind: int, nonce: bytes, sealed: bytes) -> bytes:
        """Raises: InvalidTag."""
        return self._cipher.decrypt(nonce, sealed, self._bound(number, kind, len(sealed)))


def _pack_header(tenant: str, object_id: str, form: Format) -> bytes:
    facts = json.dumps(
        {"tenant": tenant, "object": object_id, "rate": form.rate, "channels": form.channels, "coding": "s16le"},
        separators=(",", ":"),
    ).encode()
    if len(facts) > MAX_FACTS:
        raise ValueError("the tenant's name does not fit into a header")
    return _HEADER.pack(_MAGIC, len(facts), 0) + facts


class SealedWriter:
    """Writes one recording. Blocks on the disk: for the recorder's thread."""

    def __init__(
        self, path: Path, keys: TenantKeys, *, tenant: str, object_id: str, form: Format, random_bytes: RandomBytes
    ) -> None:
        """A new file, readable by our user alone. Raises: OSError (it exists, no space), RecordingError."""
        self.form: Final = form
        self._random_bytes = random_bytes
        header = _pack_header(tenant, object_id, form)
        self._file = _create(path)
        try:
            self._seal = _Seal(keys.make(tenant, object_id), header)
            self._file.write(header)
        except BaseException:
            self._file.close()
            path.unlink(missing_ok=True)
            raise
        self._begin(len(header), [], [])

    def _begin(self, offset: int, entries: list[_Entry], notes: list[Note]) -> None:
        self._offset = offset
        self._entries = entries
        self._notes = notes
        self._number = max((entry.number + 1 for entry in entries), default=0)
        self._frames = sum(entry.frames for entry in entries)
        self._pending = bytearray()
        self._wanted = int(self.form.rate * CHUNK_SECONDS) * self.form.frame_bytes
        self._most = int(self.form.rate * LONGEST_CHUNK_SECONDS) * self.form.frame_bytes

    @classmethod
    def append(cls, path: Path, keys: TenantKeys, *, random_bytes: RandomBytes) -> SealedWriter:
        """Go on with a recording, whole or cut short. Raises: RecordingError, OSError."""
        with SealedReader(path, keys) as reader:
            writer = cls.__new__(cls)
            writer.form = reader.form  # type: ignore[misc]  # Final: this is its other constructor
            writer._random_bytes = random_bytes
            writer._seal = reader._seal
            writer._begin(reader._end, list(reader._entries), list(reader.notes))
            writer._number = reader._next_number
        writer._file = os.fdopen(_open(path, os.O_RDWR), "r+b", buffering=0)
        writer._file.truncate(writer._offset)
        writer._file.seek(writer._offset)
        return writer

    @property
    def seconds(self) -> float:
        """What was given until now."""
        return (self._frames + len(self._pending) // self.form.frame_bytes) / self.form.rate

    def write(self, samples: bytes | bytearray | memoryview) -> None:
        """Whole frames; each full chunk goes to the disk. Raises: OSError."""
        if self._wanted <= len(samples) <= self._most - len(self._pending):
            self._put_chunk(self._pending + samples if self._pending else samples)
            self._pending.clear()
            return
        self._pending += samples
        while len(self._pending) >= self._wanted:
            self._put_audio(self._wanted)

    def note(self, what: str) -> None:
        """Mark this moment. Raises: OSError, ValueError."""
        note = Note(round(self.seconds, 3), what)
        packed = json.dumps([note.at, note.what]).encode()
        if len(packed) > MAX_NOTE:
            raise ValueError(f"a note has up to {MAX_NOTE} octets")
        self._put(_NOTE, packed)
        self._notes.append(note)

    def close(self) -> None:
        """The rest, the index and the footer. Raises: OSError; what was written before stays readable."""
        if self._file.closed:
            return
        try:
            if self._pending:
                self._put_audio(len(self._pending))
            at, number = self._offset, self._number
            self._put(_INDEX, self._packed_index())
            self._write(_FOOTER.pack(at, number, _FOOTER_MAGIC))
            os.fsync(self._file.fileno())
        finally:
            self._file.close()

    def abandon(self) -> None:
        """Let go of the file as it is: nothing more can be written."""
        self._file.close()

    def _packed_index(self) -> bytes:
        notes = json.dumps([[note.at, note.what] for note in self._notes]).encode()
        table = b"".join(_ENTRY.pack(entry.offset, entry.frames, entry.number) for entry in self._entries)
        return struct.pack("<II", len(self._entries), len(notes)) + table + notes

    def _put_audio(self, octets: int) -> None:
        self._put_chunk(self._pending[:octets])
        del self._pending[:octets]

    def _put_chunk(self, samples: bytes | bytearray | memoryview) -> None:
        entry = _Entry(self._offset, self._frames, len(samples) // self.form.frame_bytes, self._number)
        self._put(_AUDIO, samples)
        self._frames += entry.frames
        self._entries.append(entry)

    def _put(self, kind: int, plain: bytes | bytearray | memoryview) -> None:
        self._write(self._seal.close(self._number, kind, plain, self._random_bytes(NONCE_BYTES)))
        self._number += 1

    def _write(self, record: bytes) -> None:
        """All of it or nothing: a record that a full disk cut short is taken back."""
        done = 0
        try:
            while done < len(record):
                done += self._file.write(memoryview(record)[done:]) or 0
        except OSError:
            self._file.seek(self._offset)
            self._file.truncate(self._offset)
            raise
        self._offset += len(record)


def _create(path: Path) -> BinaryIO:
    if not path.parent.is_symlink():
        path.parent.mkdir(parents=True, exist_ok=True)
    return os.fdopen(_open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb", buffering=0)


def _open(path: Path, flags: int) -> int:
    """The file itself, in a folder that is no link either. Raises: OSError, ValueError, RecordingLinkError."""
    try:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            return os.open(path.name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder)
        finally:
            os.close(folder)
    except OSError as error:
        if path.is_symlink() or path.parent.is_symlink():
            raise RecordingLinkError(str(path)) from error
        raise


class SealedReader:
    """Reads a recording from any place on, chunk by chunk. Blocks on the disk: for a thread."""

    def __init__(self, path: Path, keys: TenantKeys) -> None:
        """Raises: RecordingError."""
        self._path = path
        try:
            self._file: BinaryIO = os.fdopen(_open(path, os.O_RDONLY), "rb", buffering=0)
        except (OSError, ValueError) as error:
            raise RecordingMissingError(str(path), getattr(error, "strerror", None) or str(error)) from error
        try:
            self._size = os.fstat(self._file.fileno()).st_size
            header = self._read_header()
            self._seal = _Seal(keys.find(self.tenant, self.object_id), header)
            self._entries: list[_Entry] = []
            self.notes: list[Note] = []
            self.is_complete = self._load_index()
            if not self.is_complete:
                self._walk(len(header))
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> SealedReader:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    @property
    def frames(self) -> int:
        """Moments that can be read."""
        return self._entries[-1].first + self._entries[-1].frames if self._entries else 0

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.frames / self.form.rate

    def read(self, start: float = 0.0, seconds: float | None = None) -> Iterator[bytes]:
        """Samples from `start` on, in pieces; only the chunks that are asked for are opened.

        Raises: ChunkCorruptError with the number of the chunk.
        """
        first = max(round(start * self.form.rate), 0)
        last = self.frames if seconds is None else min(self.frames, first + max(round(seconds * self.form.rate), 0))
        width = self.form.frame_bytes
        for entry in self._entries[self._place(first) :]:
            if entry.first >= last:
                return
            samples = self._open_chunk(entry)
            begin = max(first - entry.first, 0)
            yield samples[begin * width : (min(last, entry.first + entry.frames) - entry.first) * width]

    def check(self) -> None:
        """Open every chunk. Raises: ChunkCorruptError."""
        for entry in self._entries:
            self._open_chunk(entry)

    def _place(self, frame: int) -> int:
        low, high = 0, len(self._entries)
        while low < high:
            middle = (low + high) // 2
            entry = self._entries[middle]
            if entry.first + entry.frames <= frame:
                low = middle + 1
            else:
                high = middle
        return low

    def _read_header(self) -> bytes:
        fixed = self._read_at(0, _HEADER.size)
        if len(fixed) < _HEADER.size or not fixed.startswith(_MAGIC):
            raise RecordingCorruptError(str(self._path), "not a sealed recording")
        length = _HEADER.unpack(fixed)[1]
        facts = self._read_at(_HEADER.size, length) if length <= MAX_FACTS else b""
        try:
            read = json.loads(facts)
            self.tenant, self.object_id = str(read["tenant"]), str(read["object"])
            self.form = Format(int(read["rate"]), int(read["channels"]))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise RecordingCorruptError(str(self._path), "its header cannot be read") from error
        return fixed + facts

    def _read_at(self, offset: int, octets: int) -> bytes:
        self._file.seek(offset)
        return self._file.read(octets)

    def _chunk_at(self, offset: int, most: int) -> tuple[int, int, int, bytes] | None:
        """Number, kind, octets and nonce of the chunk that begins there, all of it in the file."""
        head = self._read_at(offset, _CHUNK.size)
        if len(head) < _CHUNK.size:
            return None
        magic, number, kind, octets, nonce = _CHUNK.unpack(head)
        fits = TAG_BYTES <= octets <= most and offset + _CHUNK.size + octets <= self._size
        return (number, kind, octets, nonce) if magic == _CHUNK_MAGIC and fits else None

    def _unseal(self, offset: int, number: int, kind: int, most: int) -> bytes:
        found = self._chunk_at(offset, most)
        if found is None or found[:2] != (number, kind):
            raise ChunkCorruptError(str(self._path), number)
        sealed = self._read_at(offset + _CHUNK.size, found[2])
        try:
            return self._seal.open(number, kind, found[3], sealed)
        except InvalidTag:
            raise ChunkCorruptError(str(self._path), number) from None

    def _open_chunk(self, entry: _Entry) -> bytes:
        samples = self._unseal(entry.offset, entry.number, _AUDIO, MAX_CHUNK)
        if len(samples) != entry.frames * self.form.frame_bytes:
            raise ChunkCorruptError(str(self._path), entry.number)
        return samples

    def _load_index(self) -> bool:
        """False: there is none, or it is damaged; the chunks themselves are then walked over."""
        footer = self._read_at(self._size - _FOOTER.size, _FOOTER.size) if self._size >= _FOOTER.size else b""
        if len(footer) < _FOOTER.size:
            return False
        offset, number, magic = _FOOTER.unpack(footer)
        if magic != _FOOTER_MAGIC or offset >= self._size:
            return False
        try:
            index = self._unseal(offset, number, _INDEX, MAX_INDEX)
        except ChunkCorruptError:
            return False
        self._end, self._next_number = offset, number
        count, octets = struct.unpack_from("<II", index)
        first = 0
        for place in range(count):
            at, frames, chunk = _ENTRY.unpack_from(index, 8 + place * _ENTRY.size)
            self._entries.append(_Entry(at, first, frames, chunk))
            first += frames
        notes = json.loads(index[8 + count * _ENTRY.size :][:octets])
        self.notes = [Note(at, what) for at, what in notes]
        return True

    def _walk(self, offset: int) -> None:
        """Every chunk that is whole, in order; a tail that is cut short ends it, damage in a chunk does not."""
        number = first = 0
        while (found := self._chunk_at(offset, MAX_INDEX)) is not None and found[0] == number and found[1] != _INDEX:
            _, kind, octets, _ = found
            if kind == _NOTE:
                at, what = json.loads(self._unseal(offset, number, kind, MAX_NOTE + TAG_BYTES))
                self.notes.append(Note(at, what))
            else:
                frames = (octets - TAG_BYTES) // self.form.frame_bytes
                self._entries.append(_Entry(offset, first, frames, number))
                first += frames
            offset += _CHUNK.size + octets
            number += 1
        self._end, self._next_number = offset, number
        self._refuse_damage(offset, number)

    def _refuse_damage(self, offset: int, number: int) -> None:
        """More than one chunk's head behind the last whole chunk is damage, not a tail that was cut short."""
        head = self._read_at(offset, _CHUNK.size)
        if len(head) < _CHUNK.size:
            return
        magic, found, kind, octets, _ = _CHUNK.unpack(head)
        cut = offset + _CHUNK.size + octets > self._size and octets <= MAX_INDEX
        if magic != _CHUNK_MAGIC or found != number or not (cut or kind == _INDEX):
            raise ChunkCorruptError(str(self._path), number)
