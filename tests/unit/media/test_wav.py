"""WAV files as they are found: every encoding that is read, and every way of being broken."""

from __future__ import annotations

import os
import random
import struct
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from media import (
    CodecMissingError,
    PromptCorruptError,
    PromptError,
    PromptMissingError,
    PromptTooLargeError,
    _dsp,
    wav,
)
from media.prompts import PromptCache, items_of
from media.tones import Tone, tone_samples
from media.wav import read_wav, read_wav_file

SINE = tone_samples(Tone(1000, 0.25), 8000)


def chunk(name: bytes, data: bytes, size: int | None = None) -> bytes:
    return name + struct.pack("<I", len(data) if size is None else size) + data + b"\0" * (len(data) % 2)


def wav_file(
    data: bytes, *, encoding: int = 1, channels: int = 1, rate: int = 8000, bits: int = 16, size: int | None = None
) -> bytes:
    form = struct.pack("<HHIIHH", encoding, channels, rate, rate * channels * bits // 8, channels * bits // 8, bits)
    body = b"WAVE" + chunk(b"LIST", b"odd") + chunk(b"fmt ", form) + chunk(b"data", data, size)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def test_pcm_of_16_bits_is_itself() -> None:
    sound = read_wav(wav_file(SINE.tobytes()))
    assert sound.rate == 8000 and np.array_equal(sound.samples, SINE)


@pytest.mark.parametrize("bits", [8, 24, 32])
def test_other_widths_are_the_same_sound(bits: int) -> None:
    if bits == 8:
        data = ((SINE.astype(int) >> 8) + 128).astype(np.uint8).tobytes()
    else:
        data = b"".join((int(value) << (bits - 16)).to_bytes(bits // 8, "little", signed=True) for value in SINE)
    found = read_wav(wav_file(data, bits=bits)).samples
    assert np.abs(found.astype(int) - SINE).max() <= (255 if bits == 8 else 0)


@pytest.mark.parametrize(("encoding", "law"), [(7, "ulaw"), (6, "alaw")])
def test_g711_in_a_wav_survives_to_the_listener_unchanged(encoding: int, law: str) -> None:
    codes = getattr(_dsp, f"{law}_encode")(SINE)
    sound = read_wav(wav_file(codes, encoding=encoding, bits=8))
    assert getattr(_dsp, f"{law}_encode")(np.ascontiguousarray(sound.samples)) == codes


def test_stereo_is_mixed_and_extensible_is_read() -> None:
    both = np.stack([SINE, np.zeros_like(SINE)], axis=1).astype("<i2").tobytes()
    assert np.array_equal(read_wav(wav_file(both, channels=2)).samples, SINE >> 1)
    form = struct.pack("<HHIIHHHHIH", 0xFFFE, 1, 8000, 16000, 2, 16, 22, 16, 4, 1) + bytes(14)
    body = b"WAVE" + chunk(b"fmt ", form) + chunk(b"data", SINE.tobytes())
    assert np.array_equal(read_wav(b"RIFF\0\0\0\0" + body).samples, SINE)


@pytest.mark.parametrize("size", [0, 0x7FFFFFFF, 0xFFFFFFFF, 0x7FFFF000, 0x7FFFEFFE, 0xFFFFFFFF - 36])
def test_data_of_unknown_length_reach_to_the_end(size: int) -> None:
    assert np.array_equal(read_wav(wav_file(SINE.tobytes(), size=size)).samples, SINE)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "not a WAV"),
        (b"RIFF\0\0\0\0WAVX", "not a WAV"),
        (b"ID3\3" + bytes(100), "not a WAV"),
        (b"RIFF\0\0\0\0WAVE", "no data"),
        (b"RIFF\0\0\0\0WAVE" + chunk(b"data", b"abcd"), "before its format"),
        (b"RIFF\0\0\0\0WAVE" + chunk(b"fmt ", b"abcd"), "format is cut"),
        (wav_file(SINE.tobytes(), size=100_000), "cut short"),
        (wav_file(SINE.tobytes(), encoding=85, bits=0), "encoding 85"),
        (wav_file(SINE.tobytes(), encoding=3, bits=32), "encoding 3"),
        (wav_file(SINE.tobytes(), bits=12), "12 bits"),
        (wav_file(SINE.tobytes(), channels=6), "6 channels"),
        (wav_file(SINE.tobytes(), rate=0), "0 Hz"),
        (wav_file(SINE.tobytes(), rate=96000), "96000 Hz"),
        (wav_file(b""), "no sound"),
        (wav_file(b"x"), "no sound"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(data: bytes, problem: str) -> None:
    with pytest.raises(PromptCorruptError, match=f"menu.wav.*{problem}") as caught:
        read_wav(data, "menu.wav")
    assert caught.value.source == "menu.wav"


def test_mutated_files_are_samples_or_a_typed_error() -> None:
    draw = random.Random(1)
    whole = wav_file(SINE.tobytes()[:400])
    for _ in range(5000):
        changed = bytearray(whole)
        for _ in range(draw.choice((1, 2, 8))):
            changed[draw.randrange(draw.choice((60, len(changed))))] = draw.randrange(256)
        length = draw.choice((len(changed), draw.randrange(len(changed))))
        with suppress(PromptError):
            assert len(read_wav(bytes(changed[:length])).samples)


def test_files_that_are_none(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    secret = tmp_path / "secret.wav"
    secret.write_bytes(wav_file(SINE.tobytes()))
    before = len(os.listdir("/proc/self/fd"))
    for path in (tmp_path / "none.wav", tmp_path, tmp_path / "fifo", "nul\0.wav", secret / "below"):
        with pytest.raises(PromptMissingError):
            read_wav_file(str(path))
    assert len(read_wav_file(secret).samples) == len(SINE)
    assert len(os.listdir("/proc/self/fd")) == before


def test_what_is_too_long_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "long.wav"
    path.write_bytes(wav_file(SINE.tobytes()))
    monkeypatch.setattr(wav, "MAX_SECONDS", 0.1)
    with pytest.raises(PromptTooLargeError, match="0 s are more"):
        read_wav_file(path)
    monkeypatch.setattr(wav, "MAX_FILE_OCTETS", 100)
    with pytest.raises(PromptTooLargeError, match="octets"):
        read_wav_file(path)


def test_a_prompt_is_encoded_once_for_each_codec_and_again_when_its_file_changes(tmp_path: Path) -> None:
    path = tmp_path / "menu.wav"
    path.write_bytes(wav_file(SINE.tobytes()))
    cache, items = PromptCache(), items_of(path)
    assert cache.maybe_loaded(items, "PCMU", 0.0) is None
    [first] = cache.load(items, "PCMU", 0.0)
    assert cache.maybe_loaded(items, "PCMU", 0.5) == [first] == cache.load(items, "PCMU", 5.0)
    assert cache.maybe_loaded(items, "PCMU", 7.0) is None  # looked at again first
    [alaw] = cache.load(items, "PCMA", 0.0)
    assert alaw is not first and len(alaw) == len(first) == len(SINE)
    path.write_bytes(wav_file(SINE[:800].tobytes()))
    [changed] = cache.load(items, "PCMU", 9.0)
    assert len(changed) == 800 and len(cache) == 2 and cache.octets == 800 + len(SINE)
    path.unlink()
    with pytest.raises(PromptMissingError):
        cache.load(items, "PCMU", 20.0)
    with pytest.raises(CodecMissingError):
        cache.load([Tone(440)], "G723", 0.0)


def test_a_prompt_that_was_exchanged_with_its_time_and_length_is_read_again(tmp_path: Path) -> None:
    path, cache = tmp_path / "menu.wav", PromptCache()
    path.write_bytes(wav_file(SINE.tobytes()))
    facts = path.stat()
    [first] = cache.load(items_of(path), "PCMU", 0.0)
    time.sleep(0.02)  # of what the file system counts in
    other = tmp_path / "other.wav"
    other.write_bytes(wav_file(np.zeros_like(SINE).tobytes()))
    os.utime(other, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    other.replace(path)
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (facts.st_size, facts.st_mtime_ns)
    assert cache.load(items_of(path), "PCMU", 5.0) != [first]


def test_a_wav_at_48_khz_is_as_long_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "wide.wav"
    path.write_bytes(wav_file(tone_samples(Tone(1000, 0.5), 48000).tobytes(), rate=48000))
    [audio] = PromptCache().load(items_of(path), "PCMU", 0.0)
    assert len(audio) == 4000


def test_the_cache_forgets_what_was_not_used_for_longest() -> None:
    cache = PromptCache(max_octets=2000)
    tones = [Tone(400 + index, 0.1) for index in range(3)]
    cache.load(tones[:2], "PCMU", 0.0)
    cache.maybe_loaded(tones[:1], "PCMU", 0.0)
    cache.load(tones[2:], "PCMU", 0.0)
    assert [cache.maybe_loaded([tone], "PCMU", 0.0) is None for tone in tones] == [False, True, False]
    assert cache.octets == 1600


def test_many_who_want_one_prompt_at_once_share_it() -> None:
    cache, found = PromptCache(), []
    threads = [
        threading.Thread(target=lambda: found.extend(cache.load([Tone(440, 5.0)], "PCMU", 0.0))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 and cache.octets == 40_000


def test_sources_are_paths_tones_and_sequences_of_them() -> None:
    tone = Tone(440)
    assert items_of(["a.wav", (tone, Path("b.wav"))]) == ["a.wav", tone, "b.wav"]
    with pytest.raises(PromptMissingError):
        items_of([])
    with pytest.raises(PromptTooLargeError):
        items_of([tone] * 5000)
    for wrong in (b"a.wav", 7, [7]):
        with pytest.raises(TypeError):
            items_of(wrong)  # type: ignore[arg-type]
