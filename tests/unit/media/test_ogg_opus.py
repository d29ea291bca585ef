"""Ogg Opus files: read as others write them, written so that others read them, and every way of being broken."""

from __future__ import annotations

import random
import struct
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from media import CodecMissingError, PromptCorruptError, PromptError, ogg_opus
from media.ogg import FIRST, LAST, OggError, checksum, read_pages, write_page
from media.ogg_opus import OpusWriter, read_ogg_opus
from media.prompts import PromptCache
from media.sealed import Format
from media.sounds import read_sound_file
from media.tones import Tone, tone_samples
from pbx.prompts import Prompts

FOREIGN = Path(__file__).parents[2] / "vectors/ogg/tone_600hz_stereo_16k.opus"


def peak_hz(samples: np.ndarray, rate: int = 48000) -> float:
    return float(np.argmax(np.abs(np.fft.rfft(samples))) * rate / len(samples))


def written(path: Path, seconds: float = 1.0, *, rate: int = 16000, hertz: tuple[int, ...] = (440,)) -> bytes:
    sides = [tone_samples(Tone(each, seconds), rate) for each in hertz]
    octets = np.stack(sides, axis=1).astype("<i2").tobytes()
    writer = OpusWriter(path, Format(rate, len(hertz)))
    for at in range(0, len(octets), 1000 * len(hertz)):
        writer.write(octets[at : at + 1000 * len(hertz)])
    assert writer.seconds == pytest.approx(seconds, abs=0.001)
    writer.close()
    return path.read_bytes()


def test_a_file_of_another_muxer_is_its_sound_to_the_sample() -> None:
    sound = read_sound_file(str(FOREIGN))
    assert (len(sound.samples), sound.rate) == (48000, 48000)
    assert peak_hz(sound.samples) == 600.0
    middle = sound.samples[4800:43200].astype(float)
    assert np.sqrt((middle**2).mean()) == pytest.approx(6000 / np.sqrt(2), rel=0.02)


@pytest.mark.parametrize("rate", [8000, 16000, 48000])
@pytest.mark.parametrize("seconds", [0.01, 0.5, 2.013])
def test_what_we_write_is_read_with_its_length(tmp_path: Path, rate: int, seconds: float) -> None:
    sound = read_ogg_opus(written(tmp_path / "a.opus", seconds, rate=rate))
    assert len(sound.samples) == pytest.approx(seconds * 48000, abs=6)
    if seconds > 0.1:
        assert peak_hz(sound.samples) == pytest.approx(440, abs=3)


def test_two_channels_are_one_file_whose_mean_is_heard(tmp_path: Path) -> None:
    sound = read_ogg_opus(written(tmp_path / "a.ogg", 1.0, hertz=(500, 1200)))
    spectrum = np.abs(np.fft.rfft(sound.samples))
    assert spectrum[490:510].max() > 50 * np.median(spectrum) and spectrum[1190:1210].max() > 50 * np.median(spectrum)


def test_a_crash_loses_at_most_a_second(tmp_path: Path) -> None:
    path = tmp_path / "a.opus"
    writer = OpusWriter(path, Format(8000, 1))
    writer.write(tone_samples(Tone(440, 5.9), 8000).astype("<i2").tobytes())
    found = read_ogg_opus(path.read_bytes())
    assert 4.9 <= len(found.samples) / 48000 <= 5.9
    writer.abandon()


def test_pages_are_what_they_were_and_a_changed_one_is_told() -> None:
    packets = [bytes([number]) * size for number, size in enumerate((0, 1, 254, 255, 256, 510, 700))]
    data = write_page(packets, flags=FIRST, granule=5, serial=9, number=0)
    (page,) = read_pages(data)
    assert (page.pieces, page.granule, page.serial, page.is_open) == (tuple(packets), 5, 9, False)
    assert checksum(b"123456789") == 0x89A1897F  # CRC-32 of this polynomial without inversions
    with pytest.raises(OggError, match="checksum"):
        list(read_pages(data[:-1] + b"?"))


def test_a_packet_over_several_pages_is_one(tmp_path: Path) -> None:
    whole = list(read_pages(written(tmp_path / "a.opus")))
    packet = whole[2].pieces[0]
    tags = whole[1].pieces[0] + bytes(600)
    head = write_page([whole[0].pieces[0]], flags=FIRST, granule=0, serial=1, number=0)
    lengths = b"\xff\xff"
    raw = struct.pack("<4sBBqIIIB", b"OggS", 0, 0, -1, 1, 1, 0, 2) + lengths + tags[:510]
    first = raw[:22] + struct.pack("<I", checksum(raw)) + raw[26:]
    second = write_page([tags[510:]], flags=1, granule=0, serial=1, number=2)
    last = write_page([packet], flags=LAST, granule=960, serial=1, number=3)
    sound = read_ogg_opus(head + first + second + last)
    assert 0 < len(sound.samples) <= 960


BROKEN = {
    "empty": lambda data: b"",
    "another codec": lambda data: write_page([b"\x01vorbis"], flags=FIRST, granule=0, serial=1, number=0),
    "no tags": lambda data: data[:47] + data[data.index(b"OggS", 60) :],
    "no sound": lambda data: data[: data.index(b"OggS", 60)],
    "cut short": lambda data: data[:-7],
    "surround": lambda data: write_page(
        [b"OpusHead\x01\x06" + bytes(8) + b"\x01"], flags=FIRST, granule=0, serial=1, number=0
    ),
    "a head cut short": lambda data: write_page([b"OpusHead"], flags=FIRST, granule=0, serial=1, number=0),
    "no Opus in a packet": lambda data: (
        data[: data.index(b"OggS", 60)] + write_page([b"\xff"], flags=LAST, granule=9, serial=serial_of(data), number=2)
    ),
}


def serial_of(data: bytes) -> int:
    return next(read_pages(data)).serial


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_file_is_a_typed_error(tmp_path: Path, how: str) -> None:
    with pytest.raises(PromptCorruptError):
        read_ogg_opus(BROKEN[how](written(tmp_path / "a.opus")), "x")


def test_any_octets_are_sound_or_a_typed_error(tmp_path: Path) -> None:
    good, draw = written(tmp_path / "a.opus", 0.2), random.Random(5)
    for _ in range(300):
        changed = bytearray(good)
        for _ in range(draw.choice((1, 2, 8))):
            changed[draw.randrange(len(changed))] = draw.randrange(256)
        with suppress(PromptError):
            read_ogg_opus(bytes(changed[: draw.randrange(len(changed) + 1)]))
    for page in read_pages(good):  # with right checksums, and other packets
        for _ in range(100):
            packets = [draw.randbytes(draw.randrange(60)) for _ in page.pieces]
            page_data = write_page(packets, flags=LAST, granule=draw.randrange(9999), serial=page.serial, number=2)
            with suppress(PromptError):
                read_ogg_opus(good[: good.index(b"OggS", 60)] + page_data)


def test_prompts_may_be_opus_whatever_they_are_called(tmp_path: Path) -> None:
    (tmp_path / "en").mkdir()
    written(tmp_path / "en" / "hello.opus", 0.5)
    found = Prompts(tmp_path).find("hello", "en")
    assert isinstance(found, str) and found.endswith("hello.opus")
    (audio,) = PromptCache().load([found], "PCMU", 0.0)
    assert audio.seconds == pytest.approx(0.5, abs=0.001)
    (tmp_path / "en" / "hello.wav").write_bytes((tmp_path / "en" / "hello.opus").read_bytes())
    assert PromptCache().load([str(tmp_path / "en" / "hello.wav")], "PCMA", 0.0)[0].seconds == audio.seconds


def test_without_libopus_both_ways_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ogg_opus, "maybe_opus", lambda: None)
    with pytest.raises(CodecMissingError, match="libopus"):
        read_sound_file(str(FOREIGN))
    with pytest.raises(CodecMissingError, match="libopus"):
        OpusWriter(tmp_path / "a.opus", Format(8000, 1))
