"""A call's sound outside of the call: recordings, and samples to and from a program.

    engine's threads ── 20 ms ──▶ a file, or the program's `async for`          a hang-up ends them, as all verbs

Nothing here is per packet, and nothing waits for a disk or for the program.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from functools import partial
from os import PathLike, fspath
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from media.ogg_opus import OpusWriter
from media.recorder import Channels, Recording, RecordingResult
from media.recording_file import RecordingFile, WavWriter
from media.sealed import Format
from media.tap import FRAME_SECONDS, AudioFrame, DropPolicy, Speaking, Tap, TapSide
from voipat import events
from voipat.waiting import wake

if TYPE_CHECKING:
    from voipat.call import Call
    from voipat.media_leg import MediaLeg

Samples = NDArray[np.int16] | bytes | memoryview
# The reader looks for frames as often as they come.
_LOOK_S: Final = FRAME_SECONDS


class RecordingStore(Protocol):
    """Where recordings go. A plain path is one too; the PBX has one that seals."""

    def place(self, tenant: str, name: str) -> str:
        """What the recording will be called in CDRs and events. Does not block."""
        ...

    def create(self, tenant: str, name: str, form: Format) -> RecordingFile:
        """The file; called on the recorder's thread. Raises: OSError, MediaError."""
        ...


class FileAt:
    """A file of that name: Ogg Opus when it ends with .opus or .ogg, else WAV."""

    def __init__(self, path: str | PathLike[str]) -> None:
        self._path = fspath(path)

    def place(self, tenant: str, name: str) -> str:
        """The path."""
        return self._path

    def create(self, tenant: str, name: str, form: Format) -> RecordingFile:
        """A new file, or the old one emptied. Raises: OSError, CodecMissingError."""
        path = Path(self._path)
        return OpusWriter(path, form) if path.suffix.lower() in (".opus", ".ogg") else WavWriter(path, form)


class CallRecording:
    """`async with call.record(…) as recording`: recorded from the first line of the block to its end."""

    def __init__(
        self, call: Call, store: RecordingStore, *, channels: Channels, stop_digit: str, max_seconds: float | None
    ) -> None:
        self._call = call
        self._store = store
        self._channels: Channels = channels
        self._stop_digit = stop_digit
        self._max_seconds = max_seconds
        self._recording: Recording | None = None
        self._leg: MediaLeg | None = None
        self._over: asyncio.Future[RecordingResult] = call.switch.loop.create_future()
        self.path = ""

    async def __aenter__(self) -> CallRecording:
        call, switch = self._call, self._call.switch
        await call.answer()
        assert call.media is not None, "an answered call has a port"
        call.recordings += 1
        name, self._leg = f"{call.id}-{call.recordings}", call.media
        self.path = self._store.place(call.tenant, name)
        self._recording = self._leg.record(
            lambda form: self._store.create(call.tenant, name, form),
            channels=self._channels,
            max_seconds=self._max_seconds,
            on_finished=self._on_thread,
        )
        call.playback.digit_listeners.append(self._on_digit)
        switch.publish(events.RecordingStarted(call.id, call.linked_id, call.tenant, self.path, switch.wallclock()))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()
        self._call.playback.digit_listeners.remove(self._on_digit)
        await asyncio.shield(self._over)

    async def finished(self) -> RecordingResult:
        """Wait for the stop digit, the limit, or a disk that is full. Raises: HungUp."""
        call = self._call
        call.raise_if_ended()
        waiter = call.new_waiter()
        self._over.add_done_callback(partial(wake, waiter))
        await call.wait(waiter)
        return self._over.result()

    def pause(self) -> None:
        """Record silence from now on."""
        assert self._recording is not None, "inside of its block"
        self._recording.pause()

    def resume(self) -> None:
        """Record what is said again."""
        assert self._recording is not None, "inside of its block"
        self._recording.resume()

    def note(self, what: str) -> None:
        """Mark this moment in the recording; a WAV file has no place for it."""
        assert self._recording is not None, "inside of its block"
        self._recording.note(what)

    def stop(self) -> None:
        """End it now; `finished` says how it went."""
        self._stop()

    @property
    def seconds(self) -> float:
        """What is on the disk."""
        return 0.0 if self._recording is None else self._recording.seconds

    def _on_digit(self, digit: str) -> bool:
        if digit not in self._stop_digit or self._over.done():
            return False
        self._stop()
        return True

    def _stop(self) -> None:
        if self._leg is not None and self._recording is not None:
            self._leg.stop_recording(self._recording)

    def _on_thread(self, result: RecordingResult) -> None:
        """On the recorder's thread."""
        loop = self._call.switch.loop
        if not loop.is_closed():
            loop.call_soon_threadsafe(self._finish, result)

    def _finish(self, result: RecordingResult) -> None:
        if result.reason != "stopped":
            self._stop()  # the port lets go of it
        if self._over.done():
            return
        self._over.set_result(result)
        call, switch = self._call, self._call.switch
        switch.publish(
            events.RecordingEnded(
                id=call.id,
                linked_id=call.linked_id,
                tenant=call.tenant,
                path=self.path,
                ended=switch.wallclock(),
                seconds=result.seconds,
                is_partial=result.is_partial,
                problem=result.problem or ("frames were lost" if result.is_partial else ""),
            )
        )


class AudioStream:
    """`async for frame in call.audio()`: 20 ms of samples each, with their media time. Raises there: HungUp."""

    def __init__(self, call: Call, *, rate: int, side: TapSide, drop: DropPolicy) -> None:
        Tap(0, rate, side=side, drop=drop)  # raises for what cannot be
        self._call, self._rate, self._side, self._drop = call, rate, side, drop
        self._tap: Tap | None = None
        self._leg: MediaLeg | None = None

    @property
    def lost(self) -> int:
        """Frames that were dropped because the program was too slow."""
        return 0 if self._tap is None else self._tap.lost

    async def __aenter__(self) -> AudioStream:
        return self

    async def __aexit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Listen no more; the end of the call does so too."""
        if self._tap is not None and self._leg is not None:
            self._leg.untap(self._tap)

    def __aiter__(self) -> AsyncIterator[AudioFrame]:
        return self._frames()

    async def _frames(self) -> AsyncIterator[AudioFrame]:
        call = self._call
        await call.answer()
        assert call.media is not None, "an answered call has a port"
        self._leg = call.media
        self._tap = self._leg.tap(rate=self._rate, side=self._side, drop=self._drop)
        try:
            while not self._tap.ended:
                while (frame := self._tap.read()) is not None:
                    yield frame
                await pause(call, _LOOK_S)
        finally:
            self.close()


class Voice:
    """`async with call.voice() as voice`: what the program writes is what the call says."""

    def __init__(self, call: Call, *, rate: int) -> None:
        self._call, self._rate = call, rate
        self._speaking: Speaking | None = None

    async def __aenter__(self) -> Voice:
        await self._call.answer()
        assert self._call.media is not None, "an answered call has a port"
        self._speaking = self._call.media.speak(rate=self._rate)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        speaking, leg = self._open(), self._call.media
        try:
            if kind is None:
                await self.played()
        finally:
            if leg is not None:
                leg.untap(speaking)

    async def write(self, samples: Samples) -> int:
        """Say the samples; waits while there is no room. The mark that `played` takes. Raises: HungUp."""
        speaking = self._open()
        left = np.asarray(samples, np.int16) if isinstance(samples, np.ndarray) else np.frombuffer(samples, np.int16)
        while True:
            left = left[speaking.write(left) :]
            if not len(left):
                return speaking.position
            await pause(self._call, _LOOK_S)

    async def played(self, mark: int | None = None) -> None:
        """Wait until what is before the mark was sent, or flushed; without one, all there is. Raises: HungUp."""
        speaking = self._open()
        if mark is None:
            speaking.finish()
        position = speaking.position if mark is None else mark
        while (left := speaking.seconds_until(position)) > 0 and not speaking.ended:
            await pause(self._call, max(left, _LOOK_S))

    def flush(self) -> None:
        """Say nothing of what waits: somebody interrupted."""
        self._open().flush()

    @property
    def waiting_seconds(self) -> float:
        """What was written and not said yet."""
        return self._open().waiting_seconds

    def _open(self) -> Speaking:
        if self._speaking is None:
            raise ValueError("a voice speaks inside of its block: async with call.voice() as voice")
        return self._speaking


async def speak(
    call: Call, frames: Samples | Iterable[Samples] | AsyncIterable[Samples], *, rate: int, stop_digits: str
) -> str:
    """Say all of it, and return when it was sent or when a digit stopped it, which is returned. Raises: HungUp."""
    if ahead := call.playback.take_ahead(stop_digits):
        return ahead
    stopped = ""
    async with Voice(call, rate=rate) as voice:

        def on_digit(digit: str) -> bool:
            nonlocal stopped
            if stopped or digit not in stop_digits:
                return False
            stopped = digit
            voice.flush()
            return True

        call.playback.digit_listeners.append(on_digit)
        try:
            async for frame in _pieces(frames):
                await voice.write(frame)
                if stopped:
                    voice.flush()
                    break
            await voice.played()
        finally:
            call.playback.digit_listeners.remove(on_digit)
    return stopped


async def _pieces(frames: Samples | Iterable[Samples] | AsyncIterable[Samples]) -> AsyncIterator[Samples]:
    if isinstance(frames, np.ndarray | bytes | memoryview):
        yield frames
    elif isinstance(frames, AsyncIterable):
        async for frame in frames:
            yield frame
    else:
        for frame in frames:
            yield frame


async def pause(call: Call, seconds: float) -> None:
    """Sleep, unless the call ends. Raises: HungUp."""
    call.raise_if_ended()
    waiter = call.new_waiter()
    timer = call.switch.loop.call_later(seconds, wake, waiter)
    try:
        await call.wait(waiter)
    finally:
        timer.cancel()
