"""Recordings: left is heard and right is said, both on one time line whatever the network and the disk do."""

from __future__ import annotations

import errno
import random
from pathlib import Path

import numpy as np
import pytest
from audio_line import Phone, run, tone
from media_bench import Bench, rtp
from numpy.typing import NDArray
from test_sealed import Counting, Keys

from media._dsp import alaw_encode, ulaw_encode
from media.codecs import PCMA, PCMU, Format
from media.port import Port
from media.recorder import Channels, Recording, RecordingResult
from media.recording_file import WavWriter
from media.sealed import Format as FileFormat
from media.sealed import Note, SealedReader, SealedWriter

ALICE, BOB = ("192.0.2.1", 4000), ("192.0.2.2", 4000)
FORMAT = Format(PCMU, 0)
Samples = NDArray[np.int16]


def codes(samples: Samples) -> list[bytes]:
    coded = ulaw_encode(samples)
    return [coded[at : at + 160] for at in range(0, len(coded) - 159, 160)]


class Stage:
    """Alice and Bob relayed to each other, Alice's leg recorded."""

    def __init__(self, bench: Bench, folder: Path) -> None:
        self.bench, self.path, self.keys = bench, folder / "r", Keys()
        self.results: list[RecordingResult] = []
        self.alice, self.bob = bench.open(ALICE), bench.open(BOB)
        engine = bench.engine
        engine.connect(self.alice, self.bob, a_to_b={0: 0}, b_to_a={0: 0})
        engine.set_audio(self.alice, rate=8000, receive=[FORMAT], told=[FORMAT])

    def record(self, *, channels: Channels = "stereo", max_seconds: float | None = None) -> Recording:
        form = FileFormat(8000, 2 if channels == "stereo" else 1)

        def sealed() -> SealedWriter:
            return SealedWriter(
                self.path, self.keys, tenant="a.test", object_id="r", form=form, random_bytes=Counting()
            )

        return self.bench.engine.record(
            self.alice, sealed, channels=channels, max_seconds=max_seconds, on_finished=self.results.append
        )

    def talk(self, seconds: float, alice: Samples, bob: Samples) -> None:
        phones = [Phone(self.alice, ALICE, FORMAT, codes(alice)), Phone(self.bob, BOB, FORMAT, codes(bob))]
        run(self.bench, phones, seconds)

    def stop(self, recording: Recording) -> Samples:
        self.bench.engine.stop_recording(self.alice, recording)
        self.bench.wait(0.4)
        return self.read()

    def read(self) -> Samples:
        with SealedReader(self.path, self.keys) as reader:
            self.notes = reader.notes
            return np.frombuffer(b"".join(reader.read()), "<i2").reshape(-1, reader.form.channels)


@pytest.fixture
def stage(bench: Bench, tmp_path: Path) -> Stage:
    return Stage(bench, tmp_path)


def power(samples: Samples, hertz: float) -> float:
    """The part of the samples' power that lies at that frequency."""
    values = samples.astype(float)
    phase = np.exp(-2j * np.pi * hertz * np.arange(len(values)) / 8000)
    total = float(np.mean(values**2))
    return 2 * abs(np.mean(values * phase)) ** 2 / total if total else 0.0


def test_left_is_what_the_leg_said_and_right_what_it_was_told(stage: Stage) -> None:
    recording = stage.record()
    stage.talk(3.0, tone(400, 3.0), tone(1000, 3.0))
    samples = stage.stop(recording)
    assert len(samples) >= 3 * 8000
    middle = samples[8000:16000]
    assert power(middle[:, 0], 400) > 0.98 and power(middle[:, 1], 1000) > 0.98
    assert stage.results == [RecordingResult("stopped", len(samples) / 8000)]


def test_a_mixed_recording_has_both_in_one_channel(stage: Stage) -> None:
    recording = stage.record(channels="mixed")
    stage.talk(2.0, tone(400, 2.0), tone(1000, 2.0))
    samples = stage.stop(recording)
    assert samples.shape[1] == 1
    assert 0.4 < power(samples[4000:12000, 0], 400) < 0.6 and 0.4 < power(samples[4000:12000, 0], 1000) < 0.6


def test_a_pause_is_silence_of_the_same_length(stage: Stage) -> None:
    recording = stage.record()
    stage.bench.talk(stage.alice, ALICE, 50)
    recording.pause()
    stage.bench.talk(stage.alice, ALICE, 100)
    recording.resume()
    stage.bench.talk(stage.alice, ALICE, 50)
    samples = stage.stop(recording)
    assert not samples[8000 : 3 * 8000].any()
    for second in (0, 3):
        assert (samples[second * 8000 + 2000 : second * 8000 + 7000, 0] != 0).all()
    assert [note.what for note in stage.notes] == ["paused", "resumed"]
    assert len(samples) >= 4 * 8000


def test_the_limit_ends_it_to_the_frame(stage: Stage) -> None:
    stage.record(max_seconds=1.0)
    stage.talk(3.0, tone(400, 3.0), tone(1000, 3.0))
    assert stage.results == [RecordingResult("limit", 1.0)]
    assert len(stage.read()) == 8000


def test_the_end_of_the_port_ends_the_recording(stage: Stage) -> None:
    stage.record()
    stage.talk(1.0, tone(400, 1.0), tone(1000, 1.0))
    stage.bench.engine.close_port(stage.alice)
    stage.bench.wait(0.4)
    [result] = stage.results
    assert result.reason == "stopped" and not result.is_partial and len(stage.read()) == round(result.seconds * 8000)


def test_a_crash_of_the_process_costs_less_than_a_second(stage: Stage) -> None:
    recording = stage.record()
    stage.talk(5.0, tone(400, 5.0), tone(1000, 5.0))
    samples = stage.read()  # nobody closed the file
    assert 4.0 < len(samples) / 8000 <= recording.seconds
    assert stage.results == []


def marks(stage: Stage, port: Port, address: tuple[str, int], at: list[int], count: int, seed: int) -> Phone:
    """A click in the packets `at`, silence else; 3 % are lost, but no click."""
    quiet, click = ulaw_encode(np.zeros(160, np.int16)), ulaw_encode(np.full(160, 20000, np.int16))
    draw = random.Random(seed)

    def delay(index: int) -> float | None:
        return None if index not in wanted and draw.random() < 0.03 else draw.random() * 0.03

    wanted = set(at)
    return Phone(port, address, FORMAT, [click if one in wanted else quiet for one in range(count)], delay=delay)


def clicks(samples: Samples) -> list[int]:
    loud = np.flatnonzero(np.abs(samples.astype(int)) > 10000)
    return [int(loud[0]), *(int(one) for one, before in zip(loud[1:], loud, strict=False) if one - before > 4000)]


@pytest.mark.slow
def test_both_channels_stay_together_for_an_hour_of_loss_and_jitter(stage: Stage) -> None:
    recording = stage.record()
    at = list(range(500, 180_000, 3000))
    phones = [
        marks(stage, stage.alice, ALICE, at, 180_000, seed=1),
        marks(stage, stage.bob, BOB, at, 180_000, seed=2),
    ]
    run(stage.bench, phones, 3600.0)
    samples = stage.stop(recording)
    left, right = clicks(samples[:, 0]), clicks(samples[:, 1])
    assert len(left) == len(right) == len(at)
    # Each side has a jitter buffer of its own: what is compared is how far they drift apart, from the first click on.
    apart = np.array(right) - np.array(left)
    assert np.abs(apart - apart[0]).max() < 8000 * 0.020
    spacing = np.array(left) - left[0] - np.array(at) * 160 + at[0] * 160
    assert np.abs(spacing).max() < 8000 * 0.060


def mixed_line(port: Port, seed: int) -> list[tuple[float, Port, bytes]]:
    """Six minutes with a click each 12 s; the law changes each 30 s; packets are late by up to 30 ms, 3 % are lost."""
    draw = random.Random(seed)
    found = []
    for index in range(18_000):
        law = index // 1500 % 2
        is_click = index % 600 == 450
        sound = np.full(160, 20000 if is_click else 0, np.int16)
        packet = rtp(index, index * 160, payload_type=8 * law, payload=(ulaw_encode, alaw_encode)[law](sound))
        if is_click or draw.random() >= 0.03:
            found.append((index * 0.02 + 0.003 + draw.random() * 0.03, port, packet))
    return found


def test_both_channels_stay_together_while_their_codecs_change(stage: Stage) -> None:
    bench, engine = stage.bench, stage.bench.engine
    laws = [Format(PCMU, 0), Format(PCMA, 8)]
    engine.connect(stage.alice, stage.bob, a_to_b={0: 0, 8: 8}, b_to_a={0: 0, 8: 8})
    recording = stage.record()
    changed = 0
    for due, port, packet in sorted(mixed_line(stage.alice, 1) + mixed_line(stage.bob, 2), key=lambda each: each[0]):
        bench.wait(due - bench.now)
        if due // 30 > changed:  # as a re-INVITE does it
            changed = int(due // 30)
            engine.set_audio(stage.alice, rate=8000, receive=[laws[changed % 2]], told=[laws[changed % 2]])
        engine.feed(port, packet, ALICE if port is stage.alice else BOB)
        engine.take()
    bench.wait(0.2)
    samples = stage.stop(recording)
    left, right = clicks(samples[:, 0]), clicks(samples[:, 1])
    assert len(left) == len(right) == 30 and changed >= 11
    apart = np.array(right) - np.array(left)
    assert np.abs(apart - np.median(apart)).max() < 8000 * 0.020
    assert stage.results[0].is_partial is False


class SlowFile(WavWriter):
    """A disk that takes nothing for a while, and is full later."""

    error: OSError | None = None

    def write(self, samples: bytes | bytearray | memoryview) -> None:
        if self.error is not None:
            raise self.error
        super().write(samples)


def test_a_full_disk_ends_the_recording_and_not_the_call(stage: Stage, tmp_path: Path) -> None:
    files: list[SlowFile] = []

    def plain() -> SlowFile:
        files.append(SlowFile(tmp_path / "plain.wav", FileFormat(8000, 2)))
        return files[0]

    stage.bench.engine.record(stage.alice, plain, on_finished=stage.results.append)
    stage.talk(1.0, tone(400, 1.0), tone(1000, 1.0))
    files[0].error = OSError(errno.ENOSPC, "No space left on device")
    stage.bench.engine.take()
    stage.bench.engine.feed(stage.alice, rtp(5000, 800000), ALICE)
    stage.talk(1.0, tone(400, 1.0), tone(1000, 1.0))
    [result] = stage.results
    assert result.reason == "failed" and result.is_partial and "No space" in result.problem
    assert len(stage.bench.sent()) > 80  # they still hear each other


def test_a_file_that_cannot_be_made_is_told(stage: Stage) -> None:
    def refused() -> WavWriter:
        raise PermissionError(errno.EACCES, "Permission denied")

    stage.bench.engine.record(stage.alice, refused, on_finished=stage.results.append)
    stage.talk(1.0, tone(400, 1.0), tone(1000, 1.0))
    [result] = stage.results
    assert result.reason == "failed" and "Permission" in result.problem


def test_what_a_stalled_disk_lost_is_silence_of_the_same_length(stage: Stage) -> None:
    recording = stage.record()
    stage.talk(1.0, tone(400, 1.0), tone(1000, 1.0))
    pump, stage.bench.engine._recorder.pump = stage.bench.engine._recorder.pump, lambda: None  # type: ignore[method-assign]
    stage.talk(7.0, tone(400, 7.0), tone(1000, 7.0))  # the ring holds 5.12 s
    stage.bench.engine._recorder.pump = pump  # type: ignore[method-assign]
    stage.talk(1.0, tone(400, 1.0), tone(1000, 1.0))
    samples = stage.stop(recording)
    [result] = stage.results
    assert result.is_partial and 1.5 < result.lost_seconds < 2.8
    assert len(samples) == pytest.approx(9.4 * 8000, abs=4000)
    assert any(note.what == "lost" for note in stage.notes) and isinstance(stage.notes[0], Note)


def test_a_prompt_is_recorded_as_said(stage: Stage) -> None:
    from media import EncodedAudio

    recording = stage.record()
    prompt = EncodedAudio(ulaw_encode(tone(700, 1.0)))
    run(stage.bench, [], 0.2)
    stage.bench.engine.play(stage.alice, [prompt], payload_type=0, silence=0xFF)
    run(stage.bench, [], 1.5)
    samples = stage.stop(recording)
    assert power(samples[4000:8000, 1], 700) > 0.98 and not samples[:, 0].any()
