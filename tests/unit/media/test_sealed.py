"""Sealed recordings: nothing readable on the disk, every change found, a crash costs a chunk, any place can be read."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest

from media.errors import (
    ChunkCorruptError,
    RecordingCorruptError,
    RecordingError,
    RecordingKeyError,
    RecordingLinkError,
    RecordingMissingError,
)
from media.ogg_opus import OpusWriter
from media.recording_file import WavWriter, export_wav
from media.sealed import Format, Note, SealedReader, SealedWriter
from media.wav import read_wav_file


class Keys:
    """TenantKeys in memory."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], bytes] = {}

    def make(self, tenant: str, object_id: str) -> bytes:
        return self.kept.setdefault((tenant, object_id), bytes([len(self.kept) + 1]) * 32)

    def find(self, tenant: str, object_id: str) -> bytes:
        try:
            return self.kept[(tenant, object_id)]
        except KeyError:
            raise RecordingKeyError(object_id, "destroyed") from None


class Counting:
    """Nonces that never repeat."""

    def __init__(self) -> None:
        self.given = 0

    def __call__(self, count: int) -> bytes:
        self.given += 1
        return self.given.to_bytes(count, "big")


def sound(seconds: float, channels: int = 2, rate: int = 8000) -> bytes:
    count = round(seconds * rate) * channels
    return (np.arange(count) % 20011 - 10000).astype("<i2").tobytes()


def writer(path: Path, keys: Keys, *, channels: int = 2, name: str = "one") -> SealedWriter:
    form = Format(8000, channels)
    return SealedWriter(path, keys, tenant="office.test", object_id=name, form=form, random_bytes=Counting())


def written(path: Path, keys: Keys, seconds: float = 3.3, *, close: bool = True) -> bytes:
    samples = sound(seconds)
    one = writer(path, keys)
    for at in range(0, len(samples), 6400):
        one.write(samples[at : at + 6400])
    one.close() if close else one.abandon()
    return samples


def test_what_was_written_is_read_in_whole_and_from_any_place(tmp_path: Path) -> None:
    keys, path = Keys(), tmp_path / "a"
    samples = written(path, keys)
    with SealedReader(path, keys) as reader:
        assert reader.is_complete and reader.seconds == 3.3 and reader.form == Format(8000, 2)
        assert b"".join(reader.read()) == samples
        for start, seconds in ((0.0, 0.1), (0.49, 0.02), (1.0, 1.5), (3.2, 9.0), (3.3, 1.0)):
            wanted = samples[round(start * 8000) * 4 : round((start + seconds) * 8000) * 4]
            assert b"".join(reader.read(start, seconds)) == wanted


def test_a_seek_opens_only_the_chunks_it_needs(tmp_path: Path) -> None:
    keys, path = Keys(), tmp_path / "a"
    samples = written(path, keys)
    damaged = bytearray(path.read_bytes())
    damaged[400] ^= 1  # in the first chunk
    path.write_bytes(damaged)
    with SealedReader(path, keys) as reader:
        assert b"".join(reader.read(2.0)) == samples[2 * 8000 * 4 :]


def test_no_sound_and_no_wav_header_is_on_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "a"
    one = writer(path, Keys())
    one.write(bytes(64000))  # silence would show
    one.note("card 4111")
    one.close()
    data = path.read_bytes()
    assert b"RIFF" not in data and b"WAVE" not in data and b"4111" not in data and bytes(16) not in data
    body = np.frombuffer(data[200:], np.uint8)
    shares = np.bincount(body, minlength=256) / len(body)
    entropy = -float(np.sum(shares[shares > 0] * np.log2(shares[shares > 0])))
    assert entropy > 7.9
    assert path.stat().st_mode & 0o777 == 0o600


def test_every_bit_that_changes_is_found_and_its_chunk_named(tmp_path: Path) -> None:
    keys, path = Keys(), tmp_path / "a"
    written(path, keys, 1.2)
    data = path.read_bytes()
    with SealedReader(path, keys) as reader:
        places = [entry.offset for entry in reader._entries]
        end = reader._end
    for offset in range(0, end, 97):
        damaged = bytearray(data)
        damaged[offset] ^= 1 << offset % 8
        path.write_bytes(damaged)
        chunk = max(sum(place <= offset for place in places) - 1, 0)
        with pytest.raises(RecordingError) as raised, SealedReader(path, keys) as reader:
            reader.check()
        if offset >= places[0]:
            assert isinstance(raised.value, ChunkCorruptError) and raised.value.chunk == chunk


def test_damage_behind_the_chunks_costs_nothing_but_the_word_that_it_is_complete(tmp_path: Path) -> None:
    keys, path = Keys(), tmp_path / "a"
    samples = written(path, keys, 1.2)
    data = path.read_bytes()
    with SealedReader(path, keys) as reader:
        end = reader._end
    for offset in range(end + 20, len(data), 7):
        damaged = bytearray(data)
        damaged[offset] ^= 0x10
        path.write_bytes(damaged)
        with SealedReader(path, keys) as reader:
            assert b"".join(reader.read()) == samples and not reader.is_complete


def test_a_crash_costs_less_than_a_second(tmp_path: Path) -> None:
    keys, path = Keys(), tmp_path / "a"
    samples = written(path, keys, 3.3, close=False)
    with SealedReader(path, keys) as reader:
        assert not reader.is_complete and reader.seconds == 3.0
        assert b"".join(reader.read()) == samples[: 3 * 8000 * 4]


def test_a_tail_that_is_cut_anywhere_is_left_out(tmp_path: Path) -> None:
    keys, path = Keys(), tmp_path / "a"
    samples = written(path, keys, 1.7, close=False)
    data = path.read_bytes()
    header = data.index(b"VPck")
    for length in range(200, len(data), 501):
        path.write_bytes(data[:length])
        with SealedReader(path, keys) as reader:
            found = b"".join(reader.read())
            assert samples.startswith(found) and len(found) == 16000 * ((length - header) // 16048)


@pytest.mark.parametrize("whole", [True, False])
def test_a_recording_goes_on_after_its_end_or_a_crash(tmp_path: Path, whole: bool) -> None:
    keys, path = Keys(), tmp_path / "a"
    samples = written(path, keys, 1.0, close=whole)
    one = SealedWriter.append(path, keys, random_bytes=Counting())
    assert one.seconds == 1.0
    one.note("again")
    one.write(samples)
    one.close()
    with SealedReader(path, keys) as reader:
        assert reader.is_complete and b"".join(reader.read()) == samples * 2
        assert reader.notes == [Note(1.0, "again")]


def test_a_chunk_of_another_recording_does_not_fit(tmp_path: Path) -> None:
    keys = Keys()
    written(tmp_path / "a", keys, 1.0)
    other = writer(tmp_path / "b", keys, name="two")
    other.write(sound(1.0))
    other.close()
    keys.kept[("office.test", "two")] = keys.kept[("office.test", "one")]
    mixed = (tmp_path / "b").read_bytes()[:20] + (tmp_path / "a").read_bytes()[20:]
    (tmp_path / "b").write_bytes(mixed.replace(b'"one"', b'"two"', 1))
    with pytest.raises(ChunkCorruptError), SealedReader(tmp_path / "b", keys) as reader:
        reader.check()


def test_without_its_key_a_recording_is_noise(tmp_path: Path) -> None:
    keys, path = Keys(), tmp_path / "a"
    written(path, keys)
    keys.kept.clear()
    with pytest.raises(RecordingKeyError):
        SealedReader(path, keys)


def test_notes_come_back_with_their_time_after_a_crash_too(tmp_path: Path) -> None:
    keys, path = Keys(), tmp_path / "a"
    one = writer(path, keys)
    one.write(sound(1.0))
    one.note("paused")
    one.write(sound(0.5))
    one.abandon()
    with SealedReader(path, keys) as reader:
        assert reader.notes == [Note(1.0, "paused")] and reader.seconds == 1.5


class FullDisk:
    """A file that takes so many octets."""

    def __init__(self, file: object, room: int) -> None:
        self._file, self.room = file, room

    def write(self, data: memoryview) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, "full")
        done = self._file.write(data[: self.room])  # type: ignore[attr-defined]
        self.room -= done
        return int(done)

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)


@pytest.mark.parametrize("room", [0, 10, 16000, 16021, 30000])
def test_a_full_disk_leaves_whole_chunks(tmp_path: Path, room: int) -> None:
    keys, path = Keys(), tmp_path / "a"
    one = writer(path, keys)
    samples = sound(2.0)
    one._file = FullDisk(one._file, room)  # type: ignore[assignment]
    with pytest.raises(OSError, match="full"):
        one.write(samples)
    one.abandon()
    with SealedReader(path, keys) as reader:
        found = b"".join(reader.read())
        assert samples.startswith(found) and len(found) == 16000 * (room // 16044)


def test_an_exported_recording_is_a_wav_file(tmp_path: Path) -> None:
    keys, path = Keys(), tmp_path / "a"
    one = writer(path, keys, channels=1)
    one.write(sound(1.1, channels=1))
    one.close()
    with SealedReader(path, keys) as reader:
        export_wav(reader, tmp_path / "a.wav")
    exported = read_wav_file(tmp_path / "a.wav")
    assert exported.samples.astype("<i2").tobytes() == sound(1.1, channels=1) and exported.rate == 8000


def test_what_is_no_recording_is_an_error_with_a_name(tmp_path: Path) -> None:
    with pytest.raises(RecordingMissingError):
        SealedReader(tmp_path / "none", Keys())
    for data in (b"", b"RIFF", b"voipat-sealed-1\n\xff\xff\0\0" + bytes(70000), b"voipat-sealed-1\n\2\0\0\0[]"):
        (tmp_path / "x").write_bytes(data)
        with pytest.raises(RecordingCorruptError):
            SealedReader(tmp_path / "x", Keys())


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_link_is_neither_read_nor_appended_to_nor_written_through(tmp_path: Path, what: str) -> None:
    keys, real = Keys(), tmp_path / "real"
    real.mkdir()
    written(real / "a", keys)
    before = (real / "a").read_bytes()
    if what == "folder":
        (tmp_path / "linked").symlink_to(real)
    else:
        (tmp_path / "linked").mkdir()
        for name in ("a", "b"):
            (tmp_path / "linked" / name).symlink_to(real / name)
    with pytest.raises(RecordingLinkError):
        SealedReader(tmp_path / "linked" / "a", keys)
    with pytest.raises(RecordingLinkError):
        SealedWriter.append(tmp_path / "linked" / "a", keys, random_bytes=Counting())
    with pytest.raises(RecordingLinkError):
        writer(tmp_path / "linked" / "b", keys, name="two")
    assert [path.name for path in real.iterdir()] == ["a"] and (real / "a").read_bytes() == before
    assert ("office.test", "two") not in keys.kept


def test_a_plain_recording_is_not_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"what was there")
    for name, kind in (("a.wav", WavWriter), ("a.opus", OpusWriter)):
        (tmp_path / name).symlink_to(tmp_path / "target")
        with pytest.raises(OSError) as refused:
            kind(tmp_path / name, Format(8000, 1))
        assert refused.value.errno == errno.ELOOP
    assert (tmp_path / "target").read_bytes() == b"what was there"
