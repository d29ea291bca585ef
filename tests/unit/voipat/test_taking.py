"""Recordings, taps and speech as handlers use them, on the simulated network."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from media.recording_file import RecordingFile, WavWriter
from media.sealed import Format
from media.sounds import read_sound_file
from media.tones import tone_samples
from voipat import App, Call, HungUp, Tone
from voipat.events import Event, RecordingEnded, RecordingStarted
from voipat.testing import Phone, SimWorld

RATE = 8000


class Stage:
    def __init__(self, world: SimWorld, app: App) -> None:
        self.world = world
        self.app = app
        self.alice: Phone = world.phone("sip:alice@elsewhere.example", tone=1000)
        self.events: list[Event] = []
        app.subscribe(self.events.append)


@contextmanager
def stage(handler: Callable[[Call], object]) -> Iterator[Stage]:
    app = App()
    app.on_call("sip:*@*", public=True)(handler)  # type: ignore[arg-type]  # every handler here is a coroutine function
    with SimWorld(app) as world:
        yield Stage(world, app)
        assert world.leaks() == []
        assert not app.calls and app.engine.open_ports == 0 and not app.engine.is_producing


def wav(path: Path) -> NDArray[np.int16]:
    return np.frombuffer(path.read_bytes()[44:], "<i2").reshape(-1, 2)


def power(samples: NDArray[np.int16], hertz: float) -> float:
    values = samples.astype(float)
    total = float(np.mean(values**2))
    phase = np.exp(-2j * np.pi * hertz * np.arange(len(values)) / RATE)
    return 2 * abs(np.mean(values * phase)) ** 2 / total if total else 0.0


def test_a_note_is_recorded_until_the_stop_digit(tmp_path: Path) -> None:
    path, after = tmp_path / "note.wav", list[str]()

    async def handler(call: Call) -> None:
        async with call.record(path, stop_digit="#", max_seconds=300) as recording:
            result = await recording.finished()
        assert result.reason == "stopped" and recording.path == str(path) and recording.seconds == result.seconds
        after.append(await call.ask(None, timeout=1.0))  # the digit was the recording's

    with stage(handler) as s:
        s.alice.dial("sip:note@127.0.0.1").waits(3.0).presses("#")
        s.world.run()
        samples = wav(path)
        assert 2.5 < len(samples) / RATE < 5.0 and after == [""]
        assert power(samples[RATE : 2 * RATE, 0], 1000) > 0.95 and not samples[:, 1].any()
        kinds = [type(event) for event in s.events if isinstance(event, RecordingStarted | RecordingEnded)]
        assert kinds == [RecordingStarted, RecordingEnded]


def test_a_note_may_be_opus(tmp_path: Path) -> None:
    path = tmp_path / "note.opus"

    async def handler(call: Call) -> None:
        async with call.record(path, stop_digit="#") as recording:
            await recording.finished()

    with stage(handler) as s:
        s.alice.dial("sip:note@127.0.0.1").waits(3.0).presses("#")
        s.world.run()
        sound = read_sound_file(str(path))
        heard = sound.samples[sound.rate : 2 * sound.rate]
        assert 2.5 < len(sound.samples) / sound.rate < 5.0
        assert np.argmax(np.abs(np.fft.rfft(heard))) == 1000


def test_a_hang_up_ends_the_recording_and_the_block(tmp_path: Path) -> None:
    path, seen = tmp_path / "note.wav", list[str]()

    async def handler(call: Call) -> None:
        try:
            async with call.record(path) as recording:
                await recording.finished()
        except HungUp:
            seen.append("hung up")
            raise

    with stage(handler) as s:
        s.alice.dial("sip:note@127.0.0.1").hangs_up(after=2.0)
        s.world.run()
        assert seen == ["hung up"] and 1.5 < len(wav(path)) / RATE < 3.0


def test_the_limit_ends_it_and_a_prompt_is_on_the_right(tmp_path: Path) -> None:
    path = tmp_path / "note.wav"

    async def handler(call: Call) -> None:
        async with call.record(path, max_seconds=2.0) as recording:
            await call.play(Tone(440, seconds=1.0))
            assert (await recording.finished()).reason == "limit"

    with stage(handler) as s:
        s.alice.dial("sip:note@127.0.0.1")
        s.world.run()
        samples = wav(path)
        assert len(samples) == 2 * RATE and power(samples[2000:7000, 1], 440) > 0.95


class FullStore:
    """A disk that is full after a second."""

    def place(self, tenant: str, name: str) -> str:
        return f"full/{name}"

    def create(self, tenant: str, name: str, form: Format) -> RecordingFile:
        return Full(form)


class Full(WavWriter):
    def __init__(self, form: Format) -> None:
        super().__init__(Path("/dev/null"), form)

    def write(self, samples: bytes | bytearray | memoryview) -> None:
        if self.seconds > 1.0:
            raise OSError(errno.ENOSPC, "No space left on device")
        self._octets += len(samples)


def test_a_full_disk_is_an_event_and_the_call_goes_on() -> None:
    async def handler(call: Call) -> None:
        async with call.record(FullStore()) as recording:
            assert (await recording.finished()).is_partial
            await call.play(Tone(440, seconds=1.0))

    with stage(handler) as s:
        s.alice.dial("sip:note@127.0.0.1").hears(440)
        s.world.run()
        [ended] = [event for event in s.events if isinstance(event, RecordingEnded)]
        assert ended.is_partial and "No space" in ended.problem and ended.path.startswith("full/")


def test_a_program_hears_the_caller() -> None:
    heard: list[NDArray[np.int16]] = []

    async def handler(call: Call) -> None:
        async for frame in call.audio(rate=8000):
            heard.append(frame.samples)
            if len(heard) == 100:
                return

    with stage(handler) as s:
        s.alice.dial("sip:ear@127.0.0.1")
        s.world.run()
        samples = np.concatenate(heard)
        assert len(samples) == 16000 and power(samples[8000:], 1000) > 0.95


def test_a_program_that_listens_is_ended_by_the_hang_up() -> None:
    seen: list[str] = []

    async def handler(call: Call) -> None:
        try:
            async for _ in call.audio():
                pass
        except HungUp:
            seen.append("hung up")
            raise

    with stage(handler) as s:
        s.alice.dial("sip:ear@127.0.0.1").hangs_up(after=1.0)
        s.world.run()
        assert seen == ["hung up"]


def test_a_program_says_samples_and_knows_when_they_were_sent() -> None:
    times: list[float] = []

    async def frames() -> AsyncIterator[NDArray[np.int16]]:
        samples = tone_samples(Tone(440, seconds=2.0), 16000)
        for at in range(0, len(samples), 640):
            yield samples[at : at + 640]

    async def handler(call: Call) -> None:
        await call.answer()
        begin = asyncio.get_running_loop().time()
        await call.speak(frames(), rate=16000)
        times.append(asyncio.get_running_loop().time() - begin)

    with stage(handler) as s:
        call = s.alice.dial("sip:mouth@127.0.0.1").hears(440)
        s.world.run()
        assert times[0] == pytest.approx(2.0, abs=0.15)
        assert len(call.heard.samples()) == pytest.approx(16000, abs=320) and call.heard.longest_gap() <= 0.04


def test_an_interrupted_voice_is_silent_at_once() -> None:
    async def handler(call: Call) -> None:
        async with call.voice(rate=8000) as voice:
            mark = await voice.write(tone_samples(Tone(440, seconds=0.4)))
            await asyncio.sleep(0.1)
            assert voice.waiting_seconds > 0.2
            voice.flush()
            await asyncio.sleep(0.06)
            await voice.played(mark)
            assert voice.waiting_seconds == 0.0

    with stage(handler) as s:
        call = s.alice.dial("sip:mouth@127.0.0.1")
        s.world.run()
        assert 500 < len(call.heard.samples()) < 1800


@pytest.mark.parametrize("digit", ["5", "#"])
def test_a_digit_of_an_info_is_one_like_any_other(digit: str) -> None:
    answers: list[str] = []

    async def handler(call: Call) -> None:
        await call.answer()
        call.playback.on_info_digit("x")
        call.playback.on_info_digit("")
        call.playback.on_info_digit(digit)
        answers.append(await call.ask(None, digits=1, timeout=1.0))

    with stage(handler) as s:
        s.alice.dial("sip:info@127.0.0.1")
        s.world.run()
        assert answers == [digit]
